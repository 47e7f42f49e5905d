"""A run of any size, made of events but of no engine: for measuring what draws it.  Ours."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from kvmmu_edu.choices import Choices
from kvmmu_edu.errors import UsageError
from kvmmu_edu.trace.events import (
    Cause,
    GetMmuPage,
    OperationBegin,
    OperationEnd,
    PageStatsUpdated,
    SpteChanged,
)
from kvmmu_edu.trace.recorder import Record, Site
from kvmmu_edu.units import PAGES_PER_HPAGE
from kvmmu_edu.x86.arena import TABLE_PFN_BASE
from kvmmu_edu.x86.mmu_page import calc_tdp_mmu_root_page_role
from kvmmu_edu.x86.spte import PT_WRITABLE_MASK, spte_format
from kvmmu_edu.x86.tdp_mmu import tdp_mmu_map
from kvmmu_widgets.message import build_message

#: tables of level 1 below each table of level 2
FAMILY: Final = 8
#: steps in an operation
OPERATION: Final = 10

_LINK: Final = 0x827
_LEAF: Final = 0xE67
_FIRST_PFN: Final = 0x200000


def synthetic_message(nodes: int = 200, steps: int = 60, backend: str = "") -> dict[str, Any]:
    """Return a message with *nodes* page tables and *steps* steps after step 0.

    :param nodes: at least 4
    :param steps: at least 1
    :param backend: how to reach Graphviz
    """
    before, records = synthetic_run(nodes, steps)
    title = f"{nodes} tables in {steps} steps"
    return build_message(records, before=before, title=title, backend=backend)


def synthetic_run(nodes: int, steps: int) -> tuple[list[Record], list[Record]]:
    """Return the records before step 1, and those of *steps* steps.

    :raises UsageError: fewer than 4 tables or fewer than 1 step
    """
    least = 4
    if nodes < least or steps < 1:
        raise UsageError(f"{nodes} tables, {steps} steps; expected at least {least} and 1")
    late = min((steps - steps // OPERATION) // 3, (nodes - least) // 2)
    early = [event for row in range(nodes - late) for event in _table(row)]
    shown = list(_first_steps(_with_operations(_changes(nodes - late, nodes)), steps))
    events = [*early, *shown, OperationEnd(-(-steps // OPERATION))]
    site = Site(tdp_mmu_map.__code__, tdp_mmu_map.__code__.co_firstlineno + 30)
    records = [Record(n, f"vcpu{n % 2}", event, (site,)) for n, event in enumerate(events)]
    return records[: len(early)], records[len(early) :]


def _level(row: int) -> int:
    """Return the level of a table: a root, one of level 3, then families of level 2 and 1."""
    if row <= 1:
        return 4 - row
    return 2 if (row - 2) % (FAMILY + 1) == 0 else 1


def _where(row: int) -> tuple[int, int, int]:
    """Return the first frame of a table, the table above, and the column that leads to it."""
    if row <= 1:
        return 0, 0, 0
    family, member = divmod(row - 2, FAMILY + 1)
    if member == 0:
        return family * PAGES_PER_HPAGE[3], 1, family
    return family * PAGES_PER_HPAGE[3] + (member - 1) * PAGES_PER_HPAGE[2], row - member, member - 1


def _table(row: int) -> Iterator[Any]:
    """Yield what happens when a table is made, filled and linked."""
    level, (gfn, above, column) = _level(row), _where(row)
    role = calc_tdp_mmu_root_page_role() - (4 - level)
    empty = spte_format(Choices()).SHADOW_NONPRESENT_VALUE
    yield GetMmuPage(row, 0, gfn, level, role, created=True)
    if level == 1:
        yield SpteChanged(0, 1, gfn, row, slice(0, 512), empty, _leaves(row), Cause.SPLIT_CHILD, 0)
    if row:
        if level == 1:
            yield PageStatsUpdated(1, 512)
        link = ((TABLE_PFN_BASE + row) << 12) | _LINK
        yield SpteChanged(0, level + 1, gfn, above, column, empty, link, Cause.LINK, 0)


def _leaves(row: int) -> Any:
    pfns = np.arange(512, dtype=np.uint64) + np.uint64(_FIRST_PFN + row * 512)
    return (pfns << np.uint64(12)) | np.uint64(_LEAF)


def _changes(first: int, nodes: int) -> Iterator[Any]:
    """Yield the making of late tables, then write protection and write faults for ever."""
    for row in range(first, nodes):
        yield from _table(row)
    rows = [row for row in range(nodes) if _level(row) == 1]
    writable = np.uint64(PT_WRITABLE_MASK)
    while True:
        for row in rows:
            gfn, leaves = _where(row)[0], _leaves(row)
            guarded = leaves & ~writable
            columns = slice(0, 512)
            yield SpteChanged(0, 1, gfn, row, columns, leaves, guarded, Cause.WRITE_PROTECT, 0)
            yield SpteChanged(0, 1, gfn, row, columns, guarded, leaves, Cause.FAST_FAULT, 0)


def _with_operations(events: Iterator[Any]) -> Iterator[Any]:
    number = 0
    while True:
        number += 1
        yield OperationBegin(number, f"write {number << 21:#x}")
        yield from _first_steps(events, OPERATION - 1)


def _first_steps(events: Iterator[Any], steps: int) -> Iterator[Any]:
    """Yield events up to the last of *steps* steps; statistics are no step of their own."""
    while steps > 0:
        event = next(events)
        steps -= not isinstance(event, PageStatsUpdated)
        yield event
