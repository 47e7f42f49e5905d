"""Does each SPTE map what the slots and the host say?  For checks, when no task runs.

Whatever the slots and the host's page tables said when a page was mapped, they may have changed
since.  Then somebody had to remove the SPTE: the notifier, or whoever changed the slot.  So at
rest all three agree, and a page that was given away is mapped nowhere.

Ours: nobody walks these three together in the kernel.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.host.page_table import PAGE_PRESENT, PAGE_RW, PMD_SHIFT, PUD_SHIFT, entries_of
from kvmmu_edu.units import PAGES_PER_HPAGE, PG_LEVEL_1G, PG_LEVEL_2M, PG_LEVEL_4K, Level
from kvmmu_edu.virt.memory_slot import MEM_READONLY
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.x86.mmu_page import role_as_id
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.spte import (
    MMIO_SPTE_GEN_MASK,
    PT_WRITABLE_MASK,
    is_shadow_present_leaf,
    spte_to_pfn,
)

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm
    from kvmmu_edu.virt.memory_slot import MemorySlot

Numbers = NDArray[np.int64]


class Leaves(NamedTuple):
    """Entries of one level that map pages, or say that there is none; in rising order of gfn.

    :ivar gfns: int64[n]
    :ivar sptes: uint64[n]
    """

    gfns: Numbers
    sptes: NDArray[np.uint64]


def check_mapped_pages(mmu: MmuState, linked: dict[Level, list[int]]) -> None:
    """Raise unless each leaf maps a page of a slot, as the host has it mapped, or less.

    :param linked: the rows of the tables that roots lead to, by level
    Cost: O(tables), then memory bandwidth.
    """
    for level, found in linked.items():
        rows = np.array(found, np.int64)
        as_ids = np.array([role_as_id(role) for role in mmu.arena.role[rows].tolist()], np.int64)
        for as_id in np.unique(as_ids).tolist():
            here = rows[as_ids == as_id]
            # walks of MMIO end at the lowest level
            if level == PG_LEVEL_4K:
                _check_mmio(mmu, as_id, _find(mmu, here, level, mmio=True))
            if level <= PG_LEVEL_1G:
                _check_leaves(mmu, as_id, level, _find(mmu, here, level, mmio=False))


def _find(mmu: MmuState, rows: Numbers, level: Level, *, mmio: bool) -> Leaves:
    """Return the leaves of some tables of one level, or their MMIO entries."""
    sptes = mmu.arena.spt[rows]
    if mmio:
        wanted = (sptes & mmu.fmt.shadow_mmio_mask) == mmu.fmt.shadow_mmio_value
    else:
        wanted = is_shadow_present_leaf(sptes, level)
    where, columns = np.nonzero(wanted)
    gfns = mmu.arena.gfn[rows[where]] + columns * PAGES_PER_HPAGE[level]
    order = np.argsort(gfns, kind="stable")
    return Leaves(gfns[order], sptes[wanted][order])


def _slots(mmu: MmuState, as_id: int, gfns: Numbers) -> tuple[list["MemorySlot"], Numbers]:
    """Return all slots, and for each frame which of them it is in, -1 for none."""
    slots = memslots(mmu.kvm, as_id).slots_by_gfn()
    starts = np.array([slot.base_gfn for slot in slots], np.int64)
    ends = np.array([slot.end_gfn for slot in slots] or [0], np.int64)
    index = np.searchsorted(starts, gfns, side="right") - 1
    return slots, np.where(gfns < ends[index], index, -1)


def _check_mmio(mmu: MmuState, as_id: int, found: Leaves) -> None:
    """Raise if an MMIO entry as new as the slots says that there is no memory where there is."""
    if not found.gfns.size:
        return
    now = memslots(mmu.kvm, as_id).generation.read_once() & MMIO_SPTE_GEN_MASK
    low, high = (found.sptes >> 3) & 0xFF, (found.sptes >> 52) & 0x7FF
    _, index = _slots(mmu, as_id, found.gfns)
    wrong = ((low | high << 8) == now) & (index >= 0)
    if wrong.any():
        gfn = int(found.gfns[wrong][0])
        raise InvariantError(f"an MMIO SPTE denies memory at gfn {gfn:#x}, where there is a slot")


def _check_leaves(mmu: MmuState, as_id: int, level: Level, found: Leaves) -> None:
    gfns, sptes = found
    if not gfns.size:
        return
    slots, index = _slots(mmu, as_id, gfns)
    ends = np.array([slot.end_gfn for slot in slots] or [0], np.int64)
    outside = (index < 0) | (gfns + PAGES_PER_HPAGE[level] > ends[index])
    _refuse(outside, found, level, "it does not lie within a slot")
    offsets = np.array([slot.userspace_addr - (slot.base_gfn << 12) for slot in slots], np.int64)
    entries, levels = _host_entries(mmu.kvm.mm, (gfns << 12) + offsets[index])
    pfns = spte_to_pfn(sptes).astype(np.int64)
    same = ((entries & PAGE_PRESENT) != 0) & (entries >> 12 == pfns)
    _refuse(~same, found, level, "the host has another page there, or none")
    _refuse(levels < level, found, level, "the host's page is smaller")
    read_only = np.array([bool(slot.flags & MEM_READONLY) for slot in slots], np.bool_)
    writable = (sptes & (PT_WRITABLE_MASK | mmu.fmt.shadow_mmu_writable_mask)) != 0
    forbidden = read_only[index] | ((entries & PAGE_RW) == 0)
    _refuse(writable & forbidden, found, level, "it allows writes, the slot or the host does not")


def _refuse(wrong: NDArray[np.bool_], found: Leaves, level: Level, why: str) -> None:
    if wrong.any():
        i = int(wrong.argmax())
        where = f"gfn {found.gfns[i]:#x} of level {level}"
        raise InvariantError(f"SPTE {found.sptes[i]:#x} maps {where}, but {why}")


def _host_entries(mm: "Mm", hvas: Numbers) -> tuple[Numbers, Numbers]:
    """Return the host's entry for each 4K page, its frame in bits 12 and up, and its level.

    :param hvas: int64[n], bytes
    """
    entries, levels = np.zeros(len(hvas), np.int64), np.full(len(hvas), PG_LEVEL_4K, np.int64)
    order = np.argsort(hvas, kind="stable")
    numbers, firsts = np.unique(hvas[order] >> PMD_SHIFT, return_index=True)
    for number, here in zip(numbers.tolist(), np.split(order, firsts[1:]), strict=True):
        pages = hvas[here] >> 12
        block = mm.page_table.blocks.get(number)
        if block is None:
            giga = mm.page_table.gigas.get(number >> (PUD_SHIFT - PMD_SHIFT))
            if giga is not None:
                entries[here] = giga + ((pages & 0x3FFFF) << 12)
                levels[here] = PG_LEVEL_1G
        elif isinstance(block, int):
            entries[here] = block + ((pages & 0x1FF) << 12)
            levels[here] = PG_LEVEL_2M
        else:
            entries[here] = entries_of(block)[pages & 0x1FF]
    return entries, levels
