"""Write protection and the dirty log, on the TDP side; and making huge pages possible again.

Write protection for the dirty log clears W but leaves MMU-writable, so that a write can be
let through without a lock.  Nobody flushes here: the ioctl does so once, at its end.

Kernel: arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
Simplified: no page-modification logging; the modelled CPU reports writes by faults.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from kvmmu_edu.trace.events import Cause
from kvmmu_edu.units import MAX_HUGEPAGE_LEVEL, PG_LEVEL_2M, PG_LEVEL_4K, Gfn, Level
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.page_fault import mmu_max_mapping_level
from kvmmu_edu.x86.resched import tdp_mmu_iter_cond_resched
from kvmmu_edu.x86.spte import (
    PT_WRITABLE_MASK,
    clear_bits,
    is_accessed_spte,
    is_shadow_present_leaf,
    is_shadow_present_table,
    is_writable_pte,
)
from kvmmu_edu.x86.spte_gate import (
    change_quietly,
    count,
    tdp_mmu_iter_set_spte,
    tdp_mmu_set_spte_atomic,
    tdp_mmu_zap_spte_atomic,
)
from kvmmu_edu.x86.tdp_iter import TdpIter, for_each_tdp_pte_min_level
from kvmmu_edu.x86.tdp_roots import for_each_tdp_mmu_root_yield_safe

if TYPE_CHECKING:
    from kvmmu_edu.trace.events import Sptes
    from kvmmu_edu.virt.memory_slot import MemorySlot


def _without(it: TdpIter, mask: int, *, which: object) -> "Sptes":
    """Return the span with the bits of *mask* cleared in the entries of *which*."""
    old: Sptes = it.old_spte
    cleared = clear_bits(old, mask)
    return cleared if isinstance(old, int) else np.where(np.asarray(which), cleared, old)


async def tdp_mmu_wrprot_slot(mmu: MmuState, slot: "MemorySlot", min_level: Level) -> bool:
    """Take write access from all pages of *slot* of at least *min_level*.

    :returns: whether any entry changed
    Locks: mmu_lock for reading.
    Kernel: kvm_tdp_mmu_wrprot_slot(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    spte_set = False
    for root in for_each_tdp_mmu_root_yield_safe(mmu, slot.as_id, only_valid=True):
        end = slot.base_gfn + slot.npages
        spte_set |= await _wrprot_gfn_range(mmu, root, slot.base_gfn, end, min_level)
    return spte_set


async def _wrprot_gfn_range(
    mmu: MmuState, root: int, start: Gfn, end: Gfn, min_level: Level
) -> bool:
    """Take write access in one root.

    Kernel: wrprot_gfn_range(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    spte_set = False
    mmu.kvm.rcu.read_lock()
    for it in for_each_tdp_pte_min_level(mmu, root, min_level, start, end):
        if await tdp_mmu_iter_cond_resched(mmu, it, flush=False, shared=True):
            continue
        while True:
            which = is_shadow_present_leaf(it.old_spte, it.level) & is_writable_pte(it.old_spte)
            if not count(which):
                break
            new = _without(it, PT_WRITABLE_MASK, which=which)
            if await tdp_mmu_set_spte_atomic(mmu, it, new, Cause.WRITE_PROTECT):
                spte_set = True
                break
    mmu.kvm.rcu.read_unlock()
    return spte_set


async def tdp_mmu_clear_dirty_pt_masked(
    mmu: MmuState, slot: "MemorySlot", gfn: Gfn, mask: int
) -> None:
    """Take write access from those 4K pages of 64 whose bit in *mask* is set.

    :param gfn: the page of bit 0
    Locks: mmu_lock for writing.
    Kernel: kvm_tdp_mmu_clear_dirty_pt_masked(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    for root in for_each_tdp_mmu_root_yield_safe(mmu, slot.as_id, only_valid=True):
        mmu.kvm.rcu.read_lock()
        first = gfn + (mask & -mask).bit_length() - 1
        last = gfn + mask.bit_length()
        for it in for_each_tdp_pte_min_level(mmu, root, PG_LEVEL_4K, first, last):
            if it.level == PG_LEVEL_4K:
                _write_protect_masked(mmu, it, gfn, mask)
        mmu.kvm.rcu.read_unlock()


def _write_protect_masked(mmu: MmuState, it: TdpIter, gfn: Gfn, mask: int) -> None:
    """Write-protect the entries of a span whose bit is set.

    Kernel: clear_dirty_pt_masked(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    which = is_shadow_present_leaf(it.old_spte, PG_LEVEL_4K) & is_writable_pte(it.old_spte)
    if isinstance(it.old_spte, int):
        which = which and bool(mask >> (it.gfn - gfn) & 1)
    else:
        bits = [mask >> (it.gfn - gfn + i) & 1 for i in range(len(it.old_spte))]
        which &= np.array(bits, np.bool_)
    if count(which):
        new = _without(it, PT_WRITABLE_MASK, which=which)
        change_quietly(
            mmu,
            it,
            old=it.old_spte,
            new=new,
            cause=Cause.CLEAR_DIRTY,
        )


async def tdp_mmu_write_protect_gfn(
    mmu: MmuState, slot: "MemorySlot", gfn: Gfn, min_level: Level
) -> bool:
    """Take write access from the page of at least *min_level* that maps *gfn*, for good.

    MMU-writable goes as well, so no fast page fault can undo it.

    :returns: whether a flush is owed
    Locks: mmu_lock for writing.
    Kernel: kvm_tdp_mmu_write_protect_gfn(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    spte_set = False
    mask = PT_WRITABLE_MASK | mmu.fmt.shadow_mmu_writable_mask
    for root in for_each_tdp_mmu_root_yield_safe(mmu, slot.as_id, only_valid=True):
        mmu.kvm.rcu.read_lock()
        for it in for_each_tdp_pte_min_level(mmu, root, min_level, gfn, gfn + 1):
            if is_shadow_present_leaf(it.old_spte, it.level) and int(it.old_spte) & mask:
                await tdp_mmu_iter_set_spte(
                    mmu,
                    it,
                    _without(it, mask, which=True),
                    Cause.WRITE_PROTECT,
                )
                spte_set = True
        mmu.kvm.rcu.read_unlock()
    return spte_set


async def tdp_mmu_zap_collapsible_sptes(mmu: MmuState, slot: "MemorySlot") -> None:
    """Remove the tables of *slot* in whose place a huge page could be.

    Each removal flushes: one flush for each table.

    Locks: mmu_lock for reading.
    Kernel: kvm_tdp_mmu_zap_collapsible_sptes(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    for root in for_each_tdp_mmu_root_yield_safe(mmu, slot.as_id, only_valid=True):
        mmu.kvm.rcu.read_lock()
        start, end = slot.base_gfn, slot.base_gfn + slot.npages
        for it in for_each_tdp_pte_min_level(mmu, root, PG_LEVEL_2M, start, end, grain=1):
            if await tdp_mmu_iter_cond_resched(mmu, it, flush=False, shared=True):
                continue
            while _is_collapsible(mmu, slot, it):
                if await tdp_mmu_zap_spte_atomic(mmu, it):
                    break
        mmu.kvm.rcu.read_unlock()


def _is_collapsible(mmu: MmuState, slot: "MemorySlot", it: TdpIter) -> bool:
    """Return whether a huge page could take the place of a table.

    A table that reaches beyond the slot cannot be replaced by one page.
    """
    if it.level > MAX_HUGEPAGE_LEVEL or not is_shadow_present_table(it.old_spte, it.level):
        return False
    if not slot.base_gfn <= it.gfn < slot.base_gfn + slot.npages:
        return False
    return mmu_max_mapping_level(mmu, slot, it.gfn) >= it.level


async def tdp_mmu_age_gfn_range(mmu: MmuState, slot: "MemorySlot", start: Gfn, end: Gfn) -> bool:
    """Clear the accessed bits of a range; return whether any was set.

    Locks: mmu_lock for writing.
    Kernel: kvm_tdp_mmu_age_gfn_range(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    mask = mmu.fmt.shadow_accessed_mask
    young = False
    for it in _leaves(mmu, slot, start, end):
        accessed = is_accessed_spte(it.old_spte, mmu.fmt)
        which = is_shadow_present_leaf(it.old_spte, it.level) & accessed
        if count(which):
            young = True
            change_quietly(
                mmu,
                it,
                old=it.old_spte,
                new=_without(it, mask, which=which),
                cause=Cause.AGE,
            )
    return young


def tdp_mmu_test_age_gfn(mmu: MmuState, slot: "MemorySlot", start: Gfn, end: Gfn) -> bool:
    """Return whether any accessed bit of a range is set.

    Locks: mmu_lock.
    Kernel: kvm_tdp_mmu_test_age_gfn(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    young = 0
    # to the end, as the kernel does: a walk that is left early would keep its RCU section
    for it in _leaves(mmu, slot, start, end):
        accessed = is_accessed_spte(it.old_spte, mmu.fmt)
        young += count(is_shadow_present_leaf(it.old_spte, it.level) & accessed)
    return young > 0


def _leaves(mmu: MmuState, slot: "MemorySlot", start: Gfn, end: Gfn) -> Iterator[TdpIter]:
    """Walk a range in every root, inside RCU sections; the caller must walk to the end."""
    for root in for_each_tdp_mmu_root_yield_safe(mmu, slot.as_id):
        mmu.kvm.rcu.read_lock()
        yield from for_each_tdp_pte_min_level(mmu, root, PG_LEVEL_4K, start, end)
        mmu.kvm.rcu.read_unlock()
