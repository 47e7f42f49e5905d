"""Removing mappings: leaf by leaf, a table with all below it, or everything.

=============================  ==================  ================================
who zaps                       mmu_lock            who flushes
=============================  ==================  ================================
notifier, slot on its own      writing             the caller, once, before unlock
an invalid root                reading             nobody: no vCPU can reach it
the end of the VM              writing             nobody: no vCPU will run again
=============================  ==================  ================================

Kernel: arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
"""

from typing import TYPE_CHECKING

import numpy as np

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import Cause
from kvmmu_edu.units import (
    PG_LEVEL_1G,
    PG_LEVEL_2M,
    PG_LEVEL_4K,
    Gfn,
    Level,
)
from kvmmu_edu.x86.mmu_page import role_as_id, role_is_invalid, role_level
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.resched import tdp_mmu_iter_cond_resched
from kvmmu_edu.x86.spte import is_shadow_present_leaf, is_shadow_present_pte
from kvmmu_edu.x86.spte_gate import (
    count,
    tdp_mmu_iter_set_spte,
    tdp_mmu_set_spte,
    tdp_mmu_set_spte_atomic,
)
from kvmmu_edu.x86.tdp_iter import Span, for_each_tdp_pte_min_level
from kvmmu_edu.x86.tdp_roots import for_each_tdp_mmu_root_yield_safe, tdp_mmu_put_root

if TYPE_CHECKING:
    from kvmmu_edu.trace.events import Sptes
    from kvmmu_edu.virt.arch import GfnRange
    from kvmmu_edu.x86.tdp_iter import TdpIter


def _emptied(mmu: MmuState, it: "TdpIter", doomed: object) -> "Sptes":
    """Return what the span holds when its *doomed* entries are gone."""
    empty = mmu.fmt.SHADOW_NONPRESENT_VALUE
    if isinstance(it.old_spte, int):
        return empty
    return np.where(np.asarray(doomed, np.bool_), np.uint64(empty), it.old_spte)


def _zap_levels(mmu: MmuState, root: int) -> tuple[Level, ...]:
    """Return the levels of the passes, each of which zaps what is at or below its level.

    In v6.1: two passes, so that 2M and 4K entries go with the table they are in.
    """
    top = role_level(mmu.arena.roles[root])
    if mmu.kvm.choices.is_6_1:
        return (PG_LEVEL_1G, top)
    return (PG_LEVEL_4K, PG_LEVEL_2M, PG_LEVEL_1G, top)


async def tdp_mmu_zap_root(mmu: MmuState, root: int, *, shared: bool) -> None:
    """Empty a root, in passes from small to large so that no step takes long.

    Locks: mmu_lock, for reading if *shared*.
    Kernel: tdp_mmu_zap_root(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    In v6.1: two passes instead of four.
    """
    mmu.kvm.rcu.read_lock()
    for zap_level in _zap_levels(mmu, root):
        await _tdp_mmu_zap_root(mmu, root, zap_level, shared=shared)
    mmu.kvm.rcu.read_unlock()


