"""The gate: every change of a TDP SPTE goes through here, is accounted for, and is told.

Storing a value and handling the change are two steps, because they can be apart: a zap that
must flush before anybody may reuse the entry stores twice and handles once.

=====================  ==========================================================
what is held           how an entry changes
=====================  ==========================================================
mmu_lock for reading   compare and exchange: :func:`tdp_mmu_set_spte_atomic`
mmu_lock for writing   plain store: :func:`tdp_mmu_iter_set_spte`
nothing                fast page fault, the CPU's A/D bits: :func:`change_quietly`
=====================  ==========================================================

Kernel: arch/x86/kvm/mmu/tdp_mmu.c, arch/x86/kvm/mmu/tdp_iter.h (v6.12)
"""

from itertools import pairwise
from typing import Any

import numpy as np

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import (
    Cause,
    FrozenSpteHandled,
    MmuPageFreed,
    PrepareZapPage,
    RcuCallbackQueued,
    SpteChanged,
    Sptes,
    Tables,
)
from kvmmu_edu.units import PAGES_PER_HPAGE, SPTE_ENT_PER_PAGE, Level
from kvmmu_edu.virt.requests import flush_remote_tlbs_range
from kvmmu_edu.x86.arena import table_of, tables_of
from kvmmu_edu.x86.mmu_page import role_as_id, role_level
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.spte import (
    is_shadow_present_leaf,
    is_shadow_present_pte,
    is_shadow_present_table,
    spte_to_pfn,
)
from kvmmu_edu.x86.tdp_iter import Span, TdpIter
from kvmmu_edu.x86.tdp_pages import tdp_mmu_unlink_sp


def count(flags: Any) -> int:
    """Return how many of *flags* (a truth value or an array of them) are true.

    Ours.
    """
    if flags is False:
        return 0
    return 1 if flags is True else int(np.count_nonzero(flags))


def _store(mmu: MmuState, table: Any, index: Any, new: Any) -> None:
    if isinstance(index, int):
        mmu.arena.words[table * SPTE_ENT_PER_PAGE + index] = new
    else:
        mmu.arena.spt[table, index] = new


def change_quietly(
    mmu: MmuState, span: Span | TdpIter, *, old: Sptes, new: Sptes, cause: Cause
) -> None:
    """Store without the bookkeeping of :func:`handle_changed_spte`.

    For changes that map and unmap nothing (the CPU's own bits, write access given back
    without a lock), and for entries that no other CPU can reach yet.

    Ours as a name: the kernel stores in several places.
    Kernel: __kvm_tdp_mmu_write_spte(), arch/x86/kvm/mmu/tdp_iter.h (v6.12)
    """
    as_id, level, gfn, table, index = span.as_id, span.level, span.gfn, span.table, span.index
    _store(mmu, table, index, new)
    mmu.kvm.trace.emit(SpteChanged, as_id, level, gfn, table, index, old, new, cause, 0)


