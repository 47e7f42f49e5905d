"""A page table as a card: its 512 entries as cells, and what becomes of it.  Ours."""

from collections.abc import Collection
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.units import PAGES_PER_HPAGE
from kvmmu_edu.x86.arena import table_of
from kvmmu_edu.x86.spte import (
    SpteFormat,
    get_mmio_spte_generation,
    spte_to_pfn,
)
from kvmmu_widgets.scene import Card, Cell
from kvmmu_widgets.views.page_tables import BUILT, FREED, GOING, WAITING, Change, Table
from kvmmu_widgets.views.spte_runs import EMPTY, LEAF, LINK, MMIO, Run, codes, describe_code, runs

Columns: TypeAlias = NDArray[np.bool_]

#: cells without a port that a card shows; the rest are folded into one
MAX_CELLS: Final = 6
#: stretches of changed entries that get runs of their own
MAX_CUTS: Final = 6

_STATES: Final = {
    BUILT: ("unlinked", "not linked"),
    GOING: ("going", "unlinked"),
    WAITING: ("going", "waits for RCU"),
    FREED: ("freed", "freed"),
}


def table_card(
    table: Table,
    fmt: SpteFormat,
    ports: Collection[int] = (),
    change: Change | None = None,
    *,
    new: bool = False,
) -> tuple[Card, list[int]]:
    """Return the card of *table*, and the numbers of its cells that changed.

    :param ports: columns that at some time lead to a table: they get cells of their own
    :param change: what the event of this step changed
    :param new: whether the table was made in this step
    """
    title = f"{'root' if table.is_root else 'table'} L{table.level}"
    sub = [f"gfn {table.gfn:#x}", f"table {table.row}"]
    if table.is_root:
        sub.append(f"as {table.as_id}")
    if table.nx_split:
        sub.append("for an NX page")
    kind, badge = _state(table, new=new)
    cells, marks = _cells(table, fmt, ports, change)
    return Card(title, " · ".join(sub), badge, kind, tuple(cells)), marks


def _state(table: Table, *, new: bool) -> tuple[str, str]:
    base = "root" if table.is_root else "table"
    if table.state in (GOING, WAITING, FREED):
        kind, badge = _STATES[table.state]
        return f"{base} {kind}", badge
    if table.invalid:
        return f"{base} invalid", "invalid"
    if new:
        return f"{base} new", "new"
    if table.state == BUILT:
        kind, badge = _STATES[BUILT]
        return f"{base} {kind}", badge
    return base, ""


def _cells(
    table: Table, fmt: SpteFormat, ports: Collection[int], change: Change | None
) -> tuple[list[Cell], list[int]]:
    changed = np.zeros(len(table.sptes), np.bool_)
    if change is not None:
        changed[change.columns] = True
    shown: list[tuple[Cell, bool]] = []
    rest: list[tuple[Cell, bool]] = []
    empty: list[Run] = []
    for run in runs(table.sptes, table.level, fmt, _cuts(table, fmt, ports, changed)):
        hit = bool(changed[run.start : run.stop].any())
        if run.code == EMPTY and not hit:
            empty.append(run)
        elif run.stop - run.start == 1 and run.start in ports:
            shown.append((_cell(table, run, fmt, change if hit else None, str(run.start)), hit))
        else:
            rest.append((_cell(table, run, fmt, change if hit else None), hit))
    cells = shown + _folded(rest)
    if empty:
        cells.append((_empty_cell(empty), False))
    return [cell for cell, _ in cells], [n for n, (_, hit) in enumerate(cells) if hit]


def _cuts(table: Table, fmt: SpteFormat, ports: Collection[int], changed: Columns) -> set[int]:
    """Return where runs have to begin: around what has a port, and around what changed."""
    looks = codes(table.sptes[list(ports)], table.level, fmt).tolist()
    present = [port for port, code in zip(ports, looks, strict=True) if code & 7 in (LINK, LEAF)]
    cuts = {cut for port in present for cut in (port, port + 1)}
    edges = np.flatnonzero(np.diff(changed)) + 1
    if len(edges) <= 2 * MAX_CUTS:
        cuts |= set(edges.tolist())
    return cuts


