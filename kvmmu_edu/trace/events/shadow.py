"""The shadow MMU: its pages, and the reverse maps from guest frames to entries.

Ours, where a class names no tracepoint.
"""

from typing import NamedTuple


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
