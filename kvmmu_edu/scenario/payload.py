"""The payload: the memory slot with the guest's code and the guest's page tables.

=========  ===================================================================
page       what is in it
=========  ===================================================================
0          code; see :mod:`kvmmu_edu.scenario.programs`
1          the guest's top-level table; CR3 points here
2, ...     further tables, in the order in which they are needed
=========  ===================================================================

Tables are written by the host through its mapping of the slot, never by the guest.

Ours.
"""

from dataclasses import dataclass, field
from typing import Final, Protocol

from kvmmu_edu.errors import UsageError
from kvmmu_edu.units import (
    GIB,
    PAGE_SIZE,
    PG_LEVEL_1G,
    PG_LEVEL_2M,
    PG_LEVEL_4K,
    PG_LEVEL_512G,
    Gpa,
    Hva,
    Level,
)

#: the memory slot and its place, unless a header line says otherwise
PAYLOAD_SLOT: Final = 32000
PAYLOAD_GPA: Final = 0xD0000000
PAYLOAD_PAGES: Final = 64

#: an entry that points to a table: P RW U A
TABLE_FLAGS: Final = 0x27
#: a leaf of 4K: P RW A D, supervisor
LEAF_FLAGS: Final = 0x63
_LARGE: Final = 0x80
_PRESENT: Final = 1
_ADDRESS: Final = 0x000F_FFFF_FFFF_F000
_FIRST_TABLE: Final = 2

#: how the language calls page sizes
PAGE_LEVELS: Final = {"4k": PG_LEVEL_4K, "2m": PG_LEVEL_2M, "1g": PG_LEVEL_1G}


class Memory(Protocol):
    """What the payload needs of the host: loads and stores of 8 bytes."""

    def read(self, hva: Hva, nbytes: int = 8) -> int:
        """Load."""
        ...

    def write(self, hva: Hva, value: int, nbytes: int = 8) -> None:
        """Store."""
        ...


@dataclass(slots=True)
class Payload:
    """A payload slot that exists.

    :ivar gpa: where the guest sees it, bytes
    :ivar hva: where the host sees it, bytes
    :ivar npages: its size, pages of 4 KiB
    :ivar next_page: the page that the next table will be
    """

    memory: Memory
    gpa: Gpa
    hva: Hva
    npages: int = PAYLOAD_PAGES
    next_page: int = field(default=_FIRST_TABLE)

    @property
    def cr3(self) -> Gpa:
        """Where the guest's tables begin."""
        return self.gpa + PAGE_SIZE

    def build(self, tables: str) -> None:
        """Write the first tables of a 64-bit guest.

        :param tables: ``1g`` or ``2m``: addresses are what they seem, with pages of that size;
            ``own``: only the payload is mapped
        """
        if tables == "1g":
            self.map(0, 0, 512 * GIB, PG_LEVEL_1G, LEAF_FLAGS | _LARGE)
        elif tables == "2m":
            self.map(0, 0, 4 * GIB, PG_LEVEL_2M, LEAF_FLAGS | _LARGE)
        else:
            self.map(self.gpa, self.gpa, self.npages * PAGE_SIZE, PG_LEVEL_4K, LEAF_FLAGS)

    def map(self, gva: int, gpa: Gpa, nbytes: int, level: Level, flags: int) -> None:
        """Map *nbytes* from *gva* on to *gpa* with pages of *level*.

        :raises UsageError: when the payload has no page left for a table
        """
        step = PAGE_SIZE << 9 * (level - 1)
        large = _LARGE if level > PG_LEVEL_4K else 0
        for offset in range(0, nbytes, step):
            entry = self._entry(gva + offset, level, make=True)
            self.memory.write(self._hva(entry), (gpa + offset) | flags | large)

    def pte_gpa(self, gva: int, level: Level) -> Gpa:
        """Return where the entry of *level* for a guest virtual address is.

        :raises UsageError: when there is no table for it
        """
        if not PG_LEVEL_4K <= level <= PG_LEVEL_512G:
            raise UsageError(f"level {level} of the guest's tables; expected 1 to 4")
        return self._entry(gva, level, make=False)

    def _entry(self, gva: int, level: Level, *, make: bool) -> Gpa:
        table = self.cr3
        for above in range(PG_LEVEL_512G, level, -1):
            where = table + _index(gva, above) * 8
            entry = self.memory.read(self._hva(where))
            if not entry & _PRESENT:
                if not make:
                    raise UsageError(f"no table of level {above - 1} for {gva:#x}; expected a gmap")
                entry = self._new_table() | TABLE_FLAGS
                self.memory.write(self._hva(where), entry)
            elif above < PG_LEVEL_512G and entry & _LARGE:
                raise UsageError(
                    f"{gva:#x} is mapped by a large page of level {above}; expected no page there"
                )
            table = entry & _ADDRESS
        return table + _index(gva, level) * 8

    def _new_table(self) -> Gpa:
        if self.next_page >= self.npages:
            raise UsageError(f"the payload's {self.npages} pages are used up; expected fewer gmap")
        table = self.gpa + self.next_page * PAGE_SIZE
        self.next_page += 1
        return table

    def _hva(self, gpa: Gpa) -> Hva:
        if not self.gpa <= gpa < self.gpa + self.npages * PAGE_SIZE:
            raise UsageError(f"the guest's table at {gpa:#x} lies outside the payload")
        return self.hva + gpa - self.gpa


def _index(gva: int, level: Level) -> int:
    return (gva >> (12 + 9 * (level - 1))) & 511
