"""The translation cache of one CPU; it may be stale until it is flushed.

Ours: hardware, described in the processors' manuals.
Simplified: no limit on the number of entries and no caching of upper levels.
"""

from typing import Final

from kvmmu_edu.units import PG_LEVEL_1G, PG_LEVEL_2M, PG_LEVEL_4K, SPTE_LEVEL_BITS, Gfn, Level

_LEVELS: Final = (PG_LEVEL_4K, PG_LEVEL_2M, PG_LEVEL_1G)


class Tlb:
    """What one CPU remembers of its page tables.

    :ivar empty_at_entry: whether each entry into the guest starts with an empty cache, as on
        an emulated CPU
    :ivar entries: by level, then by page number at that level: the leaf SPTE as it was
    """

    __slots__ = ("empty_at_entry", "entries")

    def __init__(self, *, empty_at_entry: bool) -> None:
        """Start empty."""
        self.empty_at_entry = empty_at_entry
        self.entries: dict[Level, dict[int, int]] = {level: {} for level in _LEVELS}

    def lookup(self, gfn: Gfn) -> tuple[int, Level] | None:
        """Return the leaf that is remembered for *gfn*, and its level."""
        for level, known in self.entries.items():
            if known:
                spte = known.get(gfn >> ((level - 1) * SPTE_LEVEL_BITS))
                if spte is not None:
                    return spte, level
        return None

    def insert(self, gfn: Gfn, level: Level, spte: int) -> None:
        """Remember the leaf of *level* that maps *gfn*."""
        self.entries[level][gfn >> ((level - 1) * SPTE_LEVEL_BITS)] = spte

    def flush(self) -> None:
        """Forget everything."""
        for known in self.entries.values():
            known.clear()

    def snapshot(self) -> tuple[tuple[Level, int, int], ...]:
        """Return the entries as ``(level, page number, spte)``, sorted."""
        return tuple(
            (level, page, spte)
            for level, known in self.entries.items()
            for page, spte in sorted(known.items())
        )
