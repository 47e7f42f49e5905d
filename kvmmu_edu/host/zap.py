"""Taking pages away from the process: unmapping entries, freeing what they mapped.

Frames are freed only after KVM was told, so that no SPTE can reach a frame that somebody else
has: that is the promise of the notifier, and what a missing call breaks.

Kernel: mm/memory.c (v6.12)
"""

from typing import TYPE_CHECKING

import numpy as np

from kvmmu_edu.host.frames import FIRST_FREE_PFN, is_zero_pfn
from kvmmu_edu.host.huge_memory import split_huge_pmd
from kvmmu_edu.host.hugetlb import unmap_hugepage_range
from kvmmu_edu.host.page_table import PMD_SHIFT, PMD_SIZE, Table, entries_of, pte_pfn
from kvmmu_edu.host.vma import VM_HUGETLB, Vma
from kvmmu_edu.trace.events import HostUnmapped
from kvmmu_edu.units import PAGE_SHIFT, PG_LEVEL_2M, Hva, Level, Pfn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kvmmu_edu.host.mm import Mm


class MmuGather:
    """Pages that were unmapped and are freed when everybody was told.

    :ivar small: frames of small pages
    :ivar thp: first frames of transparent huge pages
    :ivar hugetlb: level and first frame of pages of hugetlbfs
    :ivar unmapped: whether anything was unmapped, also what is not to be freed

    Ours: struct mmu_gather, which also collects what to flush.
    """

    __slots__ = ("hugetlb", "mm", "small", "thp", "unmapped")

    def __init__(self, mm: "Mm") -> None:
        """Start with none."""
        self.mm = mm
        self.small: list[NDArray[np.int64]] = []
        self.thp: list[Pfn] = []
        self.hugetlb: list[tuple[Level, Pfn]] = []
        self.unmapped = False

    def finish(self) -> None:
        """Free them; tlb_finish_mmu() in the kernel."""
        frames = self.mm.frames
        if self.small:
            frames.free_many(np.concatenate(self.small))
        for pfn in self.thp:
            frames.free(pfn, PG_LEVEL_2M)
        for level, pfn in self.hugetlb:
            self.mm.hstates[level].free(pfn)


async def zap_page_range_single(mm: "Mm", vma: Vma, start: Hva, end: Hva, why: str) -> None:
    """Unmap a part of one VMA and free its pages.

    Kernel: zap_page_range_single(), mm/memory.c (v6.12)
    """
    gather = MmuGather(mm)
    async with mm.invalidate(start, end):
        await unmap_single_vma(mm, vma, start, end, gather)
        if gather.unmapped:
            mm.trace.emit(HostUnmapped, start, end, why)
    gather.finish()


async def unmap_single_vma(mm: "Mm", vma: Vma, start: Hva, end: Hva, gather: MmuGather) -> None:
    """Unmap a part of one VMA; the caller has told the listeners.

    Kernel: unmap_single_vma(), mm/memory.c (v6.12)
    """
    if vma.vm_flags & VM_HUGETLB:
        await unmap_hugepage_range(mm, vma, start, end, gather)
        gather.unmapped = gather.unmapped or bool(gather.hugetlb)
    else:
        await _zap_pmd_range(mm, vma, start, end, gather)


async def _zap_pmd_range(mm: "Mm", vma: Vma, start: Hva, end: Hva, gather: MmuGather) -> None:
    """Unmap block by block; a huge page of which only a part goes is split first.

    Kernel: zap_pmd_range(), mm/memory.c (v6.12)
    """
    blocks = mm.page_table.blocks
    for number in mm.page_table.blocks_in(start, end):
        addr = max(start, number << PMD_SHIFT)
        next_addr = min(end, (number + 1) << PMD_SHIFT)
        if isinstance(blocks.get(number), int) and next_addr - addr != PMD_SIZE:
            await split_huge_pmd(mm, vma, addr)
        block = blocks.get(number)
        if isinstance(block, int):
            _zap_huge_pmd(mm, number, block, gather)
        elif block is not None:
            _zap_pte_range(vma, block, addr, next_addr, gather)


def _zap_huge_pmd(mm: "Mm", number: int, entry: int, gather: MmuGather) -> None:
    """Unmap a whole huge page.

    Kernel: zap_huge_pmd(), mm/huge_memory.c (v6.12)
    """
    del mm.page_table.blocks[number]
    gather.unmapped = True
    if not is_zero_pfn(pte_pfn(entry)):
        gather.thp.append(pte_pfn(entry))


def _zap_pte_range(vma: Vma, table: Table, start: Hva, end: Hva, gather: MmuGather) -> None:
    """Unmap small pages of one table; the table stays.

    Kernel: zap_pte_range(), mm/memory.c (v6.12)
    """
    index = (start >> PAGE_SHIFT) & 511
    entries = entries_of(table)[index : index + ((end - start) >> PAGE_SHIFT)]
    pfns = entries[entries != 0] >> PAGE_SHIFT
    entries[:] = 0
    gather.unmapped = gather.unmapped or bool(len(pfns))
    if vma.file is None:
        gather.small.append(pfns[pfns >= FIRST_FREE_PFN])
