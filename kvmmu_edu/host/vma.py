"""The mappings of the process: virtual memory areas, sorted by address.

Kernel: struct vm_area_struct, include/linux/mm_types.h (v6.12)
Simplified: a sorted list where the kernel has a maple tree; VMAs are few here, and what finds
them is not the subject.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import ensure
from kvmmu_edu.units import PAGE_SIZE, PAGES_PER_HPAGE, PG_LEVEL_4K, Hva, Level

if TYPE_CHECKING:
    from kvmmu_edu.host.shmem import ShmemFile

# Kernel: include/linux/mm.h (v6.12)
VM_READ: Final = 0x00000001
VM_WRITE: Final = 0x00000002
VM_SHARED: Final = 0x00000008
VM_SEQ_READ: Final = 0x00008000
VM_RAND_READ: Final = 0x00010000
VM_DONTCOPY: Final = 0x00020000
VM_HUGETLB: Final = 0x00400000
VM_WIPEONFORK: Final = 0x02000000
VM_DONTDUMP: Final = 0x04000000
VM_HUGEPAGE: Final = 0x20000000
VM_NOHUGEPAGE: Final = 0x40000000
VM_MERGEABLE: Final = 0x80000000

VM_ACCESS_FLAGS: Final = VM_READ | VM_WRITE


@dataclass(slots=True, eq=False)
class Vma:
    """A range of addresses with one kind of memory and one protection.

    :ivar start: first address, bytes; *end* is the first one after it
    :ivar vm_flags: VM_* bits
    :ivar name: which mapping it is a piece of
    :ivar level: the page size of a hugetlb mapping, else 4K
    :ivar file: what backs shared memory; None for private memory
    :ivar pgoff: where in the file it begins, pages
    :ivar anon_vma: which pages of the process it can have; 0 before the first one

    Kernel: struct vm_area_struct, include/linux/mm_types.h (v6.12)
    """

    start: Hva
    end: Hva
    vm_flags: int
    name: str
    level: Level = PG_LEVEL_4K
    file: "ShmemFile | None" = None
    pgoff: int = 0
    anon_vma: int = 0

    @property
    def page_size(self) -> int:
        """Return the size of its pages as mmap() and munmap() see it, bytes.

        Kernel: vma_kernel_pagesize(), mm/hugetlb.c (v6.12)
        """
        return PAGES_PER_HPAGE[self.level] * PAGE_SIZE

    def is_anonymous(self) -> bool:
        """Return whether it is private memory of small pages or THP.

        Kernel: vma_is_anonymous(), include/linux/mm.h (v6.12)
        """
        return self.file is None and not self.vm_flags & VM_HUGETLB

    def range_in(self, start: Hva, end: Hva) -> bool:
        """Return whether [*start*, *end*) lies in it.

        Kernel: range_in_vma(), include/linux/mm.h (v6.12)
        """
        return self.start <= start and end <= self.end

    def access(self) -> str:
        """Return ``rw``, ``r`` or ``none``."""
        return "rw" if self.vm_flags & VM_WRITE else "r" if self.vm_flags & VM_READ else "none"

    def __str__(self) -> str:
        """Return name, range and access, for messages."""
        return f"{self.name} [{self.start:#x}, {self.end:#x}) {self.access()}"


class Vmas:
    """All VMAs of the process.  Ours: a maple tree in the kernel.

    :ivar by_start: sorted by address
    """

    __slots__ = ("_last", "_starts", "by_start")

    def __init__(self) -> None:
        """Start with none."""
        self.by_start: list[Vma] = []
        self._starts: list[Hva] = []
        self._last: Vma | None = None

    def __iter__(self) -> Iterator[Vma]:
        """Yield the VMAs that are there now, ascending."""
        return iter(list(self.by_start))

    def lookup(self, hva: Hva) -> Vma | None:
        """Return the VMA that contains *hva*.

        Kernel: vma_lookup(), include/linux/mm.h (v6.12)
        """
        last = self._last
        if last is not None and last.start <= hva < last.end:
            return last
        index = bisect_right(self._starts, hva) - 1
        if index < 0:
            return None
        vma = self.by_start[index]
        if hva >= vma.end:
            return None
        self._last = vma
        return vma

    def intersecting(self, start: Hva, end: Hva) -> list[Vma]:
        """Return the VMAs that share an address with [*start*, *end*), ascending.

        Kernel: for_each_vma_range, include/linux/mm.h (v6.12)
        """
        index = max(bisect_right(self._starts, start) - 1, 0)
        found = []
        for vma in self.by_start[index:]:
            if vma.start >= end:
                break
            if vma.end > start:
                found.append(vma)
        return found

    def neighbours(self, start: Hva, end: Hva) -> tuple[Vma | None, Vma | None]:
        """Return the last VMA that ends at or below *start*, the first at or above *end*."""
        index = bisect_right(self._starts, start)
        below = [v for v in self.by_start[max(index - 2, 0) : index] if v.end <= start]
        above = [v for v in self.by_start[max(index - 1, 0) :] if v.start >= end]
        return (below[-1] if below else None), (above[0] if above else None)

    def insert(self, vma: Vma) -> None:
        """Add a VMA where nothing is.

        Kernel: vma_link(), mm/vma.c (v6.12)
        """
        index = bisect_right(self._starts, vma.start)
        self.by_start.insert(index, vma)
        self._starts.insert(index, vma.start)

    def remove(self, vma: Vma) -> None:
        """Take a VMA out.

        Kernel: vma_iter_clear(), mm/vma.h (v6.12)
        """
        index = self.by_start.index(vma)
        del self.by_start[index], self._starts[index]
        self._last = None

    def move_start(self, vma: Vma, start: Hva) -> None:
        """Give a VMA another first address; its place in the order stays.

        Ours: the kernel stores the VMA anew in its tree.
        """
        vma.pgoff += (start - vma.start) // PAGE_SIZE
        vma.start = start
        self._starts[self.by_start.index(vma)] = start

    def check(self) -> None:
        """Raise unless VMAs are sorted, disjoint, and whole pages.

        Kernel: validate_mm(), mm/vma.c (v6.12)
        """
        starts = [vma.start for vma in self.by_start]
        ensure(starts == self._starts, f"the index {self._starts} differs from the VMAs {starts}")
        for vma in self.by_start:
            size = vma.page_size
            whole = not vma.start % size and not vma.end % size
            ensure(vma.start < vma.end and whole, f"VMA {vma} is not whole pages of {size} bytes")
        for below, above in zip(self.by_start, self.by_start[1:], strict=False):
            ensure(below.end <= above.start, f"VMA {below} overlaps {above}")
