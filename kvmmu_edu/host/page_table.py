"""The page tables of the user process, as the CPU and get_user_pages() walk them.

An entry is a number: 0 for nothing, else the frame number above the bits below.

=====  ==================  ============================================================
bit    name                meaning
=====  ==================  ============================================================
0      ``PAGE_PRESENT``    the CPU may use the entry
1      ``PAGE_RW``         it may write
8      ``PAGE_PROTNONE``   a page is there, the process may not touch it
9      ``ANON_EXCLUSIVE``  no other process has the page: a write needs no copy
10     ``LARGE_FOLIO``     a piece of a huge page that is mapped by small entries
=====  ==================  ============================================================

The last two are flags of the page in Linux; one process makes one entry for each page, so
they may as well stand in the entry.

Each 2M block of addresses has nothing, a huge entry, or a table of 512 entries.  A table that
has become empty stays: that is why memory that was once mapped by 4K pages gets 4K pages
again.

Kernel: arch/x86/include/asm/pgtable_types.h, mm/memory.c (v6.12)
"""

from array import array
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.units import (
    PAGE_SHIFT,
    PG_LEVEL_1G,
    PG_LEVEL_2M,
    PG_LEVEL_4K,
    Hva,
    Level,
    Pfn,
)

PAGE_PRESENT: Final = 1 << 0
PAGE_RW: Final = 1 << 1
PAGE_PROTNONE: Final = 1 << 8
ANON_EXCLUSIVE: Final = 1 << 9
LARGE_FOLIO: Final = 1 << 10

PMD_SHIFT: Final = 21
PMD_SIZE: Final = 1 << PMD_SHIFT
PMD_MASK: Final = -PMD_SIZE
PUD_SHIFT: Final = 30
PUD_SIZE: Final = 1 << PUD_SHIFT
PTRS_PER_PTE: Final = 512

Entry: TypeAlias = int
#: 512 entries; as numbers through the array, as a whole through :func:`entries_of`
Table: TypeAlias = "array[int]"
#: what a block of 2M has: a huge entry or a table
Block: TypeAlias = "int | array[int]"

_EMPTY: Final = bytes(8 * PTRS_PER_PTE)


def entries_of(table: Table) -> NDArray[np.int64]:
    """Return the 512 entries of *table* as an array that shares its memory.

    Ours.
    """
    return np.frombuffer(table, dtype=np.int64)


def new_table(entries: NDArray[np.int64] | None = None) -> Table:
    """Return a table, empty or with a copy of 512 *entries*.

    Kernel: pte_alloc_one(), arch/x86/mm/pgtable.c (v6.12)
    """
    return array("q", _EMPTY if entries is None else entries.tobytes())


