"""KVM's statistics, as a fold over the events.

Counters never change by themselves: each kind of event that counts has a function here.  So
a picture, a statistic and a trace of the same run cannot contradict each other.

Kernel: struct kvm_vm_stat, arch/x86/include/asm/kvm_host.h (v6.12)
"""

from collections.abc import Callable
from typing import Any, Final

from kvmmu_edu.trace import events as ev

#: the statistics of a VM, in the order in which the kernel lists them
VM_STATS: Final = (
    "remote_tlb_flush",
    "remote_tlb_flush_requests",
    "mmu_shadow_zapped",
    "mmu_pte_write",
    "mmu_pde_zapped",
    "mmu_flooded",
    "mmu_recycled",
    "mmu_cache_miss",
    "mmu_unsync",
    "pages_4k",
    "pages_2m",
    "pages_1g",
    "nx_lpage_splits",
    "max_mmu_rmap_size",
    "max_mmu_page_hash_collisions",
)

#: those of the statistics of a vCPU that concern memory
VCPU_STATS: Final = (
    "pf_taken",
    "pf_fixed",
    "pf_emulate",
    "pf_spurious",
    "pf_fast",
    "pf_mmio_spte_created",
    "pf_guest",
    "tlb_flush",
    "invlpg",
    "mmio_exits",
)

_PAGES: Final = ("", "pages_4k", "pages_2m", "pages_1g", "", "")


class Counters:
    """All that is counted in a run.

    :ivar vm: KVM's statistics of the VM, by the kernel's names
    :ivar vcpus: those of each vCPU
    :ivar locks: acquisitions, by lock and mode
    :ivar counts: what the mails argue about and the kernel does not count
    """

    __slots__ = ("counts", "locks", "vcpus", "vm")

    def __init__(self) -> None:
        """Start at zero."""
        self.vm: dict[str, int] = dict.fromkeys(VM_STATS, 0)
        self.vcpus: list[dict[str, int]] = []
        self.locks: dict[tuple[str, str], int] = {}
        self.counts: dict[str, int] = {
            "synchronize_srcu": 0,
            "swap_active_memslots": 0,
            "replace_memslot": 0,
            "slots_copied": 0,
            "slots_moved": 0,
            "tables_allocated": 0,
            "tables_freed": 0,
            "dirty_bitmap_bytes": 0,
            "rmap_bytes": 0,
            "rmap_page_bytes": 0,
        }

    def flat(self) -> dict[str, int]:
        """Return everything under one flat set of names: ``vm.x``, ``v0.x``, ``lock.x``."""
        flat = {f"vm.{name}": n for name, n in self.vm.items()}
        for number, stats in enumerate(self.vcpus):
            flat |= {f"v{number}.{name}": n for name, n in stats.items()}
        flat |= {f"lock.{lock}.{mode}": n for (lock, mode), n in self.locks.items()}
        return flat | {f"count.{name}": n for name, n in self.counts.items()}


def _how_many(tables: ev.Tables) -> int:
    return 1 if isinstance(tables, int) else len(tables)


def _spte_changed(c: Counters, *event: Any) -> None:
    leaves = event[8]
    if leaves:
        c.vm[_PAGES[event[1]]] += leaves


def _lock_acquired(c: Counters, lock: str, mode: str) -> None:
    try:
        c.locks[lock, mode] += 1
    except KeyError:
        c.locks[lock, mode] = 1


def _frozen_spte_handled(c: Counters, *event: Any) -> None:
    c.vm[_PAGES[event[1]]] += event[7]


def _page_stats_updated(c: Counters, level: int, pages: int) -> None:
    c.vm[_PAGES[level]] += pages


def _nx_huge_page_tracked(c: Counters, _table: int, tracked: bool) -> None:  # noqa: FBT001
    c.vm["nx_lpage_splits"] += 1 if tracked else -1


#: RetPf -> the statistic that it adds to; see kvmmu_edu/x86/page_fault.py for the values
_PF_RESULT: Final = {2: "pf_emulate", 3: "pf_emulate", 5: "pf_fixed", 6: "pf_spurious"}


def _page_fault_done(c: Counters, vcpu: int, _gfn: int, result: int) -> None:
    stats = c.vcpus[vcpu]
    stats["pf_taken"] += 1
    name = _PF_RESULT.get(result)
    if name is not None:
        stats[name] += 1


def _fast_page_fault(c: Counters, vcpu: int, *event: Any) -> None:
    if event[-1] or event[-2]:
        c.vcpus[vcpu]["pf_fast"] += 1


def _mark_mmio_spte(c: Counters, vcpu: int, *_event: Any) -> None:
    c.vcpus[vcpu]["pf_mmio_spte_created"] += 1


