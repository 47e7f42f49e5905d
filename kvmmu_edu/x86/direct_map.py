"""Mapping a page for a fault without the TDP MMU: walk down, find or make pages, install.

mmu_lock is held for writing, so one vCPU at a time does this.  In return the neighbours of a
small page are mapped as well, where the host has them ready: the aligned group of 8 entries.

Kernel: direct_map(), arch/x86/kvm/mmu/mmu.c (v6.12)
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.trace.events import Cause, MarkMmioSpte, SetSpte, SpteRequested
from kvmmu_edu.units import (
    PAGE_SHIFT,
    PAGES_PER_HPAGE,
    PG_LEVEL_4K,
    Gfn,
    Level,
    Pfn,
    gfn_round_for_level,
    spte_index,
)
from kvmmu_edu.virt.gfn_tree import vcpu_gfn_to_memslot, vcpu_memslots
from kvmmu_edu.virt.memory_slot import MEM_READONLY, MEMSLOT_INVALID, slot_dirty_track_enabled
from kvmmu_edu.virt.requests import flush_remote_tlbs_range
from kvmmu_edu.x86.arena import table_of
from kvmmu_edu.x86.make_spte import make_mmio_spte, make_nonleaf_spte, make_spte
from kvmmu_edu.x86.mmu_page import child_role, role_level
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.nx_huge_pages import track_possible_nx_huge_page
from kvmmu_edu.x86.page_fault import (
    PageFault,
    RetPf,
    disallowed_hugepage_adjust,
    mmu_hugepage_adjust,
    requested_pfn,
)
from kvmmu_edu.x86.pte_list import Sptep
from kvmmu_edu.x86.rmap import _rmap_add
from kvmmu_edu.x86.shadow_gate import (
    mmu_page_get_gfn,
    mmu_spte_set,
    mmu_spte_update,
    read_spte,
    sptep_level,
    sptep_of,
    table_and_index,
)
from kvmmu_edu.x86.shadow_page import mmu_get_shadow_page, mmu_page_add_parent_pte
from kvmmu_edu.x86.shadow_zap import (
    drop_parent_pte,
    drop_spte,
    mmu_page_zap_pte,
    mmu_remote_flush_or_zap,
)
from kvmmu_edu.x86.spte import (
    ACC_ALL,
    is_shadow_present_pte,
    is_shadow_present_table,
    spte_to_pfn,
)

if TYPE_CHECKING:
    from kvmmu_edu.virt.memory_slot import MemorySlot
    from kvmmu_edu.virt.vcpu import KvmVcpu

#: how many neighbours, the page itself included
_PTE_PREFETCH_NUM: Final = 8


async def direct_map(mmu: MmuState, vcpu: "KvmVcpu", fault: PageFault) -> int:
    """Install what *fault* asks for below the vCPU's root; return a RetPf.

    Locks: mmu_lock for writing.
    Kernel: direct_map(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    mmu_hugepage_adjust(mmu, fault)
    mmu.kvm.trace.emit(SpteRequested, fault.gfn, requested_pfn(fault), fault.goal_level)
    table = vcpu.arch.root
    level = role_level(mmu.arena.roles[table])
    while True:
        sptep = sptep_of(table, spte_index(fault.gfn, level))
        # a fast page fault or the CPU itself may change entries even now
        await mmu.kvm.sched.checkpoint("spte", *table_and_index(sptep))
        if fault.nx_huge_page_workaround_enabled:
            disallowed_hugepage_adjust(mmu, fault, read_spte(mmu, sptep), level)
        if level == fault.goal_level:
            break
        table = _step_down(mmu, fault, sptep, level)
        level -= 1
    ret = mmu_set_spte(mmu, vcpu, fault.slot, sptep, fault.pfn, fault)
    if ret != RetPf.SPURIOUS:
        direct_pte_prefetch(mmu, vcpu, sptep)
    return ret


def _step_down(mmu: MmuState, fault: PageFault, sptep: Sptep, level: Level) -> int:
    """Return the page that an entry points to; let it point to the right one if it does not."""
    gfn = gfn_round_for_level(fault.gfn, level)
    child, is_new = mmu_get_child_sp(mmu, sptep, gfn)
    if is_new:
        link_shadow_page(mmu, sptep, child)
        if fault.huge_page_disallowed:
            account_nx_huge_page(mmu, child, nx_huge_page_possible=fault.req_level >= level)
    return child


def account_nx_huge_page(mmu: MmuState, row: int, *, nx_huge_page_possible: bool) -> None:
    """Flag a page that was made because huge pages may not be executed.

    It is listed if nothing else stands in the way of a huge page.

    Kernel: account_nx_huge_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: account_huge_nx_page(); only those that are listed are flagged.
    """
    if nx_huge_page_possible or not mmu.kvm.choices.is_6_1:
        mmu.arena.nx_huge_page_disallowed[row] = True
    if nx_huge_page_possible:
        track_possible_nx_huge_page(mmu, row)


def mmu_get_child_sp(mmu: MmuState, sptep: Sptep, gfn: Gfn) -> tuple[int, bool]:
    """Return the page for what an entry translates, and whether it has to be linked.

    Kernel: kvm_mmu_get_child_sp(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    arena, spte = mmu.arena, read_spte(mmu, sptep)
    role = child_role(arena.roles[table_and_index(sptep)[0]])
    if is_shadow_present_table(spte, sptep_level(mmu, sptep)):
        child = table_of(spte)
        if arena.gfns[child] == gfn and arena.roles[child] == role:
            return child, False
    return mmu_get_shadow_page(mmu, gfn, role), True


def link_shadow_page(mmu: MmuState, sptep: Sptep, row: int) -> None:
    """Let an entry point to a page; what is in the way is removed, with a flush.

    Locks: mmu_lock for writing.
    Kernel: __link_shadow_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if is_shadow_present_pte(read_spte(mmu, sptep)):
        mmu_page_zap_pte(mmu, sptep)
        mmu_remote_flush_or_zap(mmu, [], remote_flush=True)
    mmu_spte_set(mmu, sptep, make_nonleaf_spte(mmu, row), Cause.LINK)
    mmu_page_add_parent_pte(mmu, row, sptep)


def mmu_set_spte(
    mmu: MmuState,
    vcpu: "KvmVcpu",
    slot: "MemorySlot | None",
    sptep: Sptep,
    pfn: Pfn,
    fault: PageFault | None,
) -> int:
    """Install a page or an MMIO SPTE; return a RetPf.

    :param fault: None: a neighbour of the page that was asked for
    Locks: mmu_lock for writing.
    Kernel: mmu_set_spte(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    level, gfn = sptep_level(mmu, sptep), mmu_page_get_gfn(mmu, sptep)
    was_rmapped, flush = _make_room(mmu, sptep, pfn, level)
    if slot is None:
        _mark_mmio_spte(mmu, vcpu, sptep, gfn)
        _flush_gfn(mmu, gfn, level, flush=flush)
        return RetPf.EMULATE
    old = read_spte(mmu, sptep)
    table, index = table_and_index(sptep)
    new = make_spte(
        mmu,
        mmu.arena.roles[table],
        slot,
        gfn,
        pfn,
        old_spte=old,
        prefetch=fault is None or fault.prefetch,
        host_writable=fault is None or fault.map_writable,
    )
    ret = RetPf.SPURIOUS if new == old else RetPf.FIXED
    if new != old:
        flush |= mmu_spte_update(mmu, sptep, new, Cause.MAP)
        mmu.kvm.trace.emit(SetSpte, gfn, new, level, table, index)
    _flush_gfn(mmu, gfn, level, flush=flush)
    if not was_rmapped:
        _rmap_add(mmu, slot, sptep, gfn)
    return ret


def _make_room(mmu: MmuState, sptep: Sptep, pfn: Pfn, level: Level) -> tuple[bool, bool]:
    """Remove what an entry holds unless it is that page; return whether it is, and the owed flush.

    A table is only unlinked: it keeps what it maps, until it is found again or zapped.
    """
    spte = read_spte(mmu, sptep)
    if not is_shadow_present_pte(spte):
        return False, False
    if is_shadow_present_table(spte, level):
        drop_parent_pte(mmu, table_of(spte), sptep)
        return False, True
    if spte_to_pfn(spte) != pfn:
        drop_spte(mmu, sptep)
        return False, True
    return True, False


def _mark_mmio_spte(mmu: MmuState, vcpu: "KvmVcpu", sptep: Sptep, gfn: Gfn) -> None:
    """Install an SPTE that says that there is no memory.

    Kernel: mark_mmio_spte(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    generation = vcpu_memslots(vcpu).generation.read_once()
    where = table_and_index(sptep)
    mmu.kvm.trace.emit(MarkMmioSpte, vcpu.vcpu_id, *where, gfn, ACC_ALL, generation)
    mmu_spte_set(mmu, sptep, make_mmio_spte(mmu, generation, gfn, ACC_ALL), Cause.MAP)


def _flush_gfn(mmu: MmuState, gfn: Gfn, level: Level, *, flush: bool) -> None:
    """Flush what an entry of *level* translates, if a flush is owed.

    Kernel: kvm_flush_remote_tlbs_gfn(), arch/x86/kvm/mmu/mmu_internal.h (v6.12)
    """
    if flush:
        flush_remote_tlbs_range(mmu.kvm, gfn, PAGES_PER_HPAGE[level], "mmu_set_spte")


# --- neighbours -----------------------------------------------------------------------------------


def direct_pte_prefetch(mmu: MmuState, vcpu: "KvmVcpu", sptep: Sptep) -> None:
    """Map the empty neighbours of a small page, run by run, until a run cannot be had.

    Locks: mmu_lock for writing.
    Kernel: direct_pte_prefetch(), arch/x86/kvm/mmu/mmu.c; __direct_pte_prefetch(),
        arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if sptep_level(mmu, sptep) > PG_LEVEL_4K or mmu.kvm.mmu_invalidate_in_progress.read_once():
        return
    first = sptep & -_PTE_PREFETCH_NUM
    start = 0
    for neighbour in range(first, first + _PTE_PREFETCH_NUM + 1):
        inside = neighbour < first + _PTE_PREFETCH_NUM
        taken = neighbour == sptep or (inside and is_shadow_present_pte(read_spte(mmu, neighbour)))
        if inside and not taken:
            start = start or neighbour
        elif start:
            if not direct_pte_prefetch_many(mmu, vcpu, start, neighbour):
                return
            start = 0


def direct_pte_prefetch_many(mmu: MmuState, vcpu: "KvmVcpu", start: Sptep, end: Sptep) -> bool:
    """Map those of a run of entries whose pages the host has ready; false if the first is not.

    Pages of a slot that is logged are left alone: they would have to be marked dirty.

    Kernel: direct_pte_prefetch_many(), arch/x86/kvm/mmu/mmu.c; gfn_to_page_many_atomic(),
        virt/kvm/kvm_main.c (v6.12)
    """
    gfn = mmu_page_get_gfn(mmu, start)
    slot = vcpu_gfn_to_memslot(vcpu, gfn)
    if slot is None or slot.flags & (MEMSLOT_INVALID | MEM_READONLY):
        return False
    if slot_dirty_track_enabled(slot) or gfn + (end - start) > slot.base_gfn + slot.npages:
        return False
    hva = slot.userspace_addr + ((gfn - slot.base_gfn) << PAGE_SHIFT)
    pfns: list[Pfn] = []
    for i in range(end - start):
        page = mmu.kvm.mm.page_for(hva + (i << PAGE_SHIFT), write=True)
        if page is None:
            break
        pfns.append(page.pfn)
    for i, pfn in enumerate(pfns):
        mmu_set_spte(mmu, vcpu, slot, start + i, pfn, None)
    return bool(pfns)
