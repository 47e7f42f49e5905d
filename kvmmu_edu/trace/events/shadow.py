"""The shadow MMU: its pages, and the reverse maps from guest frames to entries.

Ours, where a class names no tracepoint.
"""

from typing import NamedTuple

from kvmmu_edu.trace.events.kinds import Cause


class GetShadowPage(NamedTuple):
    """A shadow page was made, or found; role is the kernel's role word."""

    table: int
    as_id: int
    gfn: int
    level: int
    role: int
    created: bool
    mmu_valid_gen: int


class PrepareZapShadowPage(NamedTuple):
    """A shadow page is being emptied and unlinked.

    It will be freed when the vCPUs that use it as their root, *root_count*, have left it.
    """

    table: int
    as_id: int
    gfn: int
    level: int
    role: int
    mmu_valid_gen: int
    root_count: int


class ShadowSpteChanged(NamedTuple):
    """An entry of a shadow page changed, by a task that holds mmu_lock for writing.

    The kernel traces none of this.  *leaves* is 1 if a page is mapped now, -1 if it is no
    longer.  What the CPU and fast page faults change is told as of any other table.
    """

    as_id: int
    level: int
    gfn: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used
    old: int
    new: int
    cause: Cause
    leaves: int


class ShadowPageLookup(NamedTuple):
    """A shadow page was looked for in the hash; *collisions* pages of other gfns were met."""

    gfn: int
    role: int
    found: bool
    collisions: int


class ShadowPagesRecycled(NamedTuple):
    """So many shadow pages were zapped because there may not be more of them."""

    pages: int


class RmapsAllocated(NamedTuple):
    """A slot gets its reverse maps: bytes asked for, and bytes of the whole pages they take."""

    serial: int
    nbytes: int
    page_bytes: int


class RmapsFreed(NamedTuple):
    """The reverse maps of a slot are gone; bytes as they were allocated."""

    serial: int
    nbytes: int
    page_bytes: int


class RmapAdded(NamedTuple):
    """An entry joined the reverse map of a page; *before* entries were there."""

    serial: int
    gfn: int
    level: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used
    before: int


class RmapRemoved(NamedTuple):
    """An entry left the reverse map of a page."""

    serial: int
    gfn: int
    level: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used
