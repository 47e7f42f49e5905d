"""What one CPU remembers of its page tables; it may be stale until it is flushed.

Two caches: translations (the TLB), and on the way to them the tables, so that a walk need not
begin at the root (paging-structure caches).  The second is why a table may not be used for
something else before a flush, even if nothing in it was ever mapped::

    root -> level 3 -> level 2 -> level 1 -> page
                                  |          in the TLB: no walk
                                  in the paging-structure cache: the walk begins here

Ours: hardware, described in the processors' manuals.
Simplified: no limit on the number of entries; tables of level 3 are not remembered, because
they go only when their root does.
"""

from typing import Final

from kvmmu_edu.units import PG_LEVEL_1G, PG_LEVEL_2M, PG_LEVEL_4K, SPTE_LEVEL_BITS, Gfn, Level

_LARGE_SHIFT: Final = SPTE_LEVEL_BITS
_GIANT_SHIFT: Final = 2 * SPTE_LEVEL_BITS


class Tlb:
    """What one CPU remembers of its page tables.

    :ivar empty_at_entry: whether each entry into the guest starts with an empty cache, and
        tables are not remembered at all, as on an emulated CPU
    :ivar small: leaf SPTEs of 4K pages as they were, by page number; *large*, *giant*: 2M, 1G
    :ivar tables: the rows of level-1 tables through which walks went, by ``gfn >> 9``;
        *directories*: those of level 2, by ``gfn >> 18``
    """

    __slots__ = ("directories", "empty_at_entry", "giant", "large", "small", "tables")

    def __init__(self, *, empty_at_entry: bool) -> None:
        """Start empty."""
        self.empty_at_entry = empty_at_entry
        self.small: dict[int, int] = {}
        self.large: dict[int, int] = {}
        self.giant: dict[int, int] = {}
        self.tables: dict[int, int] = {}
        self.directories: dict[int, int] = {}

    def lookup(self, gfn: Gfn) -> tuple[int, Level] | None:
        """Return the leaf that is remembered for *gfn*, and its level."""
        spte = self.small.get(gfn)
        if spte is not None:
            return spte, PG_LEVEL_4K
        if self.large:
            spte = self.large.get(gfn >> _LARGE_SHIFT)
            if spte is not None:
                return spte, PG_LEVEL_2M
        if self.giant:
            spte = self.giant.get(gfn >> _GIANT_SHIFT)
            if spte is not None:
                return spte, PG_LEVEL_1G
        return None

    def insert(self, gfn: Gfn, level: Level, spte: int) -> None:
        """Remember the leaf of *level* that maps *gfn*."""
        if level == PG_LEVEL_4K:
            self.small[gfn] = spte
        elif level == PG_LEVEL_2M:
            self.large[gfn >> _LARGE_SHIFT] = spte
        else:
            self.giant[gfn >> _GIANT_SHIFT] = spte

    def remember_tables(self, gfn: Gfn, level: Level, table: int, above: int) -> None:
        """Remember the way to a leaf of *level* in *table*, which *above* points to."""
        if level == PG_LEVEL_4K:
            self.tables[gfn >> _LARGE_SHIFT] = table
            self.directories[gfn >> _GIANT_SHIFT] = above
        elif level == PG_LEVEL_2M:
            self.directories[gfn >> _GIANT_SHIFT] = table

    def forget_tables(self, gfn: Gfn) -> None:
        """Forget the tables on the way to *gfn*, as a CPU does that faults there.

        So a stale one may mislead one access, but not the same access again and again.
        """
        self.tables.pop(gfn >> _LARGE_SHIFT, None)
        self.directories.pop(gfn >> _GIANT_SHIFT, None)

    def flush(self) -> None:
        """Forget everything."""
        for known in (self.small, self.large, self.giant, self.tables, self.directories):
            known.clear()

    def snapshot(self) -> tuple[tuple[Level, int, int], ...]:
        """Return the entries as ``(level, page number, spte)``, sorted."""
        return tuple(
            (level, page, spte)
            for level, known in enumerate((self.small, self.large, self.giant), PG_LEVEL_4K)
            for page, spte in sorted(known.items())
        )

    def tables_snapshot(self) -> tuple[tuple[Level, int, int], ...]:
        """Return the remembered tables as ``(level, number of their range, row)``, sorted."""
        return tuple(
            (level, number, table)
            for level, known in enumerate((self.tables, self.directories), PG_LEVEL_4K)
            for number, table in sorted(known.items())
        )
