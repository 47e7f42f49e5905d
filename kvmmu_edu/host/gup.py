"""What KVM learns when it asks for a page: get_user_pages(), fast and slow.

The fast way reads the entries without a lock and gives up if they do not allow the access.
The slow one takes mmap_lock and has the fault handled as if the process had touched the page.
Either answer may be out of date by the time that KVM uses it.

Kernel: mm/gup.c (v6.12)
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.host.page_table import (
    PAGE_PRESENT,
    PAGE_RW,
    PMD_SHIFT,
    PMD_SIZE,
    PTRS_PER_PTE,
    PUD_SHIFT,
    HostPageTable,
    entries_of,
)
from kvmmu_edu.units import PAGE_SHIFT, PG_LEVEL_1G, PG_LEVEL_2M, PG_LEVEL_4K, Hva, Level, Pfn

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm


class HostPage(NamedTuple):
    """A page that the host has mapped for the process.  Ours: the kernel returns a page.

    :ivar pfn: the frame of the 4K page that was asked for
    :ivar level: how large the host's mapping around it is
    :ivar writable: whether the host's entry allows writes now
    """

    pfn: Pfn
    level: Level
    writable: bool


class HostFault(Exception):
    """The process may not access this address: a signal for it, EFAULT for KVM.

    Ours: VM_FAULT_SIGSEGV and its like in the kernel.
    """

    def __init__(self, hva: Hva, why: str) -> None:
        """Refuse the access to *hva*."""
        super().__init__(f"{hva:#x}: {why}")
        self.hva = hva
        self.why = why


class HostPages(NamedTuple):
    """The pages of a range, one item for each 4K page.  Ours.

    :ivar pfns: frame numbers, -1 where a fault would be needed; int64[npages]
    :ivar levels: level of the host's mapping; int8[npages]
    :ivar writable: whether the entry allows writes; bool[npages]
    """

    pfns: NDArray[np.int64]
    levels: NDArray[np.int8]
    writable: NDArray[np.bool_]


async def fault_in(mm: "Mm", hva: Hva, *, write: bool) -> HostPage:
    """Return the page at *hva*, after a host page fault if one is needed.

    :raises HostFault: if there is no mapping or it forbids the access
    Kernel: get_user_pages_unlocked(), mm/gup.c (v6.12)
    Simplified: one page at a time, no references: a frame lives as long as something maps it.
    """
    async with mm.mmap_lock.read:
        while True:
            page = mm.page_for(hva, write=write)
            if page is not None:
                return page
            await mm.handle_mm_fault(hva, write=write)


def pages_for_range(table: HostPageTable, hva: Hva, npages: int, *, write: bool) -> HostPages:
    """Return what ``page_for`` says about *npages* pages from *hva* on.

    Cost: O(blocks of 2M), then memory bandwidth.
    Kernel: get_user_pages_fast_only(), mm/gup.c (v6.12)
    """
    entries = np.zeros(npages, dtype=np.int64)
    levels = np.full(npages, PG_LEVEL_4K, dtype=np.int8)
    end = hva + (npages << PAGE_SHIFT)
    for number in table.blocks_in(hva, end):
        first = max(hva, number << PMD_SHIFT)
        here = slice(
            (first - hva) >> PAGE_SHIFT,
            (min(end, (number << PMD_SHIFT) + PMD_SIZE) - hva) >> PAGE_SHIFT,
        )
        block = table.blocks[number]
        index = (first >> PAGE_SHIFT) & (PTRS_PER_PTE - 1)
        count = here.stop - here.start
        if isinstance(block, int):
            _spread(entries[here], block, index)
            levels[here] = PG_LEVEL_2M
        else:
            entries[here] = entries_of(block)[index : index + count]
    for number in table.gigas_in(hva, end):
        first = max(hva, number << PUD_SHIFT)
        here = slice(
            (first - hva) >> PAGE_SHIFT,
            (min(end, (number + 1) << PUD_SHIFT) - hva) >> PAGE_SHIFT,
        )
        _spread(entries[here], table.gigas[number], (first >> PAGE_SHIFT) & ((1 << 18) - 1))
        levels[here] = PG_LEVEL_1G
    writable = (entries & PAGE_RW) != 0
    usable = writable if write else (entries & PAGE_PRESENT) != 0
    return HostPages(np.where(usable, entries >> PAGE_SHIFT, -1), levels, writable & usable)


def _spread(out: NDArray[np.int64], huge: int, index: int) -> None:
    out[:] = huge + (np.arange(index, index + len(out), dtype=np.int64) << PAGE_SHIFT)
