"""Work on all that maps a range of a slot: write protection, zaps, aging.

Where the TDP MMU walks page tables, the shadow MMU walks the reverse maps: first those of 4K
pages, then those of larger ones, always with mmu_lock held for writing.

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from kvmmu_edu.trace.events import Cause
from kvmmu_edu.units import MAX_HUGEPAGE_LEVEL, PG_LEVEL_4K, Gfn, Level
from kvmmu_edu.virt.requests import flush_remote_tlbs_memslot, flush_remote_tlbs_range
from kvmmu_edu.x86.mmu_page import role_level
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.page_fault import mmu_max_mapping_level
from kvmmu_edu.x86.pte_list import RmapHead, Sptep, for_each_rmap_spte
from kvmmu_edu.x86.resched import cond_resched_rwlock_write
from kvmmu_edu.x86.rmap import remove_from_rmap, rmaps_of, zap_all_rmap_sptes
from kvmmu_edu.x86.shadow_gate import (
    mmu_spte_clear_track_bits,
    mmu_spte_update,
    read_spte,
    spte_clear_accessed,
    table_and_index,
)
from kvmmu_edu.x86.spte import (
    PT_WRITABLE_MASK,
    clear_bits,
    is_accessed_spte,
    is_mmu_writable_spte,
    is_writable_pte,
)

if TYPE_CHECKING:
    from kvmmu_edu.virt.arch import GfnRange
    from kvmmu_edu.virt.memory_slot import MemorySlot


class RmapPlace(NamedTuple):
    """A page of a slot and the list of what maps it.

    Ours: struct slot_rmap_walk_iterator has this as its output.
    """

    slot: "MemorySlot"
    gfn: Gfn
    level: Level
    head: RmapHead


Handler: TypeAlias = Callable[[MmuState, RmapPlace], bool]

_ALL_LEVELS: Final = (PG_LEVEL_4K, MAX_HUGEPAGE_LEVEL)


def for_each_slot_rmap_range(
    slot: "MemorySlot", levels: tuple[Level, Level], start: Gfn, end: Gfn
) -> Iterator[RmapPlace]:
    """Yield the pages of [*start*, *end*) that something maps, small ones first.

    :param levels: the first and the last page size
    Kernel: for_each_slot_rmap_range, arch/x86/kvm/mmu/mmu.c (v6.12)
    Simplified: passes over the heads of empty lists.
    """
    for level in range(levels[0], levels[1] + 1):
        array = rmaps_of(slot, level)
        if array is None or start >= end:
            continue
        for index in array.used(start, end):
            # others may have emptied it while the walk gave way
            if index in array.heads:
                yield RmapPlace(slot, array.gfn_at(index), level, array.heads[index])


async def _walk_slot_rmaps(
    mmu: MmuState,
    slot: "MemorySlot",
    handler: Handler,
    levels: tuple[Level, Level],
    start: Gfn,
    end: Gfn,
    *,
    can_yield: bool,
    flush_on_yield: bool,
) -> bool:
    """Call *handler* for all pages of a range that are mapped; return whether a flush is owed.

    :param flush_on_yield: whether what is owed has to be flushed before giving way
    Locks: mmu_lock for writing, dropped to give way.
    Kernel: __walk_slot_rmaps(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    kvm, flush = mmu.kvm, False
    for place in for_each_slot_rmap_range(slot, levels, start, end):
        flush |= handler(mmu, place)
        if not can_yield or not kvm.sched.need_resched():
            continue
        if flush and flush_on_yield:
            flush_remote_tlbs_range(kvm, start, place.gfn - start + 1, "__walk_slot_rmaps")
            flush = False
        await cond_resched_rwlock_write(mmu)
    return flush


async def walk_slot_rmaps(
    mmu: MmuState,
    slot: "MemorySlot",
    handler: Handler,
    levels: tuple[Level, Level],
    *,
    flush_on_yield: bool,
) -> bool:
    """Do so for a whole slot.

    Locks: mmu_lock for writing, dropped to give way.
    Kernel: walk_slot_rmaps(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    end = slot.base_gfn + slot.npages
    return await _walk_slot_rmaps(
        mmu,
        slot,
        handler,
        levels,
        slot.base_gfn,
        end,
        can_yield=True,
        flush_on_yield=flush_on_yield,
    )


# --- write protection ---------------------------------------------------------------------------


def spte_write_protect(mmu: MmuState, sptep: Sptep, *, pt_protect: bool) -> bool:
    """Take write access from an entry; return whether a flush is owed.

    :param pt_protect: for good, as for a page table; else a fast page fault may give it back
    Kernel: spte_write_protect(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    spte = read_spte(mmu, sptep)
    if not is_writable_pte(spte) and not (pt_protect and is_mmu_writable_spte(spte, mmu.fmt)):
        return False
    mask = PT_WRITABLE_MASK | (mmu.fmt.shadow_mmu_writable_mask if pt_protect else 0)
    return mmu_spte_update(mmu, sptep, clear_bits(spte, mask), Cause.WRITE_PROTECT)


def rmap_write_protect(mmu: MmuState, head: RmapHead, *, pt_protect: bool) -> bool:
    """Take write access from all entries of a list; return whether a flush is owed.

    Kernel: rmap_write_protect(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    flush = False
    for sptep in for_each_rmap_spte(head):
        flush |= spte_write_protect(mmu, sptep, pt_protect=pt_protect)
    return flush


def _slot_rmap_write_protect(mmu: MmuState, place: RmapPlace) -> bool:
    return rmap_write_protect(mmu, place.head, pt_protect=False)


async def rmap_remove_write_access(mmu: MmuState, slot: "MemorySlot", start_level: Level) -> None:
    """Take write access from all pages of a slot of at least *start_level*.

    The caller flushes, after mmu_lock was dropped.

    Locks: mmu_lock for writing.
    Ours as a name: the half of a kernel function that is about reverse maps.
    Kernel: kvm_mmu_slot_remove_write_access(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    levels = (start_level, MAX_HUGEPAGE_LEVEL)
    await walk_slot_rmaps(mmu, slot, _slot_rmap_write_protect, levels, flush_on_yield=False)


def rmap_write_protect_pt_masked(mmu: MmuState, slot: "MemorySlot", gfn: Gfn, mask: int) -> None:
    """Take write access from those 4K pages of 64 whose bit in *mask* is set.

    :param gfn: the page of bit 0
    Locks: mmu_lock for writing.
    Ours as a name: the half of a kernel function that is about reverse maps.
    Kernel: kvm_mmu_write_protect_pt_masked(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    first, end = gfn + (mask & -mask).bit_length() - 1, gfn + mask.bit_length()
    small = (PG_LEVEL_4K, PG_LEVEL_4K)
    for place in for_each_slot_rmap_range(slot, small, first, end):
        if mask >> (place.gfn - gfn) & 1:
            rmap_write_protect(mmu, place.head, pt_protect=False)


def rmap_write_protect_gfn(mmu: MmuState, slot: "MemorySlot", gfn: Gfn, min_level: Level) -> bool:
    """Take write access from the pages of at least *min_level* that map *gfn*, for good.

    :returns: whether a flush is owed
    Locks: mmu_lock for writing.
    Ours as a name: the half of a kernel function that is about reverse maps.
    Kernel: kvm_mmu_slot_gfn_write_protect(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    flush = False
    levels = (min_level, MAX_HUGEPAGE_LEVEL)
    for place in for_each_slot_rmap_range(slot, levels, gfn, gfn + 1):
        flush |= rmap_write_protect(mmu, place.head, pt_protect=True)
    return flush


# --- zaps -----------------------------------------------------------------------------------------


def _zap_rmap(mmu: MmuState, place: RmapPlace) -> bool:
    """Unmap a page everywhere.

    Kernel: kvm_zap_rmap(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    return zap_all_rmap_sptes(mmu, place.slot, place.gfn, place.level)


async def rmap_zap_gfn_range(mmu: MmuState, gfn_range: "GfnRange") -> bool:
    """Unmap the pages of a range; return whether a flush is owed.

    A large page that reaches into the range goes as a whole.

    Locks: mmu_lock for writing.
    Kernel: __kvm_rmap_zap_gfn_range(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: kvm_handle_gfn_range(), which does not give way.
    """
    return await _walk_slot_rmaps(
        mmu,
        gfn_range.slot,
        _zap_rmap,
        _ALL_LEVELS,
        gfn_range.start,
        gfn_range.end,
        can_yield=gfn_range.may_block and not mmu.kvm.choices.is_6_1,
        flush_on_yield=True,
    )


async def rmap_zap_collapsible_sptes(mmu: MmuState, slot: "MemorySlot") -> None:
    """Unmap small pages of a slot where larger ones could be; flush once.

    The tables stay, empty: the next fault puts a large page in their place.

    Locks: slots_lock; mmu_lock for writing.
    Kernel: kvm_rmap_zap_collapsible_sptes(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    levels = (PG_LEVEL_4K, MAX_HUGEPAGE_LEVEL - 1)
    flush = await walk_slot_rmaps(mmu, slot, _zap_collapsible_spte, levels, flush_on_yield=True)
    if flush:
        flush_remote_tlbs_memslot(mmu.kvm, slot, "kvm_mmu_zap_collapsible_sptes")


def _zap_collapsible_spte(mmu: MmuState, place: RmapPlace) -> bool:
    """Unmap a page where its table could be replaced by a larger page.

    A table that begins before the slot cannot be replaced by one page.

    Kernel: kvm_mmu_zap_collapsible_spte(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    slot, flush = place.slot, False
    for sptep in list(for_each_rmap_spte(place.head)):
        table, _ = table_and_index(sptep)
        gfn, level = mmu.arena.gfns[table], role_level(mmu.arena.roles[table])
        inside = slot.base_gfn <= gfn < slot.base_gfn + slot.npages
        if inside and level < mmu_max_mapping_level(mmu, slot, gfn):
            mmu_spte_clear_track_bits(mmu, sptep, Cause.ZAP)
            remove_from_rmap(mmu, slot, place.gfn, place.level, sptep)
            flush = True
    return flush


# --- aging ----------------------------------------------------------------------------------------


def rmap_age_gfn_range(mmu: MmuState, gfn_range: "GfnRange", *, test_only: bool) -> bool:
    """Return whether an accessed bit of a range is set; unless *test_only*, clear them all.

    Locks: mmu_lock for writing.
    Kernel: kvm_rmap_age_gfn_range(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: kvm_age_rmap(), kvm_test_age_rmap().
    """
    young = False
    slot, start, end = gfn_range.slot, gfn_range.start, gfn_range.end
    for place in for_each_slot_rmap_range(slot, _ALL_LEVELS, start, end):
        for sptep in for_each_rmap_spte(place.head):
            if not is_accessed_spte(read_spte(mmu, sptep), mmu.fmt):
                continue
            if test_only:
                return True
            spte_clear_accessed(mmu, sptep)
            young = True
    return young
