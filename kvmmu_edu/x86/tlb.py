"""The translation cache of one CPU; it may be stale until it is flushed.

Ours: hardware, described in the processors' manuals.
Simplified: no limit on the number of entries and no caching of upper levels.
"""

from typing import Final

from kvmmu_edu.units import PG_LEVEL_1G, PG_LEVEL_2M, PG_LEVEL_4K, SPTE_LEVEL_BITS, Gfn, Level

_LARGE_SHIFT: Final = SPTE_LEVEL_BITS
_GIANT_SHIFT: Final = 2 * SPTE_LEVEL_BITS


class Tlb:
    """What one CPU remembers of its page tables.

    :ivar empty_at_entry: whether each entry into the guest starts with an empty cache, as on
        an emulated CPU
    :ivar small: leaf SPTEs of 4K pages as they were, by page number; *large*, *giant*: 2M, 1G
    """

    __slots__ = ("empty_at_entry", "giant", "large", "small")

    def __init__(self, *, empty_at_entry: bool) -> None:
        """Start empty."""
        self.empty_at_entry = empty_at_entry
        self.small: dict[int, int] = {}
        self.large: dict[int, int] = {}
        self.giant: dict[int, int] = {}

    def lookup(self, gfn: Gfn) -> tuple[int, Level] | None:
        """Return the leaf that is remembered for *gfn*, and its level."""
        spte = self.small.get(gfn)
        if spte is not None:
            return spte, PG_LEVEL_4K
        spte = self.large.get(gfn >> _LARGE_SHIFT)
        if spte is not None:
            return spte, PG_LEVEL_2M
        spte = self.giant.get(gfn >> _GIANT_SHIFT)
        return None if spte is None else (spte, PG_LEVEL_1G)

    def insert(self, gfn: Gfn, level: Level, spte: int) -> None:
        """Remember the leaf of *level* that maps *gfn*."""
        if level == PG_LEVEL_4K:
            self.small[gfn] = spte
        elif level == PG_LEVEL_2M:
            self.large[gfn >> _LARGE_SHIFT] = spte
        else:
            self.giant[gfn >> _GIANT_SHIFT] = spte

    def flush(self) -> None:
        """Forget everything."""
        self.small.clear()
        self.large.clear()
        self.giant.clear()

    def snapshot(self) -> tuple[tuple[Level, int, int], ...]:
        """Return the entries as ``(level, page number, spte)``, sorted."""
        return tuple(
            (level, page, spte)
            for level, known in enumerate((self.small, self.large, self.giant), PG_LEVEL_4K)
            for page, spte in sorted(known.items())
        )
