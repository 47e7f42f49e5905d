"""Sentences about tables and their life.  Ours."""

from collections.abc import Callable
from typing import Any, Final

from kvmmu_edu.trace import events as ev
from kvmmu_edu.units import LEVEL_NAMES, PAGES_PER_HPAGE
from kvmmu_widgets.narrate.context import Context, Line, pages_text


def _get_mmu_page(event: ev.GetMmuPage | ev.GetShadowPage, _context: Context) -> Line:
    as_text = " of address space 1" if event.as_id else ""
    if event.level >= 4:
        if not event.created:
            return Line(
                f"Root {event.table} is there already and is shared.", f"root {event.table} found"
            )
        return Line(
            f"A root, table {event.table}, is made: a level {event.level} table of 512 empty "
            f"entries{as_text}.",
            f"new root {event.table}",
        )
    if not event.created:
        return Line(f"Table {event.table} is there already.", f"table {event.table} found")
    covers = pages_text(PAGES_PER_HPAGE[event.level + 1])
    return Line(
        f"Table {event.table} is made for the {covers} at gfn {event.gfn:#x}{as_text}; no entry "
        "leads to it yet, so no CPU can see it.",
        f"new table {event.table}, level {event.level}",
    )


def _tables(tables: ev.Tables, context: Context) -> tuple[str, bool]:
    if isinstance(tables, int):
        return _capital(context.table(tables)), False
    rows = [int(row) for row in tables]
    if len(rows) == 1:
        return _capital(context.table(rows[0])), False
    return f"{len(rows)} tables ({rows[0]} to {rows[-1]})", True


def _prepare_zap_page(event: ev.PrepareZapPage, context: Context) -> Line:
    who, many = _tables(event.table, context)
    were, their = ("were", "their entries are") if many else ("was", "its entries are")
    return Line(
        f"{who} {were} unlinked and will be freed; {their} frozen now, because others may still "
        "be walking there.",
        "unlinked",
    )


def _prepare_zap_shadow_page(event: ev.PrepareZapShadowPage, context: Context) -> Line:
    who, _ = _tables(event.table, context)
    when = "no vCPU uses it as its root" if event.root_count else "TLBs have been flushed"
    return Line(f"{who} is emptied and unlinked; it is freed when {when}.", "zapped")


def _rcu_callback_queued(event: ev.RcuCallbackQueued, context: Context) -> Line:
    who, many = _tables(event.tables, context)
    return Line(
        f"{who} {'wait' if many else 'waits'} for a grace period of RCU before being freed: "
        "lockless walkers may still be inside.",
        "call_rcu",
    )


def _mmu_page_freed(event: ev.MmuPageFreed, context: Context) -> Line:
    who, many = _tables(event.table, context)
    return Line(f"{who} {'are' if many else 'is'} freed.", "freed")


def _root_invalidated(event: ev.RootInvalidated, _context: Context) -> Line:
    return Line(
        f"Root {event.table} is invalid now: no vCPU may enter the guest with it, and those that "
        "use it must leave it.",
        f"root {event.table} invalid",
    )


def _page_stats_updated(event: ev.PageStatsUpdated, _context: Context) -> Line:
    level = LEVEL_NAMES[event.level]
    return Line(
        f"The table that was built is in use: {event.pages} pages of {level} more are counted.",
        f"+{event.pages} {level}",
    )


def _nx_huge_page_tracked(event: ev.NxHugePageTracked, context: Context) -> Line:
    who = _capital(context.table(event.table))
    if event.tracked:
        return Line(
            f"{who} stands in for a huge page that may not be executable; the recovery worker "
            "will look at it.",
            "NX: tracked",
        )
    return Line(f"{who} no longer stands in for an NX huge page.", "NX: untracked")


def _split_huge_page(event: ev.SplitHugePage, _context: Context) -> Line:
    level = LEVEL_NAMES[event.level]
    if event.errno:
        return Line(
            f"The {level} page at gfn {event.gfn:#x} was not split: errno {event.errno}.",
            f"split failed: {event.errno}",
        )
    return Line(
        f"The {level} page at gfn {event.gfn:#x} has been split into 512 of "
        f"{LEVEL_NAMES[event.level - 1]}.",
        f"{event.gfn:#x} split",
    )


def _zap_all_fast(event: ev.ZapAllFast, _context: Context) -> Line:
    return Line(
        "All roots are about to be thrown away, whatever slot caused it; "
        f"valid generation {event.mmu_valid_gen}.",
        "zap all fast",
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


TELLERS: Final[dict[type[Any], Callable[[Any, Context], Line]]] = {
    ev.GetMmuPage: _get_mmu_page,
    ev.GetShadowPage: _get_mmu_page,
    ev.PrepareZapPage: _prepare_zap_page,
    ev.PrepareZapShadowPage: _prepare_zap_shadow_page,
    ev.RcuCallbackQueued: _rcu_callback_queued,
    ev.MmuPageFreed: _mmu_page_freed,
    ev.RootInvalidated: _root_invalidated,
    ev.PageStatsUpdated: _page_stats_updated,
    ev.NxHugePageTracked: _nx_huge_page_tracked,
    ev.SplitHugePage: _split_huge_page,
    ev.ZapAllFast: _zap_all_fast,
}
