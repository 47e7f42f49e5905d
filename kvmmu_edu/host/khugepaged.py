"""Making a huge page of small ones, on request.

The small pages are copied into a new huge one, which then takes their place.  KVM hears of it
before; the tables of small SPTEs that it leaves behind stay empty.

Kernel: mm/khugepaged.c (v6.12)
Simplified: the daemon of that name is off, as in the recordings; shared memory is not
collapsed.
"""

from enum import Enum
from typing import TYPE_CHECKING

from kvmmu_edu.errors import KvmError
from kvmmu_edu.host.frames import FIRST_FREE_PFN
from kvmmu_edu.host.huge_memory import maybe_mkwrite, thp_vma_allowable_order
from kvmmu_edu.host.page_table import (
    ANON_EXCLUSIVE,
    PAGE_PRESENT,
    PAGE_RW,
    PMD_MASK,
    PMD_SHIFT,
    PMD_SIZE,
    PTRS_PER_PTE,
    Table,
    entries_of,
)
from kvmmu_edu.host.vma import Vma
from kvmmu_edu.trace.events import HostMapped, HostUnmapped
from kvmmu_edu.units import PAGE_SHIFT, PG_LEVEL_2M, Hva

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm


class ScanResult(Enum):
    """What became of a block.

    Kernel: enum scan_result, mm/khugepaged.c (v6.12)
    """

    SUCCEED = "a huge page was made"
    PMD_MAPPED = "there is a huge page"
    PMD_NULL = "no table is there"
    PMD_NONE = "nothing is mapped there"
    PAGE_RO = "no page is writable"
    VMA_CHECK = "the mapping has changed"


async def madvise_collapse(mm: "Mm", vma: Vma, start: Hva, end: Hva) -> None:
    """Make huge pages of all whole blocks in a part of *vma*.

    :raises KvmError: EINVAL if *vma* may not have huge pages or a block did not become one
    Kernel: madvise_collapse(), mm/khugepaged.c (v6.12)
    """
    if not thp_vma_allowable_order(mm, vma, enforce_sysfs=False):
        raise KvmError("EINVAL", f"{vma} may not have huge pages")
    failed = ""
    for haddr in range(-(-start // PMD_SIZE) * PMD_SIZE, end & PMD_MASK, PMD_SIZE):
        async with mm.mmap_lock.write:
            result = await _scan_pmd(mm, haddr)
        if result not in {ScanResult.SUCCEED, ScanResult.PMD_MAPPED}:
            failed = f"{haddr:#x}: {result.value}"
        if result in {ScanResult.PMD_NONE, ScanResult.VMA_CHECK}:
            break
    if failed:
        raise KvmError("EINVAL", failed)


async def _scan_pmd(mm: "Mm", haddr: Hva) -> ScanResult:
    """Look whether the block at *haddr* can become a huge page, and make it one.

    Kernel: hpage_collapse_scan_pmd(), find_pmd_or_thp_or_none(), mm/khugepaged.c (v6.12)
    Simplified: looks under mmap_lock for writing, where the kernel looks for reading and then
    again.
    """
    vma = mm.vmas.lookup(haddr)
    if vma is None or not vma.range_in(haddr, haddr + PMD_SIZE):
        return ScanResult.VMA_CHECK
    block = mm.page_table.blocks.get(haddr >> PMD_SHIFT)
    if isinstance(block, int):
        return ScanResult.PMD_MAPPED
    if block is None:
        return ScanResult.PMD_NONE if mm.page_table.has_pmd(haddr) else ScanResult.PMD_NULL
    if not (entries_of(block) & PAGE_RW).any():
        return ScanResult.PAGE_RO
    await _collapse_huge_page(mm, vma, haddr, block)
    return ScanResult.SUCCEED


async def _collapse_huge_page(mm: "Mm", vma: Vma, haddr: Hva, table: Table) -> None:
    """Replace the small pages of a block by a huge one.

    Kernel: collapse_huge_page(), mm/khugepaged.c (v6.12)
    """
    pfn = mm.frames.alloc_huge(PG_LEVEL_2M)
    async with mm.invalidate(haddr, haddr + PMD_SIZE):
        del mm.page_table.blocks[haddr >> PMD_SHIFT]
        mm.trace.emit(HostUnmapped, haddr, haddr + PMD_SIZE, "collapse")
    old = entries_of(table) >> PAGE_SHIFT
    for index, old_pfn in enumerate(old.tolist()):
        mm.frames.contents.copy(old_pfn, pfn + index)
    entry = maybe_mkwrite(pfn << PAGE_SHIFT | PAGE_PRESENT | ANON_EXCLUSIVE, vma)
    mm.page_table.set_pmd(haddr, entry)
    mm.frames.free_many(old[old >= FIRST_FREE_PFN])
    mm.trace.emit(HostMapped, haddr, pfn, PG_LEVEL_2M, PTRS_PER_PTE, "collapse")
