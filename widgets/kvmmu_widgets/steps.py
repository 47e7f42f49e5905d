"""Which events become steps, and what goes with each of them.

Every event counts; what neither changes the picture nor matters to the story has no step of
its own.  What leads up to a step (locks taken) belongs to that step, what merely completes
one (locks given back, statistics of what was just linked) belongs to the step before.  Ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from kvmmu_edu.choices import Choices
from kvmmu_edu.errors import UsageError
from kvmmu_edu.trace import events as ev
from kvmmu_edu.trace.ftrace import RENDERERS
from kvmmu_edu.trace.recorder import Record
from kvmmu_edu.trace.stats import FOLDS, VCPU_STATS, Counters
from kvmmu_widgets.arrange import Arrangement
from kvmmu_widgets.narrate import Line, Narrator
from kvmmu_widgets.scene import Scene

#: a stepper with more steps than this helps nobody
MAX_STEPS: Final = 2000

#: lines of ftrace output that one event adds to a step
MAX_FTRACE: Final = 2

#: events that complete the step before them
TRAILING: Final = frozenset(
    (
        ev.LockReleased,
        ev.SetSpte,
        ev.PageStatsUpdated,
        ev.FrozenSpteHandled,
        ev.NxHugePageTracked,
        ev.SplitHugePage,
    )
)


_NOT_YET: Final = "Nothing has happened yet."
_NOTHING: Final = Record(0, "", None, ())


class Scenes(Protocol):
    """A view: draws the state, event by event.

    :ivar scene: the picture after the events so far
    """

    scene: Scene
    #: the lock without which nobody changes what is drawn
    GUARD: str
    #: kinds of events that have a step of their own though they change no picture
    TOLD: frozenset[type]

    def step(self, event: Any) -> Scene:
        """Take *event* in and return the picture after it."""
        ...

    def arrange(self, scenes: Sequence[Scene], backend: str = "") -> Arrangement:
        """Return where everything in *scenes* stands."""
        ...

    def invariants(self, counters: Counters) -> dict[str, bool]:
        """Return what must hold while nobody has the guard, and whether it does."""
        ...


@dataclass(slots=True)
class Step:
    """One step of the run.

    :ivar record: the event that it shows; None in step 0
    :ivar counters: names -> value before and after, only those that moved
    :ivar locks: locks -> who holds them and how, None if free; only those that changed
    :ivar ftrace: what the real kernel's trace prints for all that belongs to the step
    """

    scene: Scene
    line: Line
    record: Record | None = None
    op: int | None = None
    counters: dict[str, tuple[int, int]] = field(default_factory=dict)
    locks: dict[str, str | None] = field(default_factory=dict)
    ftrace: list[str] = field(default_factory=list)
    checks: dict[str, bool] = field(default_factory=dict)


@dataclass(slots=True)
class Operation:
    """What the user's program did; *first* and *last* are numbers of steps."""

    n: int
    text: str
    first: int
    last: int


