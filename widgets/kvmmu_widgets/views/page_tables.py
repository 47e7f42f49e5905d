"""The page tables of a run, as far as its events tell: what each table holds, who leads to it.

The model is a fold over events, from the beginning of the VM on; it knows nothing of the engine
but its events.  Ours.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.trace.events import (
    GetMmuPage,
    GetShadowPage,
    MmuPageFreed,
    NxHugePageTracked,
    PrepareZapPage,
    PrepareZapShadowPage,
    RcuCallbackQueued,
    RootInvalidated,
    ShadowSpteChanged,
    SpteChanged,
    Tables,
)
from kvmmu_edu.units import PAGES_PER_HPAGE, PT64_ROOT_4LEVEL, SPTE_ENT_PER_PAGE, Gfn, Level
from kvmmu_edu.x86.arena import table_of
from kvmmu_edu.x86.spte import SpteFormat, is_shadow_present_leaf, is_shadow_present_table

#: what becomes of a table, in this order
BUILT, LINKED, GOING, WAITING, FREED = range(5)


class Link(NamedTuple):
    """An entry that leads to a table: the life of the table above, and the column."""

    parent: int
    column: int


class Change(NamedTuple):
    """Columns of one table that one event changed, and what they held before."""

    columns: NDArray[np.int64]
    old: NDArray[np.uint64]


@dataclass(slots=True)
class Table:
    """One life of a table: from its allocation to its end.

    :ivar life: a number of its own; a row of the arena can have several lives
    :ivar row: the row of the arena: the table's number
    :ivar sptes: its entries, uint64[512]
    :ivar leaves: how many of them map a page
    :ivar state: ``BUILT``, ``LINKED``, ``GOING``, ``WAITING`` (for RCU) or ``FREED``
    :ivar link: the first entry that led here; None for roots and for what was never linked
    :ivar born: number of the event that made it, -1 if it was there before
    :ivar died: number of the event that freed it, None if it is there at the end
    """

    life: int
    row: int
    level: Level
    gfn: Gfn
    as_id: int
    sptes: NDArray[np.uint64]
    born: int
    leaves: int = 0
    state: int = BUILT
    invalid: bool = False
    nx_split: bool = False
    link: Link | None = None
    died: int | None = None

    @property
    def is_root(self) -> bool:
        """Whether a vCPU walks from here: nothing above it, and of a root's level."""
        return self.link is None and self.level >= PT64_ROOT_4LEVEL