async def tdp_mmu_set_spte_atomic(mmu: MmuState, it: TdpIter, new: Sptes, cause: Cause) -> bool:
    """Replace what the walk stands on, unless another task was quicker.

    :param new: one value, or one for each entry of the span
    :returns: false if an entry is no longer what the walk saw; it has then been read again
    Locks: mmu_lock for reading; RCU read section.
    Kernel: tdp_mmu_set_spte_atomic(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    if not _cmpxchg(mmu, it, new):
        return False
    await handle_changed_spte(mmu, it, it.old_spte, new, cause, shared=True)
    return True


def _cmpxchg(mmu: MmuState, it: TdpIter, new: Any) -> bool:
    """Store *new* if nothing has changed; either way the walk knows then what was there.

    Kernel: try_cmpxchg64, include/linux/atomic/atomic-instrumented.h (v6.12)
    """
    old, table, index = it.old_spte, it.table, it.index
    if not isinstance(index, int):
        it.refresh()
        same = bool((it.old_spte == old).all())
        if same:
            mmu.arena.spt[table, index] = new
        return same
    # one entry: each fault comes here
    words, word = mmu.arena.words, table * SPTE_ENT_PER_PAGE + index
    it.old_spte = now = words[word]
    if now != old:
        return False
    words[word] = new
    return True


async def tdp_mmu_iter_set_spte(mmu: MmuState, it: TdpIter, new: Sptes, cause: Cause) -> None:
    """Replace what the walk stands on, with mmu_lock held for writing.

    What the CPU or a fast page fault changed meanwhile is not lost: the entry is exchanged,
    and ``it.old_spte`` is what was really there.

    Locks: mmu_lock for writing; RCU read section.
    Kernel: tdp_mmu_iter_set_spte(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    it.refresh()
    _store(mmu, it.table, it.index, new)
    await handle_changed_spte(mmu, it, it.old_spte, new, cause, shared=False)


async def tdp_mmu_set_spte(mmu: MmuState, span: Span, new: int, cause: Cause) -> None:
    """Replace one entry that is found otherwise than by a walk.

    Locks: mmu_lock for writing.
    Kernel: tdp_mmu_set_spte(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    assert isinstance(span.table, int)
    assert isinstance(span.index, int)
    old = mmu.arena.read(span.table, span.index)
    _store(mmu, span.table, span.index, new)
    await handle_changed_spte(mmu, span, old, new, cause, shared=False)


async def tdp_mmu_zap_spte_atomic(mmu: MmuState, it: TdpIter) -> bool:
    """Empty one entry, and flush before anybody can install something else there.

    The entry is frozen, TLBs are flushed, the entry is emptied; only then is the removed
    subtree taken apart, so that vCPUs are kept waiting as short as possible.

    :returns: false if the entry changed meanwhile; it has then been read again
    Locks: mmu_lock for reading; RCU read section.
    Kernel: tdp_mmu_zap_spte_atomic(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    In v6.1: the subtree is taken apart before the flush, while the entry is frozen.
    """
    frozen, empty = mmu.fmt.FROZEN_SPTE, mmu.fmt.SHADOW_NONPRESENT_VALUE
    old = it.old_spte
    await mmu.kvm.sched.checkpoint("spte", it.table, it.index)
    if mmu.kvm.choices.is_6_1:
        if not await tdp_mmu_set_spte_atomic(mmu, it, frozen, Cause.ZAP):
            return False
        await _flush_frozen(mmu, it)
        change_quietly(mmu, it, old=frozen, new=empty, cause=Cause.THAW)
        return True
    it.refresh()
    if not isinstance(old, int) or it.old_spte != old:
        return False
    change_quietly(mmu, it, old=old, new=frozen, cause=Cause.ZAP_FREEZE)
    await _flush_frozen(mmu, it)
    change_quietly(mmu, it, old=frozen, new=empty, cause=Cause.THAW)
    leaves = -count(is_shadow_present_leaf(old, it.level))
    where = (it.as_id, it.level, it.gfn, it.table, it.index)
    mmu.kvm.trace.emit(FrozenSpteHandled, *where, old, empty, leaves)
    if is_shadow_present_table(old, it.level):
        await handle_removed_pt(mmu, table_of(old), shared=True)
    return True


async def _flush_frozen(mmu: MmuState, it: TdpIter) -> None:
    flush_remote_tlbs_range(mmu.kvm, it.gfn, PAGES_PER_HPAGE[it.level], "tdp_mmu_zap_spte_atomic")
    await mmu.kvm.sched.checkpoint("tlb")


async def handle_changed_spte(
    mmu: MmuState, span: Span | TdpIter, old: Sptes, new: Sptes, cause: Cause, *, shared: bool
) -> None:
    """Do the bookkeeping that a change of entries owes, and tell the trace.

    Counts mapped pages, and takes apart the tables that an entry no longer points to.

    :param old: what the entries held; *new*: what they hold now, or one value for all
    :param shared: whether mmu_lock is held for reading, so that others may change the entries
        of a removed table at the same time
    :raises KernelBug: a page would be replaced by another page without a zap between
    Locks: mmu_lock.
    Kernel: handle_changed_spte(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    In v6.1: __handle_changed_spte() did the work; with mmu_lock held for writing, the dirty
        bitmap was marked here as well.
    Simplified: no reporting of dirty and accessed pages to the host; host pages here have no
        such flags.
    """
    level = span.level
    was_leaf = is_shadow_present_leaf(old, level)
    is_leaf = is_shadow_present_leaf(new, level)
    if was_leaf is not False and is_leaf is not False:
        _check_same_pfn(span, old, new, was_leaf & is_leaf)
    leaves = count(is_leaf) - count(was_leaf)
    as_id, gfn, table, index = span.as_id, span.gfn, span.table, span.index
    mmu.kvm.trace.emit(SpteChanged, as_id, level, gfn, table, index, old, new, cause, leaves)
    if level > 1:
        gone = is_shadow_present_table(old, level)
        if gone is not False:
            await _handle_removed_tables(mmu, old, new, level, gone, shared=shared)


def _check_same_pfn(span: Span | TdpIter, old: Sptes, new: Sptes, stays_leaf: Any) -> None:
    if count(stays_leaf & (spte_to_pfn(old) != spte_to_pfn(new))):
        msg = (
            f"a present leaf at gfn {span.gfn:#x} level {span.level} is replaced by a leaf of "
            f"another pfn without a zap between: {old} -> {new}"
        )
        raise KernelBug(msg)


async def _handle_removed_tables(
    mmu: MmuState, old: Sptes, new: Sptes, level: Level, gone: Any, *, shared: bool
) -> None:
    """Take apart the tables of those entries that point to none any more."""
    stays = is_shadow_present_table(new, level)
    if isinstance(old, int):
        if not stays:
            await handle_removed_pt(mmu, table_of(old), shared=shared)
        elif spte_to_pfn(old) != spte_to_pfn(new):
            raise KernelBug(f"a table moved: {old:#x} -> {new:#x}")
        return
    removed = tables_of(old[gone & ~np.asarray(stays, np.bool_)])
    if removed.size:
        which = int(removed[0]) if removed.size == 1 else removed
        await handle_removed_pt(mmu, which, shared=shared)


async def handle_removed_pt(mmu: MmuState, tables: Tables, *, shared: bool) -> None:
    """Take apart tables that were just unlinked: freeze their entries, free them after RCU.

    :param tables: one table, or adjacent tables of one level
    :param shared: others may still be changing the entries: freeze them all, empty or not;
        otherwise only the present ones
    Nobody flushes here: who removed the tables does so before its RCU section ends, once for
    all of them.  Before Linux 5.18 each table was flushed for (``flush_on_zap="per_table"``).

    Locks: mmu_lock.  The tables themselves are ours alone: this task unlinked them.
    Kernel: handle_removed_pt(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    arena, trace = mmu.arena, mmu.kvm.trace
    first = tables if isinstance(tables, int) else int(tables[0])
    role, gfn = arena.roles[first], arena.gfns[first]
    level, as_id = role_level(role), role_as_id(role)
    trace.emit(PrepareZapPage, tables, as_id, gfn, level, role)
    await tdp_mmu_unlink_sp(mmu, tables, shared=shared)
    if isinstance(tables, int):
        for columns in _freezing_order(mmu, tables, level):
            part_gfn = gfn + columns.start * PAGES_PER_HPAGE[level]
            await _freeze(mmu, Span(tables, columns, part_gfn, level, as_id), shared=shared)
    else:
        everything = slice(0, SPTE_ENT_PER_PAGE)
        await _freeze(mmu, Span(tables, everything, gfn, level, as_id), shared=shared)
    if mmu.kvm.choices.flush_on_zap == "per_table":
        _flush_each_table(mmu, tables, level)
    trace.emit(RcuCallbackQueued, tables)
    mmu.kvm.rcu.call(lambda: tdp_mmu_free_sp_rcu_callback(mmu, tables))


def _flush_each_table(mmu: MmuState, tables: Tables, level: Level) -> None:
    """Flush once for each removed table, as before Linux 5.18."""
    for table in [tables] if isinstance(tables, int) else tables.tolist():
        gfn, npages = mmu.arena.gfns[table], PAGES_PER_HPAGE[level + 1]
        flush_remote_tlbs_range(mmu.kvm, gfn, npages, "handle_removed_tdp_mmu_page")


def _freezing_order(mmu: MmuState, table: int, level: Level) -> list[slice]:
    """Return the columns of a table in groups: each entry that leads to a table is alone."""
    linked = np.flatnonzero(is_shadow_present_table(mmu.arena.spt[table], level))
    edges = sorted({0, SPTE_ENT_PER_PAGE, *linked.tolist(), *(linked + 1).tolist()})
    return [slice(a, b) for a, b in pairwise(edges)]


async def _freeze(mmu: MmuState, span: Span, *, shared: bool) -> None:
    """Freeze the entries of a span, and handle what they held."""
    frozen = mmu.fmt.FROZEN_SPTE
    old = mmu.arena.spt[span.table, span.index].copy()
    doomed = old != frozen if shared else is_shadow_present_pte(old)
    if doomed.any():
        new = np.where(doomed, np.uint64(frozen), old)
        _store(mmu, span.table, span.index, new)
        await handle_changed_spte(mmu, span, old, new, Cause.FREEZE, shared=shared)


def tdp_mmu_free_sp_rcu_callback(mmu: MmuState, tables: Tables) -> None:
    """Free tables after a grace period.

    Kernel: tdp_mmu_free_sp_rcu_callback(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    mmu.arena.free(tables)
    mmu.kvm.trace.emit(MmuPageFreed, tables)