def _mmio_exit(c: Counters, vcpu: int, *_event: Any) -> None:
    c.vcpus[vcpu]["mmio_exits"] += 1


def _flush_remote_tlbs(c: Counters, _caller: str, _gfn: int, _npages: int, kicked: int) -> None:
    c.vm["remote_tlb_flush_requests"] += 1
    if kicked:
        c.vm["remote_tlb_flush"] += 1


def _vcpu_tlb_flush(c: Counters, vcpu: int, _why: str, counted: bool) -> None:  # noqa: FBT001
    c.vcpus[vcpu]["tlb_flush"] += counted


def _count(name: str) -> Callable[..., None]:
    def add(c: Counters, *_event: Any) -> None:
        c.counts[name] += 1

    return add


def _memslots_copied(c: Counters, _as_id: int, _node_idx: int, nslots: int, moved: int) -> None:
    c.counts["slots_copied"] += nslots
    c.counts["slots_moved"] += moved


def _mmu_page_freed(c: Counters, table: ev.Tables) -> None:
    c.counts["tables_freed"] += _how_many(table)


def _get_mmu_page(c: Counters, *event: Any) -> None:
    c.counts["tables_allocated"] += event[5]


def _dirty_bitmap(c: Counters, _serial: int, nbytes: int) -> None:
    c.counts["dirty_bitmap_bytes"] += nbytes


def _prepare_zap_shadow_page(c: Counters, *_event: Any) -> None:
    c.vm["mmu_shadow_zapped"] += 1


def _shadow_page_lookup(
    c: Counters,
    _gfn: int,
    _role: int,
    found: bool,  # noqa: FBT001 - an event's field
    collisions: int,
) -> None:
    c.vm["mmu_cache_miss"] += not found
    _peak(c, "max_mmu_page_hash_collisions", collisions)


def _peak(c: Counters, name: str, value: int) -> None:
    c.vm[name] = max(c.vm[name], value)


def _shadow_pages_recycled(c: Counters, pages: int) -> None:
    c.vm["mmu_recycled"] += pages


def _rmap_added(c: Counters, *event: Any) -> None:
    _peak(c, "max_mmu_rmap_size", event[-1])


def _rmaps_allocated(c: Counters, _serial: int, nbytes: int, page_bytes: int) -> None:
    c.counts["rmap_bytes"] += nbytes
    c.counts["rmap_page_bytes"] += page_bytes


def _rmaps_freed(c: Counters, serial: int, nbytes: int, page_bytes: int) -> None:
    _rmaps_allocated(c, serial, -nbytes, -page_bytes)


#: how each kind of event changes the counters; kinds that are not here change none
FOLDS: dict[type[Any], Callable[..., None]] = {
    ev.SpteChanged: _spte_changed,
    ev.LockAcquired: _lock_acquired,
    ev.FrozenSpteHandled: _frozen_spte_handled,
    ev.PageStatsUpdated: _page_stats_updated,
    ev.NxHugePageTracked: _nx_huge_page_tracked,
    ev.PageFaultDone: _page_fault_done,
    ev.FastPageFault: _fast_page_fault,
    ev.MarkMmioSpte: _mark_mmio_spte,
    ev.MmioExit: _mmio_exit,
    ev.FlushRemoteTlbs: _flush_remote_tlbs,
    ev.VcpuTlbFlush: _vcpu_tlb_flush,
    ev.SynchronizeSrcu: _count("synchronize_srcu"),
    ev.SwapActiveMemslots: _count("swap_active_memslots"),
    ev.ReplaceMemslot: _count("replace_memslot"),
    ev.MemslotsCopied: _memslots_copied,
    ev.GetMmuPage: _get_mmu_page,
    ev.MmuPageFreed: _mmu_page_freed,
    ev.DirtyBitmapAllocated: _dirty_bitmap,
    ev.GetShadowPage: _get_mmu_page,
    ev.PrepareZapShadowPage: _prepare_zap_shadow_page,
    ev.ShadowSpteChanged: _spte_changed,
    ev.ShadowPageLookup: _shadow_page_lookup,
    ev.ShadowPagesRecycled: _shadow_pages_recycled,
    ev.RmapAdded: _rmap_added,
    ev.RmapsAllocated: _rmaps_allocated,
    ev.RmapsFreed: _rmaps_freed,
}


def fold(events: list[Any], counters: Counters) -> Counters:
    """Add *events* to *counters* and return them: the law that the tests hold runs to."""
    for event in events:
        function = FOLDS.get(type(event))
        if function is not None:
            function(counters, *event)
    return counters
