"""Shared memory: pages that belong to a file in memory, mapped or not.

Taking the pages out of the process's tables does not free them: the next access finds the
same pages.  There is no copy on write and so nothing that fork() must tell KVM.

Kernel: mm/shmem.c, mm/memory.c (v6.12)
Simplified: small pages only, as with ``shmem_enabled`` at its default, ``never``.
"""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.host.huge_memory import maybe_mkwrite
from kvmmu_edu.host.page_table import (
    PAGE_PRESENT,
    PMD_SIZE,
    PTRS_PER_PTE,
    Table,
    entries_of,
    new_table,
)
from kvmmu_edu.host.vma import Vma
from kvmmu_edu.trace.events import HostMapped
from kvmmu_edu.units import PAGE_SHIFT, PAGE_SIZE, PG_LEVEL_4K, Hva, Pfn

if TYPE_CHECKING:
    from kvmmu_edu.host.frames import Frames
    from kvmmu_edu.host.mm import Mm

#: pages that a read fault maps at once if the file has them; 64 KiB
#: Kernel: fault_around_pages, mm/memory.c (v6.12)
FAULT_AROUND_PAGES: Final = 16


class ShmemFile:
    """The pages of a file in memory: page number to frame, 0 for a hole.

    Ours: a file of tmpfs, whose pages the kernel keeps in its page cache.
    """

    __slots__ = ("chunks", "frames")

    def __init__(self, frames: "Frames") -> None:
        """Start with a hole everywhere."""
        self.frames = frames
        self.chunks: dict[int, Table] = {}

    def lookup(self, pgoff: int) -> Pfn:
        """Return the frame of page *pgoff*, 0 for a hole.

        Kernel: shmem_get_folio_gfp(), mm/shmem.c (v6.12)
        """
        chunk = self.chunks.get(pgoff >> 9)
        return chunk[pgoff & (PTRS_PER_PTE - 1)] if chunk is not None else 0

    def get_folio(self, pgoff: int) -> Pfn:
        """Return the frame of page *pgoff*, a new one for a hole.

        Kernel: shmem_get_folio(), mm/shmem.c (v6.12)
        """
        pfn = self.lookup(pgoff)
        if not pfn:
            pfn = self.frames.alloc()
            self.chunk(pgoff)[pgoff & (PTRS_PER_PTE - 1)] = pfn
        return pfn

    def chunk(self, pgoff: int) -> Table:
        """Return the 512 pages around *pgoff*, made if there are none."""
        chunk = self.chunks.get(pgoff >> 9)
        if chunk is None:
            chunk = self.chunks[pgoff >> 9] = new_table()
        return chunk

    def truncate_range(self, first: int, end: int) -> None:
        """Free the pages [*first*, *end*), which nothing maps.

        Kernel: shmem_truncate_range(), mm/shmem.c (v6.12)
        """
        for number in sorted(self.chunks):
            base = number << 9
            if base >= end or base + PTRS_PER_PTE <= first:
                continue
            pages = entries_of(self.chunks[number])
            part = pages[max(first - base, 0) : min(end - base, PTRS_PER_PTE)]
            self.frames.free_many(part[part != 0])
            part[:] = 0

    def pfns(self) -> NDArray[np.int64]:
        """Return all its frames; int64[n]."""
        parts = [entries_of(chunk) for _, chunk in sorted(self.chunks.items())]
        pages: NDArray[np.int64] = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        present: NDArray[np.int64] = pages[pages != 0]
        return present


def do_shared_fault(mm: "Mm", vma: Vma, hva: Hva, *, write: bool) -> None:
    """Map the file's page at *hva*, and with a read those around that the file has.

    Kernel: do_shared_fault(), do_fault_around(), mm/memory.c (v6.12)
    """
    file = vma.file
    assert file is not None
    pgoff = vma.pgoff + (hva - vma.start) // PAGE_SIZE
    if not write and file.lookup(pgoff):
        _do_fault_around(mm, vma, hva)
        return
    _map_page(mm, vma, hva & -PAGE_SIZE, file.get_folio(pgoff), "shared memory")


def _do_fault_around(mm: "Mm", vma: Vma, hva: Hva) -> None:
    """Map the pages of the aligned window around *hva* that the file has and nothing maps.

    Kernel: do_fault_around(), mm/memory.c (v6.12)
    """
    assert vma.file is not None
    window = FAULT_AROUND_PAGES * PAGE_SIZE
    block = hva & -PMD_SIZE
    first = max(vma.start, hva & -window, block)
    end = min(vma.end, (hva & -window) + window, block + PMD_SIZE)
    for here in range(first, end, PAGE_SIZE):
        pfn = vma.file.lookup(vma.pgoff + (here - vma.start) // PAGE_SIZE)
        if pfn and not mm.page_table.walk(here)[0]:
            _map_page(mm, vma, here, pfn, "shared memory, around a fault")


def _map_page(mm: "Mm", vma: Vma, hva: Hva, pfn: Pfn, why: str) -> None:
    mm.page_table.set_pte(hva, maybe_mkwrite(pfn << PAGE_SHIFT | PAGE_PRESENT, vma))
    mm.trace.emit(HostMapped, hva, pfn, PG_LEVEL_4K, 1, why)
