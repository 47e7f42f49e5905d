"""The host's page frames: which are free, which are somebody's.

Small frames come in ascending order, huge ones aligned to their size; freed ones are used
again, the last freed first.  Two frames always exist and are never written: the zero page and
the huge zero page, which stand for memory that was only read.

Kernel: mm/page_alloc.c (v6.12)
Simplified: no zones, no buddy merging, no shortage: which frame a page gets says nothing about
KVM, and a huge frame that was used piecemeal stays in pieces.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.errors import InvariantError, ensure
from kvmmu_edu.host.contents import Contents
from kvmmu_edu.units import PAGES_PER_HPAGE, PG_LEVEL_2M, PG_LEVEL_4K, Level, Pfn

#: page tables of KVM have frame numbers below
FIRST_HOST_PFN: Final = 0x200000
#: Kernel: huge_zero_pfn, mm/huge_memory.c (v6.12)
HUGE_ZERO_PFN: Final = FIRST_HOST_PFN
#: Kernel: zero_pfn, mm/memory.c (v6.12)
ZERO_PFN: Final = FIRST_HOST_PFN + PAGES_PER_HPAGE[PG_LEVEL_2M]
#: the first frame that can be allocated
FIRST_FREE_PFN: Final = ZERO_PFN + 1


def is_zero_pfn(pfn: Pfn) -> bool:
    """Return whether *pfn* belongs to the zero page or the huge zero page.

    Kernel: is_zero_pfn(), include/linux/pgtable.h (v6.12)
    """
    return FIRST_HOST_PFN <= pfn < FIRST_FREE_PFN


class Frames:
    """The allocator of page frames.  Ours: the kernel has one for the machine.

    :ivar contents: what stands in them; a frame that is freed holds zeros
    :ivar next_pfn: frames from here on were never used
    :ivar extents: free small frames, as [first, count]; the last one is used first
    :ivar free_huge: free huge frames of each level
    """

    __slots__ = ("contents", "extents", "free_huge", "next_pfn")

    def __init__(self) -> None:
        """Start with every frame free but the two zero pages."""
        self.contents = Contents(FIRST_FREE_PFN)
        self.next_pfn: Pfn = FIRST_FREE_PFN
        self.extents: list[tuple[Pfn, int]] = []
        self.free_huge: dict[Level, list[Pfn]] = {2: [], 3: []}

    def alloc(self) -> Pfn:
        """Return a small frame, all zeros.

        Kernel: vma_alloc_folio_noprof(), mm/mempolicy.c (v6.12)
        """
        if not self.extents:
            self.next_pfn += 1
            return self.next_pfn - 1
        pfn, count = self.extents.pop()
        if count > 1:
            self.extents.append((pfn + 1, count - 1))
        return pfn

    def alloc_many(self, n: int) -> NDArray[np.int64]:
        """Return *n* small frames in the order in which :meth:`alloc` gives them; int64[n].

        Kernel: alloc_pages_bulk_noprof(), mm/page_alloc.c (v6.12)
        """
        parts = []
        while n and self.extents:
            pfn, count = self.extents.pop()
            taken = min(n, count)
            if taken < count:
                self.extents.append((pfn + taken, count - taken))
            parts.append(np.arange(pfn, pfn + taken, dtype=np.int64))
            n -= taken
        parts.append(np.arange(self.next_pfn, self.next_pfn + n, dtype=np.int64))
        self.next_pfn += n
        return np.concatenate(parts)

    def alloc_huge(self, level: Level) -> Pfn:
        """Return the first of the frames of a huge page, aligned to its size, all zeros.

        Kernel: alloc_buddy_hugetlb_folio(), mm/hugetlb.c (v6.12)
        """
        if self.free_huge[level]:
            return self.free_huge[level].pop()
        npages = PAGES_PER_HPAGE[level]
        pfn = -(-self.next_pfn // npages) * npages
        if pfn > self.next_pfn:
            self.extents.append((self.next_pfn, pfn - self.next_pfn))
        self.next_pfn = pfn + npages
        return pfn

    def free(self, pfn: Pfn, level: Level = PG_LEVEL_4K) -> None:
        """Take back a page of *level*.

        Kernel: free_unref_folios(), mm/page_alloc.c (v6.12)
        """
        npages = PAGES_PER_HPAGE[level]
        self.contents.forget(pfn, npages)
        if level == PG_LEVEL_4K:
            self.extents.append((pfn, 1))
        else:
            self.free_huge[level].append(pfn)

    def free_many(self, pfns: NDArray[np.int64]) -> None:
        """Take back small frames; those that follow one another become one extent."""
        if not len(pfns):
            return
        breaks = np.flatnonzero(np.diff(pfns) != 1) + 1
        firsts = np.concatenate((pfns[:1], pfns[breaks]))
        counts = np.diff(np.concatenate(([0], breaks, [len(pfns)])))
        # the first one freed is to be used first
        for pfn, count in zip(firsts[::-1].tolist(), counts[::-1].tolist(), strict=True):
            self.contents.forget(pfn, count)
            self.extents.append((pfn, count))

    def free_ranges(self) -> NDArray[np.int64]:
        """Return all free frames below ``next_pfn`` as rows [first, end), sorted; int64[n, 2]."""
        ranges = [(pfn, pfn + count) for pfn, count in self.extents]
        for level, pfns in self.free_huge.items():
            ranges += [(pfn, pfn + PAGES_PER_HPAGE[level]) for pfn in pfns]
        return np.array(sorted(ranges), dtype=np.int64).reshape(-1, 2)

    def is_free(self, pfn: Pfn) -> bool:
        """Return whether nobody has the frame.

        Cost: O(extents); for checks.
        """
        if pfn >= self.next_pfn:
            return True
        return bool(_in_ranges(np.array([pfn], dtype=np.int64), self.free_ranges())[0])

    def check(self) -> None:
        """Raise unless free frames are disjoint, below ``next_pfn``, and hold nothing."""
        ranges = self.free_ranges()
        overlap = np.flatnonzero(ranges[1:, 0] < ranges[:-1, 1])
        ensure(
            not len(overlap),
            f"two free extents share a frame: {ranges[overlap[:1]].tolist()} and the next",
        )
        ensure(
            not len(ranges) or int(ranges[-1, 1]) <= self.next_pfn,
            f"the free frames reach beyond next_pfn {self.next_pfn:#x}",
        )
        pfns = np.array(list(self.contents.words), dtype=np.int64)
        free = (_in_ranges(pfns, ranges) | (pfns >= self.next_pfn)).nonzero()[0]
        if len(free):
            raise InvariantError(f"frame {int(pfns[free[0]]):#x} is free but has contents")


def _in_ranges(pfns: NDArray[np.int64], ranges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each frame whether one of the sorted *ranges* [first, end) contains it."""
    if not len(ranges):
        return np.zeros(len(pfns), dtype=np.bool_)
    rows = np.searchsorted(ranges[:, 0], pfns, side="right") - 1
    inside: NDArray[np.bool_] = (rows >= 0) & (pfns < ranges[rows, 1])
    return inside
