"""Reverse maps: for each page of a slot, the entries that map it.

A slot has an array of list heads for each page size, 8 bytes for each page that it touches:
2,101,256 bytes for each GiB, 0.2 % of it.  The arrays are allocated in whole pages, which
costs a slot of one page 3 x 4096 bytes for three heads.

The TDP MMU needs none of this, since it finds the entry of a frame by walking down from the
root; so the arrays are made only where the shadow MMU is in use.

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
Simplified: heads of empty lists are not stored; :attr:`RmapArray.nbytes` says how much memory
    the whole array takes.
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import Cause, RmapAdded, RmapRemoved, RmapsAllocated, RmapsFreed
from kvmmu_edu.units import (
    MAX_HUGEPAGE_LEVEL,
    PAGE_SIZE,
    PAGES_PER_HPAGE,
    PG_LEVEL_4K,
    Gfn,
    Level,
    gfn_to_index,
)
from kvmmu_edu.virt.gfn_tree import _gfn_to_memslot
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.virt.requests import flush_remote_tlbs_range
from kvmmu_edu.x86.mmu_page import role_as_id
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.pte_list import (
    RmapHead,
    Sptep,
    for_each_rmap_spte,
    pte_list_add,
    pte_list_remove,
)
from kvmmu_edu.x86.shadow_gate import (
    mmu_page_get_gfn,
    mmu_spte_clear_track_bits,
    sptep_level,
    table_and_index,
)
from kvmmu_edu.x86.slot_arch import arch_of

if TYPE_CHECKING:
    from kvmmu_edu.virt.memory_slot import MemorySlot

#: a list as long as this is thrown away
RMAP_RECYCLE_THRESHOLD: Final = 1000
SIZE_OF_RMAP_HEAD: Final = 8


class RmapArray:
    """The reverse maps of a slot for one page size.

    :ivar entries: how many heads the array has
    :ivar heads: those that are not empty, by index

    Ours as a class: an array in the kernel.
    """

    __slots__ = ("base_gfn", "entries", "heads", "level")

    def __init__(self, base_gfn: Gfn, npages: int, level: Level) -> None:
        """Make the empty heads of a slot that begins at *base_gfn*."""
        self.base_gfn = base_gfn
        self.level = level
        self.entries = gfn_to_index(base_gfn + npages - 1, base_gfn, level) + 1
        self.heads: dict[int, RmapHead] = {}

    @property
    def nbytes(self) -> int:
        """The bytes that the kernel asks for."""
        return SIZE_OF_RMAP_HEAD * self.entries

    @property
    def page_bytes(self) -> int:
        """The bytes of the whole pages that it gets."""
        return -(-self.nbytes // PAGE_SIZE) * PAGE_SIZE

    def used(self, start: Gfn, end: Gfn) -> list[int]:
        """Return the indices of the heads for [*start*, *end*) that are not empty, ascending."""
        first = gfn_to_index(start, self.base_gfn, self.level)
        last = gfn_to_index(end - 1, self.base_gfn, self.level)
        if last - first < len(self.heads):
            return [index for index in range(first, last + 1) if index in self.heads]
        return sorted(index for index in self.heads if first <= index <= last)

    def gfn_at(self, index: int) -> Gfn:
        """Return the first frame of the page of head *index*."""
        pages = PAGES_PER_HPAGE[self.level]
        return (self.base_gfn // pages + index) * pages


def memslots_have_rmaps(mmu: MmuState) -> bool:
    """Return whether slots have reverse maps.

    Kernel: kvm_memslots_have_rmaps(), arch/x86/kvm/mmu.h (v6.12)
    Simplified: no nested guests; with the TDP MMU a first one would need them.
    """
    return not mmu.tdp_mmu_enabled


def memslot_rmap_alloc(mmu: MmuState, slot: "MemorySlot") -> None:
    """Make the reverse maps of a slot.

    Locks: slots_arch_lock.
    Kernel: memslot_rmap_alloc(), arch/x86/kvm/x86.c (v6.12)
    """
    cells = arch_of(slot).rmap
    for level, cell in enumerate(cells, PG_LEVEL_4K):
        cell.write_once(RmapArray(slot.base_gfn, slot.npages, level))
    mmu.kvm.trace.emit(RmapsAllocated, slot.serial, *_sizes(slot))


def memslot_rmap_free(mmu: MmuState, slot: "MemorySlot") -> None:
    """Free the reverse maps of a slot, if it has any.

    :raises KernelBug: something is still mapped
    Kernel: memslot_rmap_free(), arch/x86/kvm/x86.c (v6.12)
    """
    arrays = [rmaps_of(slot, level) for level in _LEVELS]
    if not any(arrays):
        return
    for array in arrays:
        if array is not None and array.heads:
            gfn = array.gfn_at(min(array.heads))
            raise KernelBug(f"the reverse maps of {slot} are freed, but gfn {gfn:#x} is mapped")
    mmu.kvm.trace.emit(RmapsFreed, slot.serial, *_sizes(slot))


_LEVELS: Final = range(PG_LEVEL_4K, MAX_HUGEPAGE_LEVEL + 1)


def _sizes(slot: "MemorySlot") -> tuple[int, int]:
    arrays = [array for level in _LEVELS if (array := rmaps_of(slot, level)) is not None]
    return sum(array.nbytes for array in arrays), sum(array.page_bytes for array in arrays)


def rmaps_of(slot: "MemorySlot", level: Level) -> RmapArray | None:
    """Return the reverse maps of a slot for pages of *level*, None if it has none.

    Ours: ``slot->arch.rmap[level - 1]``.
    """
    array = arch_of(slot).rmap[level - PG_LEVEL_4K].read_once()
    assert array is None or isinstance(array, RmapArray)
    return array


def gfn_to_rmap(slot: "MemorySlot", gfn: Gfn, level: Level) -> RmapHead:
    """Return the list of the entries of *level* that map *gfn*; it may be a new empty one.

    :raises KernelBug: the slot has no reverse maps
    Kernel: gfn_to_rmap(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    array = rmaps_of(slot, level)
    if array is None:
        raise KernelBug(f"{slot} has no reverse maps")
    index = gfn_to_index(gfn, slot.base_gfn, level)
    found = array.heads.get(index)
    if found is None:
        found = array.heads[index] = RmapHead()
    return found


def drop_empty_head(slot: "MemorySlot", gfn: Gfn, level: Level) -> None:
    """Forget a head whose list is empty.

    Ours: nothing happens in the kernel, where arrays have all heads.
    """
    array = rmaps_of(slot, level)
    index = gfn_to_index(gfn, slot.base_gfn, level)
    if array is not None and index in array.heads and not array.heads[index].val:
        del array.heads[index]


def _rmap_add(mmu: MmuState, slot: "MemorySlot", sptep: Sptep, gfn: Gfn) -> None:
    """Remember that an entry maps *gfn*; throw the list away if it has become too long.

    Locks: mmu_lock for writing.
    Kernel: __rmap_add(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    level = sptep_level(mmu, sptep)
    head = gfn_to_rmap(slot, gfn, level)
    count = pte_list_add(head, sptep, is_6_1=mmu.kvm.choices.is_6_1)
    mmu.kvm.trace.emit(RmapAdded, slot.serial, gfn, level, *table_and_index(sptep), count)
    if count > RMAP_RECYCLE_THRESHOLD:
        zap_all_rmap_sptes(mmu, slot, gfn, level)
        flush_remote_tlbs_range(mmu.kvm, gfn, PAGES_PER_HPAGE[level], "__rmap_add")


def rmap_remove(mmu: MmuState, sptep: Sptep) -> None:
    """Forget that an entry maps a page.

    Who maps something knows the slot; who unmaps has to look for it.

    :raises KernelBug: there is no slot where the entry maps something
    Locks: mmu_lock for writing.
    Kernel: rmap_remove(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    gfn, level = mmu_page_get_gfn(mmu, sptep), sptep_level(mmu, sptep)
    as_id = role_as_id(mmu.arena.roles[table_and_index(sptep)[0]])
    slot = _gfn_to_memslot(memslots(mmu.kvm, as_id), gfn)
    if slot is None:
        raise KernelBug(f"entry {table_and_index(sptep)} maps gfn {gfn:#x}, which is in no slot")
    remove_from_rmap(mmu, slot, gfn, level, sptep)


def remove_from_rmap(
    mmu: MmuState, slot: "MemorySlot", gfn: Gfn, level: Level, sptep: Sptep
) -> None:
    """Take an entry out of the list of a page whose slot is known.

    Ours as a function: pte_list_remove() is called directly.
    """
    pte_list_remove(gfn_to_rmap(slot, gfn, level), sptep, is_6_1=mmu.kvm.choices.is_6_1)
    drop_empty_head(slot, gfn, level)
    mmu.kvm.trace.emit(RmapRemoved, slot.serial, gfn, level, *table_and_index(sptep))


def zap_all_rmap_sptes(mmu: MmuState, slot: "MemorySlot", gfn: Gfn, level: Level) -> bool:
    """Unmap a page everywhere; return whether it was mapped.

    Locks: mmu_lock for writing.
    Kernel: kvm_zap_all_rmap_sptes(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    head = gfn_to_rmap(slot, gfn, level)
    sptes = list(for_each_rmap_spte(head))
    head.val = 0
    drop_empty_head(slot, gfn, level)
    for sptep in sptes:
        mmu_spte_clear_track_bits(mmu, sptep, Cause.ZAP)
        mmu.kvm.trace.emit(RmapRemoved, slot.serial, gfn, level, *table_and_index(sptep))
    return bool(sptes)