def _folded(cells: list[tuple[Cell, bool]]) -> list[tuple[Cell, bool]]:
    """Keep what changed and the first cells; put the others into one."""
    if len(cells) <= MAX_CELLS:
        return cells
    changed = [n for n, (_, hit) in enumerate(cells) if hit][:MAX_CELLS]
    room = MAX_CELLS - 1 - len(changed)
    others = [n for n in range(len(cells)) if n not in changed]
    kept = sorted(changed + others[: max(room, 0)])
    folded = [cells[n] for n in range(len(cells)) if n not in kept]
    lines = tuple(cell.text for cell, _ in folded[:40])
    fold = Cell(f"… {len(folded)} more runs", "", "field", lines)
    return [*(cells[n] for n in kept), (fold, any(hit for _, hit in folded))]


def _cell(table: Table, run: Run, fmt: SpteFormat, change: Change | None, port: str = "") -> Cell:
    view = describe_code(run.code, table.level)
    count = run.stop - run.start
    where = f"[{run.start}]" if count == 1 else f"[{run.start} … {run.stop - 1}]"
    what = str(view)
    if run.code & 7 == LINK and count == 1:
        what = f"table {table_of(int(table.sptes[run.start]))}"
    text = f"{where} {f'{count} × ' if count > 1 else ''}{what}"
    sub = _was(table, run, fmt, change) if change is not None else _detail(table, run)
    return Cell(text, sub, view.kind, _more(table, run), port)


def _was(table: Table, run: Run, fmt: SpteFormat, change: Change) -> str:
    inside = (change.columns >= run.start) & (change.columns < run.stop)
    before = set(codes(change.old[inside], table.level, fmt).tolist())
    if len(before) == 1:
        return f"was {describe_code(before.pop(), table.level)}"
    return f"{int(inside.sum())} entries changed"


def _detail(table: Table, run: Run) -> str:
    """Return the line below: which frames a run leads to."""
    what = run.code & 7
    if what == MMIO:
        return f"generation {get_mmio_spte_generation(int(table.sptes[run.start]))}"
    if what == LINK and run.stop - run.start == 1:
        return describe_code(run.code, table.level).flags
    if what != LEAF:
        return ""
    first, last, contiguous = _pfns(table, run)
    if run.stop - run.start == 1:
        return f"pfn {first:#x}"
    return f"pfn {first:#x} … {last:#x}" if contiguous else "pfns scattered"


def _pfns(table: Table, run: Run) -> tuple[int, int, bool]:
    pfns = spte_to_pfn(table.sptes[run.start : run.stop]).astype(np.int64)
    contiguous = bool((np.diff(pfns) == PAGES_PER_HPAGE[table.level]).all())
    last = int(pfns[-1]) + PAGES_PER_HPAGE[table.level] - 1
    return int(pfns[0]), last, contiguous


def _more(table: Table, run: Run) -> tuple[str, ...]:
    """Return what a click on a run shows: frames, and the words of the first entries."""
    step = PAGES_PER_HPAGE[table.level]
    first = table.gfn + run.start * step
    lines = [f"gfn {first:#x} … {table.gfn + run.stop * step - 1:#x}"]
    shown = range(run.start, min(run.stop, run.start + 4))
    lines += [f"[{n}] {int(table.sptes[n]):#018x}" for n in shown]
    hidden = run.stop - run.start - len(shown)
    return (*lines, f"… {hidden} more") if hidden else tuple(lines)


def _empty_cell(empty: list[Run]) -> Cell:
    count = sum(run.stop - run.start for run in empty)
    where = [f"[{run.start} … {run.stop - 1}]" for run in empty[:12]]
    return Cell(f"{count} empty", "", "empty", tuple(where) if len(empty) > 1 else ())
