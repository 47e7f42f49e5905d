"""Page tables: their making, their entries, their end.

Ours, where a class names no tracepoint.
"""

from typing import NamedTuple

from kvmmu_edu.trace.events.kinds import Cause, Sptes, Tables


class GetMmuPage(NamedTuple):
    """A page table was made, or found; role is the kernel's role word."""

    table: int
    as_id: int
    gfn: int
    level: int
    role: int
    created: bool


class PrepareZapPage(NamedTuple):
    """Page tables were unlinked and will be freed; gfn is that of the first."""

    table: Tables
    as_id: int
    gfn: int
    level: int
    role: int


class MmuPageFreed(NamedTuple):
    """Page tables went back to the allocator."""

    table: Tables


class RootInvalidated(NamedTuple):
    """A root became invalid: vCPUs must leave it, nobody may enter it."""

    table: int


class SpteChanged(NamedTuple):
    """Entries of page tables changed.

    One entry: *table*, *index*, *old* and *new* are numbers.  A span: *table* is one table
    or an array of tables, *index* a slice of columns, *old* and *new* arrays or one value
    for all.  *gfn* is that of the first entry.  *leaves* says by how much the number of
    mapped pages of this level changed.
    """

    as_id: int
    level: int
    gfn: int
    table: Tables
    index: int | slice  # type: ignore[assignment] # tuple.index is not used
    old: Sptes
    new: Sptes
    cause: Cause
    leaves: int


class FrozenSpteHandled(NamedTuple):
    """The bookkeeping of an entry that was frozen, flushed and emptied before.

    The entry itself changed earlier (causes ``ZAP_FREEZE`` and ``THAW``); *old* is what it
    held before it was frozen.  This is what the kernel traces.
    """

    as_id: int
    level: int
    gfn: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used
    old: int
    new: int
    leaves: int


class PageStatsUpdated(NamedTuple):
    """So many pages of a level were mapped at once by linking a ready table."""

    level: int
    pages: int


class NxHugePageTracked(NamedTuple):
    """A table joined (or left) the list of those that stand in for an NX huge page."""

    table: int
    tracked: bool


class SpteRequested(NamedTuple):
    """The fault handler knows what it wants to map: which page, and how large."""

    gfn: int
    pfn: int
    level: int


class SetSpte(NamedTuple):
    """A leaf was installed for a fault."""

    gfn: int
    spte: int
    level: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used


class MarkMmioSpte(NamedTuple):
    """An entry now says that there is no memory; access bits, slot generation."""

    vcpu: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used
    gfn: int
    access: int
    generation: int


class SplitHugePage(NamedTuple):
    """A huge page was replaced by a table of smaller ones; errno 0 on success."""

    gfn: int
    spte: int
    level: int
    errno: int


class ZapAllFast(NamedTuple):
    """All roots are about to be thrown away."""

    mmu_valid_gen: int
    used_pages: int