async def _tdp_mmu_zap_root(mmu: MmuState, root: int, zap_level: Level, *, shared: bool) -> None:
    """Zap what is present at or below *zap_level*.

    Kernel: __tdp_mmu_zap_root(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    for it in for_each_tdp_pte_min_level(mmu, root, zap_level, 0, mmu.max_gfn + 1):
        if await tdp_mmu_iter_cond_resched(mmu, it, flush=False, shared=shared):
            continue
        while it.level <= zap_level:
            doomed = is_shadow_present_pte(it.old_spte)
            if not count(doomed):
                break
            new = _emptied(mmu, it, doomed)
            if not shared:
                await tdp_mmu_iter_set_spte(mmu, it, new, Cause.ZAP)
                break
            if await tdp_mmu_set_spte_atomic(mmu, it, new, Cause.ZAP):
                break


async def tdp_mmu_zap_sp(mmu: MmuState, sp: int) -> bool:
    """Zap the entry that points to table *sp*; return whether a flush is owed.

    The caller flushes before its RCU section ends.

    Locks: mmu_lock for writing; RCU read section.
    Kernel: kvm_tdp_mmu_zap_sp(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    arena = mmu.arena
    table, role = int(arena.parent[sp]), arena.roles[sp]
    if table < 0:
        raise KernelBug(f"table {sp} is a root: no entry points to it")
    index = int(arena.parent_index[sp])
    span = Span(table, index, arena.gfns[sp], role_level(role) + 1, role_as_id(role))
    await tdp_mmu_set_spte(mmu, span, mmu.fmt.SHADOW_NONPRESENT_VALUE, Cause.ZAP)
    return True


async def tdp_mmu_zap_leafs(
    mmu: MmuState, root: int, start: Gfn, end: Gfn, *, can_yield: bool, flush: bool
) -> bool:
    """Zap the pages of [*start*, *end*), but no tables; return whether a flush is owed.

    :param flush: whether the caller owes one already
    Locks: mmu_lock for writing.
    Kernel: tdp_mmu_zap_leafs(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    In v6.1: owes a flush for an invalid root, too.
    """
    mmu.kvm.rcu.read_lock()
    for it in for_each_tdp_pte_min_level(mmu, root, PG_LEVEL_4K, start, min(end, mmu.max_gfn + 1)):
        if can_yield and await tdp_mmu_iter_cond_resched(mmu, it, flush=flush, shared=False):
            flush = False
            continue
        doomed = is_shadow_present_leaf(it.old_spte, it.level)
        if not count(doomed):
            continue
        await tdp_mmu_iter_set_spte(mmu, it, _emptied(mmu, it, doomed), Cause.ZAP)
        if mmu.kvm.choices.is_6_1 or not role_is_invalid(mmu.arena.roles[root]):
            flush = True
    mmu.kvm.rcu.read_unlock()
    return flush


async def tdp_mmu_unmap_gfn_range(mmu: MmuState, gfn_range: "GfnRange", *, flush: bool) -> bool:
    """Zap the pages of a range in every root, also in invalid ones; return the owed flush.

    Locks: mmu_lock for writing.
    Kernel: kvm_tdp_mmu_unmap_gfn_range(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    for root in for_each_tdp_mmu_root_yield_safe(mmu, gfn_range.slot.as_id):
        flush = await tdp_mmu_zap_leafs(
            mmu, root, gfn_range.start, gfn_range.end, can_yield=gfn_range.may_block, flush=flush
        )
    return flush


async def tdp_mmu_zap_invalidated_roots(mmu: MmuState) -> None:
    """Zap the roots that were invalidated, and put the TDP MMU's own references.

    No flush: no vCPU can use such a root, and each flushes when it loads another one.

    Locks: takes mmu_lock for reading.
    Kernel: kvm_tdp_mmu_zap_invalidated_roots(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    async with mmu.kvm.mmu_lock.read:
        for root in for_each_tdp_mmu_root_yield_safe(mmu):
            if root not in mmu.scheduled_roots_to_zap:
                continue
            mmu.scheduled_roots_to_zap.remove(root)
            if not role_is_invalid(mmu.arena.roles[root]):
                raise KernelBug(f"root {root} is to be zapped although it is valid")
            await tdp_mmu_zap_root(mmu, root, shared=True)
            tdp_mmu_put_root(mmu, root)


async def tdp_mmu_zap_all(mmu: MmuState) -> None:
    """Zap every root, as the VM ends; nothing is flushed, no vCPU will run again.

    Locks: mmu_lock for writing.
    Kernel: kvm_tdp_mmu_zap_all(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    for root in for_each_tdp_mmu_root_yield_safe(mmu):
        await tdp_mmu_zap_root(mmu, root, shared=False)
