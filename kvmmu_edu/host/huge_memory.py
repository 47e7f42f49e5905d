"""Transparent huge pages: 2M pages where the process did not ask for them page by page.

A huge page is split in two senses.  ``split_huge_pmd`` replaces the huge entry by a table
of small ones that map the same frames; the huge page itself stays whole.  ``split_folio``
makes 512 pages of it.  KVM hears of both.

Kernel: mm/huge_memory.c (v6.12)
Simplified: no shortage, so a huge page is always to be had; the pieces of a split huge page
are freed one by one, which the kernel defers until it needs memory.
"""

from typing import TYPE_CHECKING

import numpy as np

from kvmmu_edu.host.frames import HUGE_ZERO_PFN, ZERO_PFN, is_zero_pfn
from kvmmu_edu.host.page_table import (
    ANON_EXCLUSIVE,
    LARGE_FOLIO,
    PAGE_PRESENT,
    PAGE_RW,
    PMD_MASK,
    PMD_SHIFT,
    PMD_SIZE,
    PTRS_PER_PTE,
    Table,
    entries_of,
    new_table,
    pte_pfn,
)
from kvmmu_edu.host.vma import VM_HUGEPAGE, VM_NOHUGEPAGE, VM_WRITE, Vma
from kvmmu_edu.trace.events import HostMapped
from kvmmu_edu.units import PAGE_SHIFT, PG_LEVEL_2M, Hva

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm


def thp_vma_allowable_order(mm: "Mm", vma: Vma, *, enforce_sysfs: bool = True) -> bool:
    """Return whether *vma* may have huge pages.

    :param enforce_sysfs: whether ``transparent_hugepage/enabled`` counts; MADV_COLLAPSE
        asks without
    Kernel: thp_vma_allowable_order(), include/linux/huge_mm.h (v6.12)
    In v6.1: hugepage_vma_check() did this.
    """
    if not vma.is_anonymous() or vma.vm_flags & VM_NOHUGEPAGE:
        return False
    if not enforce_sysfs or mm.thp == "always":
        return True
    return mm.thp == "madvise" and bool(vma.vm_flags & VM_HUGEPAGE)


def thp_vma_suitable_order(vma: Vma, haddr: Hva) -> bool:
    """Return whether the whole block at *haddr* lies in *vma*.

    Kernel: thp_vma_suitable_order(), include/linux/huge_mm.h (v6.12)
    """
    return vma.range_in(haddr, haddr + PMD_SIZE)


def do_huge_pmd_anonymous_page(mm: "Mm", vma: Vma, hva: Hva, *, write: bool) -> bool:
    """Map a whole block: a new huge page, or the huge zero page for a read.

    Return false if small pages have to do.

    Kernel: do_huge_pmd_anonymous_page(), mm/huge_memory.c (v6.12)
    """
    haddr = hva & PMD_MASK
    if not thp_vma_suitable_order(vma, haddr):
        return False
    mm.anon_vma_prepare(vma)
    if write:
        pfn = mm.frames.alloc_huge(PG_LEVEL_2M)
        flags = PAGE_PRESENT | PAGE_RW | ANON_EXCLUSIVE
    else:
        pfn, flags = HUGE_ZERO_PFN, PAGE_PRESENT
    mm.page_table.set_pmd(haddr, pfn << PAGE_SHIFT | flags)
    why = "a write" if write else "a read: the huge zero page"
    mm.trace.emit(HostMapped, haddr, pfn, PG_LEVEL_2M, PTRS_PER_PTE, why)
    return True


async def do_huge_pmd_wp_page(mm: "Mm", vma: Vma, hva: Hva) -> bool:
    """Handle a write through a read-only huge entry.

    Return false if the block has small entries now, and one of these is to be made writable:
    so it goes with the huge zero page, of which only the page that is written gets memory.

    Kernel: do_huge_pmd_wp_page(), mm/huge_memory.c (v6.12)
    """
    entry = mm.page_table.blocks[hva >> PMD_SHIFT]
    assert isinstance(entry, int)
    if is_zero_pfn(pte_pfn(entry)):
        await split_huge_pmd(mm, vma, hva)
        return False
    # the child of a fork is gone, so the page is ours alone again
    mm.page_table.set_pmd(hva, entry | ANON_EXCLUSIVE | PAGE_RW)
    return True


async def split_huge_pmd(mm: "Mm", vma: Vma, hva: Hva) -> None:
    """Replace the huge entry of the block of *hva*, if it has one, by a table.

    Listeners hear of the whole block even if there is nothing to split.

    Kernel: __split_huge_pmd(), mm/huge_memory.c (v6.12)
    """
    haddr = hva & PMD_MASK
    async with mm.invalidate(haddr, haddr + PMD_SIZE):
        entry = mm.page_table.blocks.get(haddr >> PMD_SHIFT)
        if isinstance(entry, int) and vma.is_anonymous():
            mm.page_table.set_pmd(haddr, _split_huge_pmd_locked(entry))


def _split_huge_pmd_locked(entry: int) -> Table:
    """Return a table that maps what the huge *entry* maps, with the same rights.

    Kernel: __split_huge_pmd_locked(), mm/huge_memory.c (v6.12)
    """
    if is_zero_pfn(pte_pfn(entry)):
        flags = entry & ((1 << PAGE_SHIFT) - 1)
        return new_table(np.full(PTRS_PER_PTE, ZERO_PFN << PAGE_SHIFT | flags, dtype=np.int64))
    frames = np.arange(PTRS_PER_PTE, dtype=np.int64) << PAGE_SHIFT
    return new_table((entry | LARGE_FOLIO) + frames)


async def split_huge_pmd_if_needed(mm: "Mm", vma: Vma, hva: Hva) -> None:
    """Split the block of *hva* because a mapping is about to end there.

    The kernel asks only whether the block lies in the mapping and whether tables exist, not
    whether there is a huge page: so it tells KVM of 2M even where all pages are small.

    Kernel: split_huge_pmd_if_needed(), mm/huge_memory.c (v6.12)
    """
    haddr = hva & PMD_MASK
    if hva == haddr or not thp_vma_suitable_order(vma, haddr) or not mm.page_table.has_pmd(hva):
        return
    await split_huge_pmd(mm, vma, hva)


async def split_folio(mm: "Mm", vma: Vma, hva: Hva) -> None:
    """Make 512 pages of the huge page in the block of *hva*.

    It is unmapped and mapped again as if its pieces were moved, so KVM hears of it twice:
    once for the entry, once for the pages.

    Kernel: split_folio(), include/linux/huge_mm.h; try_to_migrate_one(), mm/rmap.c (v6.12)
    """
    haddr = hva & PMD_MASK
    await split_huge_pmd(mm, vma, hva)
    async with mm.invalidate(haddr, haddr + PMD_SIZE):
        pass
    block = mm.page_table.blocks.get(haddr >> PMD_SHIFT)
    if block is not None and not isinstance(block, int):
        entries_of(block)[:] &= ~LARGE_FOLIO


def maybe_mkwrite(entry: int, vma: Vma) -> int:
    """Return *entry*, writable if *vma* is.

    Kernel: maybe_mkwrite(), include/linux/mm.h (v6.12)
    """
    return entry | PAGE_RW if vma.vm_flags & VM_WRITE else entry