class HostPageTable:
    """The process's page tables: a block is 2M of addresses.

    Ours: two dictionaries stand for the upper three levels of tables.

    :ivar blocks: block number to huge entry or table
    :ivar gigas: 1G number to huge entry
    :ivar pmd_pages: the 1G numbers that have a table of blocks, whether or not it is empty
    """

    __slots__ = ("blocks", "gigas", "pmd_pages")

    def __init__(self) -> None:
        """Start with nothing mapped."""
        self.blocks: dict[int, Block] = {}
        self.gigas: dict[int, Entry] = {}
        self.pmd_pages: set[int] = set()

    def walk(self, hva: Hva) -> tuple[Entry, Level]:
        """Return the entry that maps *hva*, 0 if none does, and its level.

        Kernel: follow_page_mask(), mm/gup.c (v6.12)
        """
        block = self.blocks.get(hva >> PMD_SHIFT)
        if block is None:
            giga = self.gigas.get(hva >> PUD_SHIFT)
            return (0, PG_LEVEL_4K) if giga is None else (giga, PG_LEVEL_1G)
        if isinstance(block, int):
            return block, PG_LEVEL_2M
        return block[(hva >> PAGE_SHIFT) & (PTRS_PER_PTE - 1)], PG_LEVEL_4K

    def has_pmd(self, hva: Hva) -> bool:
        """Return whether there is a table of blocks for *hva*: whether a split must look.

        Kernel: mm_find_pmd(), mm/rmap.c (v6.12)
        """
        return hva >> PUD_SHIFT in self.pmd_pages

    def table(self, hva: Hva) -> Table:
        """Return the table of 4K entries for *hva*, made if there is none.

        Kernel: pte_alloc, include/linux/mm.h (v6.12)
        """
        block = self.blocks.get(hva >> PMD_SHIFT)
        if block is None:
            block = self.blocks[hva >> PMD_SHIFT] = new_table()
            self.pmd_pages.add(hva >> PUD_SHIFT)
        assert not isinstance(block, int)
        return block

    def set_pte(self, hva: Hva, entry: Entry) -> None:
        """Write the 4K entry of *hva*.

        Kernel: set_pte_at, include/linux/pgtable.h (v6.12)
        """
        self.table(hva)[(hva >> PAGE_SHIFT) & (PTRS_PER_PTE - 1)] = entry

    def set_pmd(self, hva: Hva, block: Block) -> None:
        """Write the huge entry, or the table, of the block of *hva*.

        Kernel: set_pmd_at, arch/x86/include/asm/pgtable.h (v6.12)
        """
        self.blocks[hva >> PMD_SHIFT] = block
        self.pmd_pages.add(hva >> PUD_SHIFT)

    def set_pud(self, hva: Hva, entry: Entry) -> None:
        """Write the 1G entry of *hva*.

        Kernel: set_pud_at, arch/x86/include/asm/pgtable.h (v6.12)
        """
        self.gigas[hva >> PUD_SHIFT] = entry

    def set_huge(self, hva: Hva, level: Level, entry: Entry) -> None:
        """Write the entry of a page of hugetlbfs; 0 clears it.

        Kernel: set_huge_pte_at, include/asm-generic/hugetlb.h (v6.12)
        """
        if level == PG_LEVEL_1G:
            if entry:
                self.gigas[hva >> PUD_SHIFT] = entry
            else:
                self.gigas.pop(hva >> PUD_SHIFT, None)
        elif entry:
            self.set_pmd(hva, entry)
        else:
            self.blocks.pop(hva >> PMD_SHIFT, None)

    def blocks_in(self, start: Hva, end: Hva) -> list[int]:
        """Return the numbers of the blocks in [*start*, *end*) that have anything, ascending.

        Cost: O(the smaller of the range's blocks and all blocks).
        """
        return _keys_in(self.blocks, start >> PMD_SHIFT, -(-end >> PMD_SHIFT))

    def gigas_in(self, start: Hva, end: Hva) -> list[int]:
        """Return the numbers of the 1G entries in [*start*, *end*), ascending."""
        return _keys_in(self.gigas, start >> PUD_SHIFT, -(-end >> PUD_SHIFT))

    def indexes(self, number: int, start: Hva, end: Hva) -> tuple[int, int]:
        """Return which entries, first and end, of block *number* lie in [*start*, *end*)."""
        base = number << PMD_SHIFT
        return max(start - base, 0) >> PAGE_SHIFT, min(end - base, PMD_SIZE) >> PAGE_SHIFT

    def free_pgtables(self, floor: Hva, ceiling: Hva) -> None:
        """Free the tables that lie wholly in [*floor*, *ceiling*), where nothing is mapped.

        Kernel: free_pgtables(), mm/memory.c (v6.12)
        """
        for block in self.blocks_in(floor, ceiling):
            if floor <= block << PMD_SHIFT and (block + 1) << PMD_SHIFT <= ceiling:
                del self.blocks[block]
        for giga in [
            g for g in self.pmd_pages if floor <= g << PUD_SHIFT and (g + 1) << PUD_SHIFT <= ceiling
        ]:
            self.pmd_pages.remove(giga)

    def mappings(self) -> Iterator[tuple[Hva, Level, Entry]]:
        """Yield every entry with its address and level; for checks and pictures."""
        for giga, entry in sorted(self.gigas.items()):
            yield giga << PUD_SHIFT, PG_LEVEL_1G, entry
        for number, block in sorted(self.blocks.items(), key=lambda item: item[0]):
            if isinstance(block, int):
                yield number << PMD_SHIFT, PG_LEVEL_2M, block
            else:
                for index, entry in enumerate(block):
                    if entry:
                        yield (number << PMD_SHIFT) + (index << PAGE_SHIFT), PG_LEVEL_4K, entry


def _keys_in(keys: Iterable[int], first: int, end: int) -> list[int]:
    if isinstance(keys, dict) and end - first <= len(keys):
        return [key for key in range(first, end) if key in keys]
    return sorted(key for key in keys if first <= key < end)


def pte_pfn(entry: Entry) -> Pfn:
    """Return the frame number in an entry.

    Kernel: pte_pfn(), arch/x86/include/asm/pgtable.h (v6.12)
    """
    return entry >> PAGE_SHIFT


def pte_write(entry: Entry) -> bool:
    """Return whether the CPU may write through *entry*.

    Kernel: pte_write(), arch/x86/include/asm/pgtable.h (v6.12)
    """
    return bool(entry & PAGE_RW)
