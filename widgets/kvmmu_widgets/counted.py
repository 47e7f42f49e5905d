"""How far counters moved in a part of a run.  Ours."""

from collections.abc import Sequence
from typing import Final

from kvmmu_edu.trace.recorder import Record
from kvmmu_edu.trace.stats import FOLDS, VCPU_STATS, Counters

#: what counters count, for people who read kernel code
MEANINGS: Final = {
    "vm.remote_tlb_flush": "flush requests for which a vCPU had to be interrupted",
    "vm.remote_tlb_flush_requests": "requests that all vCPUs flush their TLBs",
    "vm.pages_4k": "4K pages mapped by SPTEs",
    "vm.pages_2m": "2M pages mapped by SPTEs",
    "vm.pages_1g": "1G pages mapped by SPTEs",
    "vm.nx_lpage_splits": "tables that stand in for an NX huge page",
    "pf_taken": "faults that KVM handled",
    "pf_fixed": "faults that installed an SPTE",
    "pf_emulate": "faults handed to the emulator",
    "pf_spurious": "faults that were over before they began",
    "pf_fast": "faults handled without mmu_lock",
    "pf_mmio_spte_created": "MMIO SPTEs made",
    "mmio_exits": "accesses that went to user space",
    "tlb_flush": "times this vCPU emptied its TLB",
    "count.synchronize_srcu": "waits until no reader of the old set is left",
    "count.swap_active_memslots": "times the other set became the active one",
    "count.replace_memslot": "replacements in an inactive set",
    "count.tables_allocated": "page tables made",
    "count.tables_freed": "page tables given back",
    "count.dirty_bitmap_bytes": "bytes of dirty bitmaps allocated",
}


def meaning(name: str) -> str:
    """Return what the counter of that flat name counts, or an empty text.

    >>> meaning("v3.pf_fixed"), meaning("lock.mmu_lock.read")
    ('faults that installed an SPTE', 'times mmu_lock was taken (read)')
    """
    first, _, rest = name.partition(".")
    if first == "lock":
        lock, _, mode = rest.rpartition(".")
        return f"times {lock} was taken ({mode})"
    return MEANINGS.get(name) or MEANINGS.get(rest, "")


def flat_change(before: Sequence[Record], shown: Sequence[Record]) -> dict[str, int]:
    """Return by how much each counter moved during *shown*, only those that moved."""
    counters = Counters()
    numbers = [getattr(record.event, "vcpu", -1) for record in (*before, *shown)]
    highest = max(numbers, default=-1)
    counters.vcpus = [dict.fromkeys(VCPU_STATS, 0) for _ in range(highest + 1)]
    _fold(before, counters)
    old = counters.flat()
    _fold(shown, counters)
    new = counters.flat()
    moved = {name: value - old.get(name, 0) for name, value in new.items()}
    return {name: change for name, change in moved.items() if change}


def _fold(records: Sequence[Record], counters: Counters) -> None:
    for record in records:
        function = FOLDS.get(type(record.event))
        if function is not None:
            function(counters, *record.event)
