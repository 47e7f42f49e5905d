"""hugetlbfs: huge pages that the administrator set aside and a process asked for.

A mapping reserves its pages when it is made and takes them when it is touched, so it fails
early or not at all.

Kernel: mm/hugetlb.c (v6.12)
"""

from typing import TYPE_CHECKING

from kvmmu_edu.errors import KvmError, ensure
from kvmmu_edu.host.page_table import (
    ANON_EXCLUSIVE,
    PAGE_PRESENT,
    PAGE_RW,
    PUD_SIZE,
    pte_pfn,
)
from kvmmu_edu.host.vma import Vma
from kvmmu_edu.trace.events import HostMapped
from kvmmu_edu.units import (
    LEVEL_NAMES,
    PAGE_SHIFT,
    PAGES_PER_HPAGE,
    PG_LEVEL_1G,
    Hva,
    Level,
    Pfn,
)

if TYPE_CHECKING:
    from kvmmu_edu.host.frames import Frames
    from kvmmu_edu.host.mm import Mm
    from kvmmu_edu.host.page_table import HostPageTable
    from kvmmu_edu.host.zap import MmuGather


class Hstate:
    """The pool of huge pages of one size; counts are in huge pages.

    :ivar nr_huge_pages: all of them
    :ivar free_huge_pages: those that nobody has
    :ivar resv_huge_pages: those of the free ones that are promised to a mapping

    Kernel: struct hstate, include/linux/hugetlb.h (v6.12)
    """

    __slots__ = ("frames", "free_huge_pages", "level", "nr_huge_pages", "pool", "resv_huge_pages")

    def __init__(self, level: Level, npages: int, frames: "Frames") -> None:
        """Set *npages* pages of *level* aside."""
        self.level = level
        self.frames = frames
        self.nr_huge_pages = npages
        self.free_huge_pages = npages
        self.resv_huge_pages = 0
        # pages that were used and came back: they stay in the pool
        self.pool: list[Pfn] = []

    def reserve(self, n: int) -> None:
        """Promise *n* pages to a mapping.

        :raises KvmError: ENOMEM if there are not so many
        Kernel: hugetlb_reserve_pages(), mm/hugetlb.c (v6.12)
        """
        left = self.free_huge_pages - self.resv_huge_pages
        if n > left:
            name = LEVEL_NAMES[self.level]
            raise KvmError("ENOMEM", f"{n} huge pages of {name} wanted, the pool has {left} left")
        self.resv_huge_pages += n

    def unreserve(self, n: int) -> None:
        """Take a promise of *n* pages back.

        Kernel: hugetlb_unreserve_pages(), mm/hugetlb.c (v6.12)
        """
        self.resv_huge_pages -= n

    def alloc(self) -> Pfn:
        """Return a page that was promised, all zeros.

        Kernel: alloc_hugetlb_folio(), mm/hugetlb.c (v6.12)
        """
        self.free_huge_pages -= 1
        self.resv_huge_pages -= 1
        return self.pool.pop() if self.pool else self.frames.alloc_huge(self.level)

    def free(self, pfn: Pfn) -> None:
        """Take a page back and promise it again to the mapping it came from.

        Kernel: free_huge_folio(), mm/hugetlb.c (v6.12)
        In v6.1: MADV_DONTNEED did not renew the promise; it matters only to a pool that
        several processes fight for.
        """
        self.frames.contents.forget(pfn, PAGES_PER_HPAGE[self.level])
        self.free_huge_pages += 1
        self.resv_huge_pages += 1
        self.pool.append(pfn)

    def check(self, mapped: int, promised: int) -> None:
        """Raise unless the counts fit *mapped* pages and mappings of *promised* pages in all."""
        name = f"hugetlb pool of {LEVEL_NAMES[self.level]}"
        ensure(
            self.free_huge_pages + mapped == self.nr_huge_pages,
            f"{name}: {self.free_huge_pages} free and {mapped} mapped are not {self.nr_huge_pages}",
        )
        ensure(
            self.resv_huge_pages + mapped == promised,
            f"{name}: {self.resv_huge_pages} reserved and {mapped} mapped are not {promised}",
        )


async def hugetlb_fault(mm: "Mm", vma: Vma, hva: Hva, *, write: bool) -> None:
    """Handle a fault in memory of hugetlbfs.

    A read maps the new page read-only, even if nobody else can have it: the first write makes
    it writable, and needs no copy.

    Kernel: hugetlb_fault(), mm/hugetlb.c (v6.12)
    Simplified: no copy on write, because nobody ever has a page together with the process: the
    child of a fork ends at once.
    """
    haddr = hva & -vma.page_size
    entry, _ = mm.page_table.walk(haddr)
    if not entry:
        mm.anon_vma_prepare(vma)
        pfn = mm.hstates[vma.level].alloc()
        entry = pfn << PAGE_SHIFT | PAGE_PRESENT | ANON_EXCLUSIVE
        npages = PAGES_PER_HPAGE[vma.level]
        mm.trace.emit(HostMapped, haddr, pfn, vma.level, npages, "hugetlb")
    if write:
        entry |= ANON_EXCLUSIVE | PAGE_RW
    mm.page_table.set_huge(haddr, vma.level, entry)


async def unmap_hugepage_range(
    mm: "Mm", vma: Vma, start: Hva, end: Hva, gather: "MmuGather"
) -> None:
    """Take the huge pages of [*start*, *end*) away; the caller has told the listeners.

    Kernel: __unmap_hugepage_range(), mm/hugetlb.c (v6.12)
    In v6.1: it tells the listeners once more.
    """
    if mm.is_6_1:
        async with mm.invalidate(start, end):
            _unmap_hugepage_range(mm, vma, start, end, gather)
    else:
        _unmap_hugepage_range(mm, vma, start, end, gather)


def _unmap_hugepage_range(mm: "Mm", vma: Vma, start: Hva, end: Hva, gather: "MmuGather") -> None:
    for haddr in hugetlb_addresses(mm.page_table, vma, start, end):
        entry, level = mm.page_table.walk(haddr)
        mm.page_table.set_huge(haddr, level, 0)
        gather.hugetlb.append((level, pte_pfn(entry)))


def hugetlb_addresses(table: "HostPageTable", vma: Vma, start: Hva, end: Hva) -> list[Hva]:
    """Return where in [*start*, *end*) of a hugetlb *vma* pages are mapped, ascending.

    Ours: the kernel walks the tables each time.
    """
    if vma.level == PG_LEVEL_1G:
        return [number * PUD_SIZE for number in table.gigas_in(start, end)]
    return [number * vma.page_size for number in table.blocks_in(start, end)]