class TablesModel:
    """All tables after the events so far.

    :param fmt: what the bits of an entry mean

    :ivar tables: those that exist now, by row
    :ivar lives: all that ever existed, by life
    :ivar links: entries that lead to a table now -> the life of that table
    :ivar changes: what the last event changed, by life
    :ivar touched: lives whose looks the last event changed
    :ivar made: lives that the last event began
    :ivar relinked: whether the last event changed *links*
    """

    def __init__(self, fmt: SpteFormat) -> None:
        """Start with no table."""
        self.fmt = fmt
        self.tables: dict[int, Table] = {}
        self.lives: list[Table] = []
        self.links: dict[Link, int] = {}
        self.changes: dict[int, Change] = {}
        self.touched: set[int] = set()
        self.made: set[int] = set()
        self.relinked = False
        self._clock = -1
        self._buried: list[int] = []

    def apply(self, event: Any) -> bool:
        """Take *event* in; return whether it says anything about page tables."""
        self._clock += 1
        self.changes, self.touched, self.made, self.relinked = {}, set(), set(), False
        for row in self._buried:
            if self.tables[row].state == FREED:
                del self.tables[row]
        self._buried = []
        function = _APPLY.get(type(event))
        if function is None:
            return False
        function(self, event)
        return True

    def pages(self, level: Level) -> int:
        """Return how many pages of *level* the tables map: those that were ever linked."""
        counted = [t for t in self.tables.values() if t.state not in (BUILT, FREED)]
        return sum(table.leaves for table in counted if table.level == level)

    def _new(self, row: int, level: Level, gfn: Gfn, as_id: int) -> Table:
        words = np.full(SPTE_ENT_PER_PAGE, self.fmt.SHADOW_NONPRESENT_VALUE, np.uint64)
        table = Table(len(self.lives), row, level, gfn, as_id, words, self._clock)
        if level >= PT64_ROOT_4LEVEL:
            table.state = LINKED
        self.lives.append(table)
        self.tables[row] = table
        return table

    def _get_mmu_page(self, event: GetMmuPage) -> None:
        if event.created or event.table not in self.tables:
            table = self._new(event.table, event.level, event.gfn, event.as_id)
            self.made.add(table.life)
        self.touched.add(self.tables[event.table].life)

    def _spte_changed(self, event: SpteChanged) -> None:
        rows = rows_of(event.table)
        columns = columns_of(event.index)
        shape = (len(rows), len(columns))
        old = grid(event.old, shape)
        new = grid(event.new, shape)
        for n, row in enumerate(rows):
            table = self.tables.get(row)
            if table is None:
                table = self._unknown(row, event, n)
            self._store(table, columns, old[n], new[n])

    def _store(
        self,
        table: Table,
        columns: NDArray[np.int64],
        old: NDArray[np.uint64],
        new: NDArray[np.uint64],
    ) -> None:
        differ = old != new
        if not differ.any():
            return
        columns, old, new = columns[differ], old[differ], new[differ]
        table.sptes[columns] = new
        table.leaves += _count_leaves(new, table.level) - _count_leaves(old, table.level)
        self.changes[table.life] = Change(columns, old)
        self.touched.add(table.life)
        if table.level > 1:
            self._relink(table, columns)

    def _relink(self, table: Table, columns: NDArray[np.int64]) -> None:
        """Follow the entries in *columns* to the tables below."""
        leads = is_shadow_present_table(table.sptes[columns], table.level)
        for index, lead in zip(columns.tolist(), leads.tolist(), strict=True):
            link = Link(table.life, index)
            if not lead:
                self.relinked |= self.links.pop(link, None) is not None
                continue
            child = self.tables.get(table_of(int(table.sptes[index])))
            if child is not None:
                self.links[link] = child.life
                self.relinked = True
                child.state, child.link = LINKED, child.link or link
                self.touched.add(child.life)

    def _unknown(self, row: int, event: SpteChanged, n: int) -> Table:
        """Return a table that was there before the first event of a trace."""
        span = PAGES_PER_HPAGE[event.level + 1]
        table = self._new(row, event.level, (event.gfn & -span) + n * span, event.as_id)
        table.born, table.state = -1, LINKED
        return table

    def _end(self, tables: Tables, state: int) -> None:
        for row in rows_of(tables):
            table = self.tables.get(row)
            if table is None:
                continue
            table.state = state
            self.touched.add(table.life)
            if state == FREED:
                table.died = self._clock
                self._buried.append(row)
                for link in [link for link in self.links if link.parent == table.life]:
                    del self.links[link]
                    self.relinked = True

    def _prepare_zap_page(self, event: PrepareZapPage) -> None:
        self._end(event.table, GOING)

    def _rcu_callback_queued(self, event: RcuCallbackQueued) -> None:
        self._end(event.tables, WAITING)

    def _mmu_page_freed(self, event: MmuPageFreed) -> None:
        self._end(event.table, FREED)

    def _root_invalidated(self, event: RootInvalidated) -> None:
        table = self.tables.get(event.table)
        if table is not None:
            table.invalid = True
            self.touched.add(table.life)

    def _nx_huge_page_tracked(self, event: NxHugePageTracked) -> None:
        table = self.tables.get(event.table)
        if table is not None:
            table.nx_split = event.tracked
            self.touched.add(table.life)


_APPLY: Final[dict[type[Any], Callable[[TablesModel, Any], None]]] = {
    GetMmuPage: TablesModel._get_mmu_page,  # noqa: SLF001
    GetShadowPage: TablesModel._get_mmu_page,  # noqa: SLF001
    SpteChanged: TablesModel._spte_changed,  # noqa: SLF001
    ShadowSpteChanged: TablesModel._spte_changed,  # noqa: SLF001
    PrepareZapPage: TablesModel._prepare_zap_page,  # noqa: SLF001
    PrepareZapShadowPage: TablesModel._prepare_zap_page,  # noqa: SLF001
    RcuCallbackQueued: TablesModel._rcu_callback_queued,  # noqa: SLF001
    MmuPageFreed: TablesModel._mmu_page_freed,  # noqa: SLF001
    RootInvalidated: TablesModel._root_invalidated,  # noqa: SLF001
    NxHugePageTracked: TablesModel._nx_huge_page_tracked,  # noqa: SLF001
}


def fold(events: Iterable[Any], model: TablesModel) -> TablesModel:
    """Let *model* take in all *events* and return it."""
    for event in events:
        model.apply(event)
    return model


def rows_of(tables: Tables) -> list[int]:
    """Return the rows that an event names."""
    return [tables] if isinstance(tables, int) else [int(row) for row in tables]


def columns_of(index: int | slice) -> NDArray[np.int64]:
    """Return the columns that an event names, int64."""
    if isinstance(index, slice):
        return np.arange(*index.indices(SPTE_ENT_PER_PAGE), dtype=np.int64)
    return np.array([index], np.int64)


def grid(sptes: Any, shape: tuple[int, int]) -> NDArray[np.uint64]:
    """Return the entries of a span as uint64[tables, columns], whatever form they came in."""
    words = np.asarray(sptes, np.uint64)
    if words.ndim == 1 and words.size != shape[1]:
        words = words.reshape(shape[0], -1)
    return np.broadcast_to(words, shape)


def _count_leaves(sptes: NDArray[np.uint64], level: Level) -> int:
    return int(np.count_nonzero(is_shadow_present_leaf(sptes, level)))