class Story:
    """Cuts a run into steps.

    :param view: draws; it has taken in nothing of the run yet
    :param records: the run
    :param before: records that came earlier

    :ivar steps: the steps, the state before anything happened first
    :ivar operations: what the user's program did, in order
    """

    def __init__(
        self,
        view: Scenes,
        records: Sequence[Record],
        choices: Choices,
        before: Sequence[Record] = (),
        checks: Mapping[int, Mapping[str, bool]] | None = None,
    ) -> None:
        """Cut *records*, all of them."""
        self.view = view
        self.choices = choices
        self.narrator = Narrator(choices)
        first = "This is what came of all that happened before." if before else _NOT_YET
        self.steps = [Step(view.scene, Line(first, ""))]
        self.operations: list[Operation] = []
        self._counters = _Folded([*before, *records])
        self._locks = _Locks()
        self._lead: list[Record] = []
        self._op: int | None = None
        self._checked: Step | None = None
        # what is missing at the beginning is missing in the counters, too
        self._whole = next(iter([*before, *records]), _NOTHING).id == 0
        for record in before:
            self.narrator.hear(record.event)
            self._counters.fold(record.event)
            self._locks.hear(record)
        self._locks.changes()
        self._counters.moved()
        for record in records:
            self._take(record)
            if checks and record.id in checks:
                self.steps[-1].checks.update(checks[record.id])
        self._check()
        self._complete(self.steps[-1], self._lead)

    def _check(self) -> None:
        """Evaluate the invariants after a step, if its lock is free before the next event."""
        step = self.steps[-1]
        if step is self._checked or self._lead or not self._locks.free(self.view.GUARD):
            return
        self._checked = step
        if self._whole:
            step.checks.update(self.view.invariants(self._counters.counters))

    def _take(self, record: Record) -> None:
        event = record.event
        self._check()
        scene = self.view.step(event)
        if isinstance(event, ev.OperationBegin):
            self._op = len(self.operations)
            step = len(self.steps)
            self.operations.append(Operation(event.n, event.text, step, step))
        if scene.marks or isinstance(event, ev.OperationBegin) or type(event) in self.view.TOLD:
            self._add(record, scene)
            return
        self.narrator.hear(event)
        if isinstance(event, ev.OperationEnd):
            self._complete(self.steps[-1], [*self._lead, record])
            self._lead, self._op = [], None
        elif type(event) in TRAILING and not self._lead:
            self._complete(self.steps[-1], [record])
        else:
            self._lead.append(record)

    def _add(self, record: Record, scene: Scene) -> None:
        if len(self.steps) > MAX_STEPS:
            msg = (
                f"this run has more than {MAX_STEPS} steps; expected fewer: show a part of its "
                "records, or let the VM handle more entries at once (grain)"
            )
            raise UsageError(msg)
        step = Step(scene, self.narrator.tell(record.event), record, self._op)
        self.steps.append(step)
        if self._op is not None:
            self.operations[self._op].last = len(self.steps) - 1
        self._complete(step, [*self._lead, record])
        # as it is at the event: what is given back afterwards is seen at the next step
        step.locks = self._locks.changes()
        self._lead = []

    def _complete(self, step: Step, records: Sequence[Record]) -> None:
        """Let *records* belong to *step*: count them, and see what ftrace prints."""
        for record in records:
            self._counters.fold(record.event)
            self._locks.hear(record)
            self._render(step, record)
        for name, (old, new) in self._counters.moved().items():
            step.counters[name] = (step.counters.get(name, (old, new))[0], new)
        step.counters = {name: ends for name, ends in step.counters.items() if ends[0] != ends[1]}

    def _render(self, step: Step, record: Record) -> None:
        """Add what ftrace prints for *record*; of hundreds of lines only the first."""
        render = RENDERERS.get(type(record.event))
        if render is None or isinstance(record.event, ev.OperationBegin | ev.OperationEnd):
            return
        lines = list(render(record.event, self.choices))
        step.ftrace += lines[:MAX_FTRACE]
        if len(lines) > MAX_FTRACE:
            step.ftrace.append(f"… {len(lines) - MAX_FTRACE} more lines like these")


class _Folded:
    """The counters, and how they moved since they were last asked for."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.counters = Counters()
        numbers = [getattr(record.event, "vcpu", -1) for record in records]
        vcpus = 1 + max(numbers, default=-1)
        self.counters.vcpus = [dict.fromkeys(VCPU_STATS, 0) for _ in range(vcpus)]
        self._last = self.counters.flat()
        self._dirty = False

    def fold(self, event: Any) -> None:
        function = FOLDS.get(type(event))
        if function is not None:
            function(self.counters, *event)
            self._dirty = True

    def moved(self) -> dict[str, tuple[int, int]]:
        if not self._dirty:
            return {}
        self._dirty = False
        before, self._last = self._last, self.counters.flat()
        return {
            name: (before.get(name, 0), value)
            for name, value in self._last.items()
            if before.get(name, 0) != value
        }


class _Locks:
    """Who holds which lock, and what changed since that was last asked for."""

    def __init__(self) -> None:
        self.holders: dict[str, list[str]] = {}
        self.now: dict[str, str | None] = {}
        self.told: dict[str, str | None] = {}

    def hear(self, record: Record) -> None:
        event = record.event
        if not isinstance(event, ev.LockAcquired | ev.LockReleased):
            return
        holders = self.holders.setdefault(event.lock, [])
        if isinstance(event, ev.LockAcquired):
            holders.append(record.task)
        elif record.task in holders:
            holders.remove(record.task)
        tasks = ", ".join(holders)
        text = tasks if event.mode == "lock" else f"{event.mode}: {tasks}"
        self.now[event.lock] = text if holders else None

    def free(self, lock: str) -> bool:
        return not self.holders.get(lock)

    def changes(self) -> dict[str, str | None]:
        changed = {
            lock: holder for lock, holder in self.now.items() if self.told.get(lock) != holder
        }
        self.told |= changed
        return changed
