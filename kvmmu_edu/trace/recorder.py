"""Sinks for events: counters only, all events, or all events with where they came from.

======================  =========================================================
``Trace``               counts; keeps nothing
``EventTrace``          keeps every event with its number and task
``StepTrace``           keeps also the source lines, and the shapes of trees
======================  =========================================================
"""

import sys
from types import CodeType, FrameType, MethodType
from typing import Any, Final, NamedTuple, Protocol

from kvmmu_edu.trace.stats import FOLDS, Counters


class _Named(Protocol):
    name: str


class _Scheduler(Protocol):
    @property
    def current(self) -> _Named: ...


class _NobodyRuns:
    class current:  # noqa: N801 - a scheduler's attribute
        name = ""


_NOBODY_RUNS: Final = _NobodyRuns()


class Site(NamedTuple):
    """A place in the engine's source: the code object of a function and a line number."""

    code: CodeType
    line: int


class Record(NamedTuple):
    """An event with its number, its task, and the calls that led to it (innermost first)."""

    id: int
    task: str
    event: Any
    sites: tuple[Site, ...]


class Trace:
    """Counts, and keeps no event.

    What every page fault would emit for nothing is emitted only ``if trace.keeps_events``; what
    counts is emitted always.

    :ivar counters: the statistics so far
    :ivar keeps_steps: whether emitting the shapes of trees is worth its cost
    """

    keeps_events = False
    keeps_steps = False

    def __init__(self) -> None:
        """Start with everything at zero."""
        self.counters = Counters()
        # the folds, bound to our counters once: most kinds have none
        self._fold_of = {kind: MethodType(f, self.counters) for kind, f in FOLDS.items()}.get

    @property
    def records(self) -> list[Record]:
        """The events kept so far: none here."""
        return []

    def emit(self, kind: type[Any], *values: Any) -> None:
        """Count the event that *kind* and *values* make up."""
        fold = self._fold_of(kind)
        if fold is not None:
            fold(*values)

    def attach(self, sched: _Scheduler) -> None:
        """Learn from *sched* which task is running."""

    def events(self) -> list[Any]:
        """Return the events that were kept, without what goes with them."""
        return [record.event for record in self.records]


class EventTrace(Trace):
    """Keeps every event with its number and task."""

    keeps_events = True

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self._sched: _Scheduler = _NOBODY_RUNS
        self._records: list[Record] = []
        # kind, values, task and sites of each event that is no record yet, one behind the other:
        # a container for each would keep Python's garbage collector busy
        self._new: list[Any] = []

    @property
    def records(self) -> list[Record]:
        """The events kept so far; they are made into records when somebody looks at them."""
        records, new = self._records, self._new
        for kind, values, task, sites in zip(*(new[i::4] for i in range(4)), strict=True):
            records.append(Record(len(records), task, kind(*values), sites))
        new.clear()
        return records

    def attach(self, sched: _Scheduler) -> None:
        """Learn from *sched* which task is running."""
        self._sched = sched

    def emit(self, kind: type[Any], *values: Any) -> None:
        """Count the event and keep it."""
        fold = self._fold_of(kind)
        if fold is not None:
            fold(*values)
        self._new += (kind, values, self._sched.current.name, self._sites())

    def _sites(self) -> tuple[Site, ...]:
        return ()


class StepTrace(EventTrace):
    """Keeps every event with the source lines it came from, and the shapes of trees."""

    keeps_steps = True

    def _sites(self) -> tuple[Site, ...]:
        sites: list[Site] = []
        frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the caller of emit
        while frame is not None and len(sites) < 12:
            module = frame.f_globals.get("__name__", "")
            if module.startswith("kvmmu_edu.") and not module.startswith(_NOT_THE_STORY):
                sites.append(Site(frame.f_code, frame.f_lineno))
            frame = frame.f_back
        return tuple(sites)


#: modules whose lines explain nothing about KVM
_NOT_THE_STORY = ("kvmmu_edu.sync", "kvmmu_edu.trace", "kvmmu_edu.scenario")
