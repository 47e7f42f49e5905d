"""Splitting huge pages in place: 512 ready entries are published by one change.

Nobody can see a hole, and every address translates as before, so no flush is needed.

Kernel: arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
"""

from typing import TYPE_CHECKING

from kvmmu_edu.trace.events import Cause, GetMmuPage, MmuPageFreed, PageStatsUpdated, SplitHugePage
from kvmmu_edu.units import SPTE_ENT_PER_PAGE, Gfn, Level
from kvmmu_edu.x86.make_spte import make_huge_page_split_spte, make_nonleaf_spte
from kvmmu_edu.x86.mmu_page import child_role, role_level
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.resched import tdp_mmu_iter_cond_resched
from kvmmu_edu.x86.spte import is_shadow_present_leaf
from kvmmu_edu.x86.spte_gate import change_quietly, tdp_mmu_iter_set_spte, tdp_mmu_set_spte_atomic
from kvmmu_edu.x86.tdp_iter import Span, TdpIter, for_each_tdp_pte_min_level
from kvmmu_edu.x86.tdp_pages import tdp_account_mmu_page
from kvmmu_edu.x86.tdp_roots import for_each_tdp_mmu_root_yield_safe

if TYPE_CHECKING:
    from kvmmu_edu.virt.memory_slot import MemorySlot


def tdp_mmu_init_child_sp(mmu: MmuState, it: TdpIter) -> int:
    """Return a new table for the entry that the walk stands on; it is not linked yet.

    Kernel: tdp_mmu_init_child_sp(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    role = child_role(mmu.arena.roles[it.table])
    sp = mmu.arena.alloc(it.gfn, role, it.table, it.index)
    mmu.kvm.trace.emit(GetMmuPage, sp, it.as_id, it.gfn, role_level(role), role, True)  # noqa: FBT003
    return sp


def tdp_mmu_free_sp(mmu: MmuState, sp: int) -> None:
    """Give back a table that was never linked.

    Kernel: tdp_mmu_free_sp(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    mmu.arena.nx_huge_page_disallowed[sp] = False
    mmu.arena.free(sp)
    mmu.kvm.trace.emit(MmuPageFreed, sp)


async def tdp_mmu_link_sp(
    mmu: MmuState, it: TdpIter, sp: int, *, shared: bool, account_nx: bool = False
) -> bool:
    """Let the entry that the walk stands on point to table *sp*; false if it has changed.

    The table is counted after it can be reached, so another task may remove it, and count
    down, before this one counts up.

    :param account_nx: 6.1 only: the table stands in for an NX huge page
    Locks: mmu_lock, for reading if *shared*; RCU read section.
    Kernel: tdp_mmu_link_sp(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    new = make_nonleaf_spte(mmu, sp)
    if not shared:
        await tdp_mmu_iter_set_spte(mmu, it, new, Cause.LINK)
    else:
        await mmu.kvm.sched.checkpoint("spte", it.table, it.index)
        if not await tdp_mmu_set_spte_atomic(mmu, it, new, Cause.LINK):
            return False
    await mmu.kvm.sched.checkpoint("tdp_mmu_pages")
    await tdp_account_mmu_page(mmu, sp, account_nx=account_nx)
    return True


async def tdp_mmu_split_huge_page(mmu: MmuState, it: TdpIter, sp: int, *, shared: bool) -> bool:
    """Replace the huge page that the walk stands on by table *sp*; false if it has changed.

    Locks: mmu_lock, for reading if *shared*; RCU read section.
    Kernel: tdp_mmu_split_huge_page(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    huge_spte, level = it.old_spte, it.level
    children = make_huge_page_split_spte(mmu, huge_spte, level - 1)
    span = Span(sp, slice(0, SPTE_ENT_PER_PAGE), it.gfn, level - 1, it.as_id)
    empty = mmu.fmt.SHADOW_NONPRESENT_VALUE
    change_quietly(mmu, span, old=empty, new=children, cause=Cause.SPLIT_CHILD)
    linked = await tdp_mmu_link_sp(mmu, it, sp, shared=shared)
    if linked:
        mmu.kvm.trace.emit(PageStatsUpdated, level - 1, SPTE_ENT_PER_PAGE)
    mmu.kvm.trace.emit(SplitHugePage, it.gfn, huge_spte, level, 0 if linked else -16)
    return linked


async def tdp_mmu_try_split_huge_pages(
    mmu: MmuState, slot: "MemorySlot", start: Gfn, end: Gfn, target_level: Level, *, shared: bool
) -> None:
    """Split every page of [*start*, *end*) that is larger than *target_level*.

    Locks: mmu_lock, for reading if *shared*.
    Kernel: kvm_tdp_mmu_try_split_huge_pages(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    for root in for_each_tdp_mmu_root_yield_safe(mmu, slot.as_id, only_valid=True):
        await _tdp_mmu_split_huge_pages_root(mmu, root, start, end, target_level, shared=shared)


async def _tdp_mmu_split_huge_pages_root(
    mmu: MmuState, root: int, start: Gfn, end: Gfn, target_level: Level, *, shared: bool
) -> None:
    """Split in one root; pages of memory are allocated with mmu_lock dropped.

    Kernel: tdp_mmu_split_huge_pages_root(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    In v6.1: tries to allocate without dropping the lock first.
    Simplified: allocation cannot fail; the arena grows.
    """
    kvm = mmu.kvm
    have_page = False
    kvm.rcu.read_lock()
    for it in for_each_tdp_pte_min_level(mmu, root, target_level + 1, start, end, grain=1):
        while True:
            if await tdp_mmu_iter_cond_resched(mmu, it, flush=False, shared=shared):
                break
            if not is_shadow_present_leaf(it.old_spte, it.level):
                break
            if not have_page:
                if not kvm.choices.is_6_1:
                    await _drop_locks(mmu, shared=shared)
                    it.yielded = True
                have_page = True
                if it.yielded:
                    break
            sp = tdp_mmu_init_child_sp(mmu, it)
            if await tdp_mmu_split_huge_page(mmu, it, sp, shared=shared):
                have_page = False
                break
            tdp_mmu_free_sp(mmu, sp)
    kvm.rcu.read_unlock()


async def _drop_locks(mmu: MmuState, *, shared: bool) -> None:
    """Leave the critical sections for as long as a memory allocation may take."""
    kvm = mmu.kvm
    kvm.rcu.read_unlock()
    guard = kvm.mmu_lock.read if shared else kvm.mmu_lock.write
    await guard.__aexit__()
    await kvm.sched.checkpoint("mmu_lock")
    await guard.__aenter__()
    kvm.rcu.read_lock()
