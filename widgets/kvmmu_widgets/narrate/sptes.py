"""Sentences about entries of page tables: what they said before, what they say now.  Ours."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from kvmmu_edu.trace import events as ev
from kvmmu_edu.units import LEVEL_NAMES, PAGES_PER_HPAGE
from kvmmu_edu.x86.arena import table_of
from kvmmu_edu.x86.spte import (
    get_mmio_spte_generation,
    is_accessed_spte,
    is_dirty_spte,
    is_writable_pte,
)
from kvmmu_widgets.narrate.context import Context, Line, plural
from kvmmu_widgets.views.page_tables import columns_of, grid, rows_of
from kvmmu_widgets.views.spte_runs import SpteView, codes, describe_code, describe_spte, spte_pfn


def _spte_changed(event: ev.SpteChanged, context: Context) -> Line:
    rows, columns = rows_of(event.table), columns_of(event.index)
    shape = (len(rows), len(columns))
    old, new = grid(event.old, shape), grid(event.new, shape)
    where = np.argwhere(old != new)
    if not len(where):
        level = LEVEL_NAMES[event.level]
        return Line(f"No {level} entry from gfn {event.gfn:#x} on changed.", "nothing changed")
    row, column = map(int, where[0])
    spans = PAGES_PER_HPAGE[event.level : event.level + 2]
    gfn = event.gfn + row * spans[1] + column * spans[0]
    if len(where) == 1:
        return _one(event, gfn, int(old[row, column]), int(new[row, column]), context)
    changed = old != new
    return _many(event, gfn, old[changed], new[changed], context)


def _one(event: ev.SpteChanged, gfn: int, old: int, new: int, context: Context) -> Line:
    level = event.level
    before, after = (describe_spte(spte, level, context.fmt) for spte in (old, new))
    where = f"{LEVEL_NAMES[level]} entry at gfn {gfn:#x}"
    if event.as_id:
        where += " (address space 1)"
    short = f"{gfn:#x}: {_change(before, after)}"
    by_cause = _BY_CAUSE.get(event.cause)
    if by_cause is not None:
        return Line(by_cause.format(where=where, before=before), short)
    tell = _BY_KIND.get((_class(before), _class(after)))
    if tell is None:
        return Line(f"The {where} was {before} and is {after} now.", short)
    return Line(tell(where, old, new, level, context), short)


def _class(view: SpteView) -> str:
    return "leaf" if view.what in LEVEL_NAMES else view.what


def _change(before: SpteView, after: SpteView) -> str:
    same = before.what == after.what
    return f"{before.flags} → {after.flags}" if same else f"{before.what} → {after.what}"


_BY_CAUSE: Final = {
    ev.Cause.ZAP_FREEZE: "The {where} was {before} and is frozen now: nobody else may change it "
    "until the TLBs are flushed.",
    ev.Cause.THAW: "The TLBs are flushed, so the {where} is emptied: others may use it again.",
    ev.Cause.FREEZE: "The {where}, which was {before}, is frozen because its table is going away.",
}


def _link(where: str, _old: int, new: int, _level: int, context: Context) -> str:
    return f"The empty {where} now points to table {table_of(new)}{_contents(new, context)}."


def _split(where: str, old: int, new: int, level: int, context: Context) -> str:
    ready = context.present.get(table_of(new), 0)
    below = LEVEL_NAMES[level - 1]
    if ready == 512:
        return f"The {where} now points to a table of 512 ready {below} entries."
    before = describe_spte(old, level, context.fmt)
    return f"The {where}, which was {before}, now points to table {table_of(new)}."


def _contents(spte: int, context: Context) -> str:
    ready = context.present.get(table_of(spte), 0)
    return f", which has {plural(ready, 'ready entry')}" if ready else ", which is empty"


def _map(where: str, _old: int, new: int, level: int, context: Context) -> str:
    view = describe_spte(new, level, context.fmt)
    return f"The {where} now maps pfn {spte_pfn(new):#x}, {view.flags}."


def _unmap(where: str, old: int, _new: int, _level: int, _context: Context) -> str:
    return f"The {where} maps nothing any more; it led to pfn {spte_pfn(old):#x}."


def _unlink(where: str, old: int, _new: int, _level: int, _context: Context) -> str:
    return f"The {where} no longer points to table {table_of(old)}: what is below is out of reach."


def _collapse(where: str, old: int, new: int, level: int, context: Context) -> str:
    view = describe_spte(new, level, context.fmt)
    return (
        f"The {where} maps all of it again, pfn {spte_pfn(new):#x}, {view.flags}, in place of "
        f"table {table_of(old)}."
    )


def _mmio(where: str, _old: int, new: int, _level: int, _context: Context) -> str:
    return (
        f"The {where} now says that there is no memory: MMIO, "
        f"slot generation {get_mmio_spte_generation(new)}."
    )


def _freeze(where: str, old: int, _new: int, level: int, context: Context) -> str:
    return f"The {where}, which was {describe_spte(old, level, context.fmt)}, is frozen now."


def _thaw(where: str, _old: int, _new: int, _level: int, _context: Context) -> str:
    return f"The {where} was frozen and is empty now."


def _leaf(where: str, old: int, new: int, level: int, context: Context) -> str:
    """Say which bits of a mapped page changed."""
    fmt = context.fmt
    phrases = [
        phrase
        for predicate, gained, lost in (
            (is_writable_pte, "may be written now", "is write-protected: the next write faults"),
            (lambda spte: is_dirty_spte(spte, fmt), "is marked dirty", "is marked clean"),
            (
                lambda spte: is_accessed_spte(spte, fmt),
                "is marked accessed",
                "is marked not accessed",
            ),
        )
        for was, now in [(bool(predicate(old)), bool(predicate(new)))]
        if was != now
        for phrase in [gained if now else lost]
    ]
    view = describe_spte(new, level, fmt)
    return f"The {where} {' and '.join(phrases) or 'changed its other bits'}; it is {view.flags}."


_BY_KIND: Final = {
    ("empty", "table"): _link,
    ("leaf", "table"): _split,
    ("empty", "leaf"): _map,
    ("MMIO", "leaf"): _map,
    ("leaf", "empty"): _unmap,
    ("table", "empty"): _unlink,
    ("table", "leaf"): _collapse,
    ("empty", "MMIO"): _mmio,
    ("MMIO", "MMIO"): _mmio,
    ("leaf", "frozen"): _freeze,
    ("table", "frozen"): _freeze,
    ("frozen", "empty"): _thaw,
    ("leaf", "leaf"): _leaf,
}


def _many(event: ev.SpteChanged, gfn: int, old: Any, new: Any, context: Context) -> Line:
    level = event.level
    count = len(old)
    where = f"{count} entries of {LEVEL_NAMES[level]} from gfn {gfn:#x} on"
    pairs = zip(
        codes(old, level, context.fmt).tolist(),
        codes(new, level, context.fmt).tolist(),
        strict=True,
    )
    (before, after), most = Counter(pairs).most_common(1)[0]
    was, now = describe_code(before, level), describe_code(after, level)
    short = f"{count} × {_change(was, now)}"
    if event.cause is ev.Cause.SPLIT_CHILD:
        return Line(
            f"{where} are built in table {rows_of(event.table)[0]}, each {now}, before any CPU "
            "can see them.",
            short,
        )
    if event.cause is ev.Cause.FREEZE:
        return Line(f"{where} are frozen because their table is going away.", short)
    if most < count:
        return Line(f"{where} changed: {most} of them were {was} and are {now} now.", short)
    if _class(was) == _class(now) == "leaf":
        return Line(f"{where} were {was.flags} and are {now.flags} now.", short)
    return Line(f"{where} were {was} and are {now} now, because of {event.cause.value}.", short)


def _frozen_spte_handled(event: ev.FrozenSpteHandled, context: Context) -> Line:
    view = describe_spte(event.old, event.level, context.fmt)
    return Line(
        f"The bookkeeping for the zapped {LEVEL_NAMES[event.level]} entry at gfn {event.gfn:#x} "
        f"is done; it was {view}.",
        f"{event.gfn:#x}: zap done",
    )


TELLERS: Final[dict[type[Any], Callable[[Any, Context], Line]]] = {
    ev.SpteChanged: _spte_changed,
    ev.ShadowSpteChanged: _spte_changed,
    ev.FrozenSpteHandled: _frozen_spte_handled,
}
