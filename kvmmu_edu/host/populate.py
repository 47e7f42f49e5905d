"""Touching a large range at once: the outcome of a fault for every page, in one go.

What needs no notice to KVM (pages where nothing is) is done for whole blocks; the rest goes
through the fault handler page by page.

Ours: the process would touch each page.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.host.fault import handle_mm_fault
from kvmmu_edu.host.gup import HostFault
from kvmmu_edu.host.huge_memory import (
    do_huge_pmd_anonymous_page,
    maybe_mkwrite,
    thp_vma_allowable_order,
)
from kvmmu_edu.host.hugetlb import hugetlb_fault
from kvmmu_edu.host.page_table import (
    ANON_EXCLUSIVE,
    PAGE_PRESENT,
    PAGE_RW,
    PMD_SHIFT,
    PMD_SIZE,
    entries_of,
)
from kvmmu_edu.host.vma import VM_HUGETLB, VM_WRITE, Vma
from kvmmu_edu.trace.events import HostMapped
from kvmmu_edu.units import PAGE_SHIFT, PAGE_SIZE, PG_LEVEL_4K, Hva

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm


async def populate(mm: "Mm", start: Hva, nbytes: int) -> None:
    """Write to every page of a range, without changing what stands there.

    :raises HostFault: where nothing is mapped or a write is not allowed
    Cost: O(blocks of 2M), 3 us each, unless pages have to be copied.
    """
    end = start + nbytes
    async with mm.mmap_lock.read:
        here = start & -PAGE_SIZE
        while here < end:
            vma = mm.vmas.lookup(here)
            if vma is None or not vma.vm_flags & VM_WRITE:
                raise HostFault(here, "nothing writable is mapped there")
            until = min(vma.end, end)
            await _populate_vma(mm, vma, here, until)
            here = until


async def _populate_vma(mm: "Mm", vma: Vma, start: Hva, end: Hva) -> None:
    if vma.vm_flags & VM_HUGETLB:
        for haddr in range(start & -vma.page_size, end, vma.page_size):
            await hugetlb_fault(mm, vma, haddr, write=True)
        return
    huge = thp_vma_allowable_order(mm, vma)
    blocks = mm.page_table.blocks
    for number in range(start >> PMD_SHIFT, -(-end >> PMD_SHIFT)):
        here = max(start, number << PMD_SHIFT)
        block = blocks.get(number)
        if isinstance(block, int) and block & PAGE_RW:
            continue
        if block is None and huge and do_huge_pmd_anonymous_page(mm, vma, here, write=True):
            continue
        if isinstance(block, int):
            await handle_mm_fault(mm, here, write=True)
        if not isinstance(blocks.get(number), int):
            await _populate_table(mm, vma, here, min(end, (number << PMD_SHIFT) + PMD_SIZE))


async def _populate_table(mm: "Mm", vma: Vma, start: Hva, end: Hva) -> None:
    """Fill a part of one table, then make what is read-only there writable."""
    index = (start >> PAGE_SHIFT) & 511
    count = (end - start) >> PAGE_SHIFT
    entries = entries_of(mm.page_table.table(start))[index : index + count]
    holes = np.flatnonzero(entries == 0)
    if len(holes):
        entries[holes] = maybe_mkwrite(0, vma) + _new_pages(mm, vma, start, holes)
        _emit_runs(mm, start, holes, entries[holes] >> PAGE_SHIFT)
    for offset in np.flatnonzero((entries & PAGE_RW) == 0).tolist():
        await handle_mm_fault(mm, start + offset * PAGE_SIZE, write=True)


def _emit_runs(mm: "Mm", start: Hva, pages: NDArray[np.intp], pfns: NDArray[np.int64]) -> None:
    """Tell of new pages, those that follow one another in address and frame at once."""
    breaks = np.flatnonzero((np.diff(pages) != 1) | (np.diff(pfns) != 1)) + 1
    firsts = [0, *breaks.tolist()]
    for first, end in zip(firsts, [*firsts[1:], len(pages)], strict=True):
        hva = start + int(pages[first]) * PAGE_SIZE
        mm.trace.emit(HostMapped, hva, int(pfns[first]), PG_LEVEL_4K, end - first, "populate")


def _new_pages(mm: "Mm", vma: Vma, start: Hva, holes: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return entries, not yet writable, for the pages *holes* after *start*; int64[n]."""
    if vma.file is not None:
        pgoff = vma.pgoff + (start - vma.start) // PAGE_SIZE
        pfns = np.array([vma.file.get_folio(pgoff + n) for n in holes.tolist()], dtype=np.int64)
        return (pfns << PAGE_SHIFT) + PAGE_PRESENT
    mm.anon_vma_prepare(vma)
    return (mm.frames.alloc_many(len(holes)) << PAGE_SHIFT) + (PAGE_PRESENT | ANON_EXCLUSIVE)
