"""What a sentence may refer to: slots by their serial, tables by their row.  Ours."""

from typing import Any, NamedTuple

import numpy as np

from kvmmu_edu.trace.events import (
    GetMmuPage,
    GetShadowPage,
    ShadowSpteChanged,
    SlotCreated,
    SpteChanged,
)
from kvmmu_edu.units import PAGE_SIZE, size_text
from kvmmu_edu.x86.spte import SpteFormat, is_shadow_present_pte

#: flags of a slot, by the names of the API; the last is KVM's own
SLOT_FLAGS = ((1, "LOG_DIRTY_PAGES"), (2, "READONLY"), (4, "GUEST_MEMFD"), (1 << 16, "INVALID"))
GEN_UPDATE_IN_PROGRESS = 1 << 63


class Line(NamedTuple):
    """What is said about an event.

    :ivar text: a sentence, or two
    :ivar short: a few words, for tables
    """

    text: str
    short: str


class Context:
    """What has been heard of slots and tables so far.

    :ivar fmt: what the bits of an entry mean
    :ivar slots: how each slot object came to be, by serial
    :ivar tables: how each table came to be, by row
    :ivar present: how many entries of each table lead anywhere, by row
    """

    def __init__(self, fmt: SpteFormat) -> None:
        """Start with nothing heard."""
        self.fmt = fmt
        self.slots: dict[int, SlotCreated] = {}
        self.tables: dict[int, GetMmuPage | GetShadowPage] = {}
        self.present: dict[int, int] = {}

    def hear(self, event: Any) -> None:
        """Remember what later sentences may refer to."""
        if isinstance(event, SlotCreated):
            self.slots[event.serial] = event
        elif isinstance(event, (GetMmuPage, GetShadowPage)):
            self.tables[event.table] = event
            if event.created:
                self.present[event.table] = 0
        elif isinstance(event, (SpteChanged, ShadowSpteChanged)) and isinstance(event.table, int):
            width = 1 if isinstance(event.index, int) else len(range(512)[event.index])
            more = _present(event.new, width) - _present(event.old, width)
            self.present[event.table] = self.present.get(event.table, 0) + more

    def slot(self, serial: int) -> str:
        """Return a slot object in a few words.

        Two objects may share an id, so the object's number is said as well.
        """
        created = self.slots.get(serial)
        return f"slot object #{serial}" if created is None else f"slot {created.id} (#{serial})"

    def table(self, row: int) -> str:
        """Return a table in a few words."""
        made = self.tables.get(row)
        if made is None:
            return f"table {row}"
        what = "root" if made.level >= 4 else "table"
        return f"{what} {row} (level {made.level}, gfn {made.gfn:#x})"


def _present(sptes: Any, width: int) -> int:
    flags = is_shadow_present_pte(np.asarray(sptes, np.uint64))
    return int(np.count_nonzero(flags)) if flags.ndim else width * int(flags)


def flags_text(flags: int) -> str:
    """Return the flags of a slot, joined by ``|``, or ``no flags``.

    >>> flags_text(3), flags_text(0)
    ('LOG_DIRTY_PAGES|READONLY', 'no flags')
    """
    return "|".join(name for bit, name in SLOT_FLAGS if flags & bit) or "no flags"


def generation_text(generation: int) -> str:
    """Return a generation of the slots without bit 63, and what that bit says.

    >>> generation_text(8), generation_text(8 | 1 << 63)
    ('8', '8, update in progress')
    """
    number = generation & ~GEN_UPDATE_IN_PROGRESS
    return f"{number}, update in progress" if generation & GEN_UPDATE_IN_PROGRESS else f"{number}"


def pages_text(npages: int) -> str:
    """Return a number of 4 KiB pages as a size.

    >>> pages_text(512)
    '2 MiB'
    """
    return size_text(npages * PAGE_SIZE)


def plural(count: int, noun: str) -> str:
    """Return *count* and *noun* in the right number.

    >>> plural(1, "table"), plural(3, "entry"), plural(2, "4K entry")
    ('1 table', '3 entries', '2 4K entries')
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("ry") else f"{count} {noun}s"
