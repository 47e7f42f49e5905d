"""Sentences about shadow pages and reverse maps.  Ours."""

from collections.abc import Callable
from typing import Any, Final

from kvmmu_edu.trace import events as ev
from kvmmu_edu.units import LEVEL_NAMES
from kvmmu_widgets.narrate.context import Context, Line, plural


def _lookup(event: ev.ShadowPageLookup, _context: Context) -> Line:
    what = f"A shadow page for gfn {event.gfn:#x}, level {event.role & 15},"
    met = ""
    if event.collisions:
        met = f" {plural(event.collisions, 'page')} of other frames came before in its list."
    if event.found:
        return Line(f"{what} is found in the hash.{met}", "found in the hash")
    return Line(f"{what} is not in the hash: it has to be made.{met}", "not in the hash")


def _recycled(event: ev.ShadowPagesRecycled, _context: Context) -> Line:
    pages = plural(event.pages, "old shadow page")
    return Line(f"To make room for new ones, zapped: {pages}.", f"{event.pages} recycled")


def _allocated(event: ev.RmapsAllocated, context: Context) -> Line:
    return Line(
        f"Reverse maps for {context.slot(event.serial)}: {event.nbytes:,} bytes, in whole pages "
        f"{event.page_bytes:,}.",
        f"reverse maps, {event.nbytes:,} B",
    )


def _freed(event: ev.RmapsFreed, context: Context) -> Line:
    return Line(
        f"The reverse maps of {context.slot(event.serial)} are freed: {event.nbytes:,} bytes.",
        f"reverse maps freed, {event.nbytes:,} B",
    )


def _added(event: ev.RmapAdded, context: Context) -> Line:
    beside = f", beside {event.before} before it" if event.before else ""
    return Line(
        f"Entry {event.index} of {context.table(event.table)} joins the reverse map of the "
        f"{LEVEL_NAMES[event.level]} page at gfn {event.gfn:#x}{beside}.",
        f"reverse map of {event.gfn:#x}: +1",
    )


def _removed(event: ev.RmapRemoved, context: Context) -> Line:
    return Line(
        f"Entry {event.index} of {context.table(event.table)} leaves the reverse map of the "
        f"{LEVEL_NAMES[event.level]} page at gfn {event.gfn:#x}.",
        f"reverse map of {event.gfn:#x}: -1",
    )


TELLERS: Final[dict[type[Any], Callable[[Any, Context], Line]]] = {
    ev.ShadowPageLookup: _lookup,
    ev.ShadowPagesRecycled: _recycled,
    ev.RmapsAllocated: _allocated,
    ev.RmapsFreed: _freed,
    ev.RmapAdded: _added,
    ev.RmapRemoved: _removed,
}
