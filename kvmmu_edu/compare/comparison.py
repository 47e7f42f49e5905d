"""Comparing a recording with a run, operation by operation.

Ours.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kvmmu_edu.compare.material import Material, Recording, Result, of_run, read_produced
from kvmmu_edu.compare.material import read_recording as _read_recording
from kvmmu_edu.compare.measures import by_task, changes, outcome
from kvmmu_edu.compare.undecided import HOST_ONLY, results_only
from kvmmu_edu.scenario.runner import Run

#: the measures, in the order in which they are shown
MEASURES: Final = ("results", "statistics", "events")


@dataclass(frozen=True, slots=True)
class Side:
    """What one side has of an operation.

    :ivar results: what it returned
    :ivar statistics: by how much each statistic changed
    :ivar events: the events of each task, in order
    """

    results: dict[str, Any]
    statistics: dict[str, int]
    events: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class OperationComparison:
    """One operation on both sides.

    :ivar n: its number; *text* is its line in the scenario
    :ivar produced: None when the run has no such operation
    :ivar results: whether both sides agree; so *statistics* and *events*, which is None where
        the recording has no trace or its order is open
    :ivar undecided: why only the results count, or an empty text
    """

    n: int
    text: str
    recorded: Side
    produced: Side | None
    results: bool
    statistics: bool
    events: bool | None
    undecided: str = ""

    @property
    def agrees(self) -> bool:
        """Whether nothing that counts differs."""
        return self.results and self.statistics and self.events is not False

    def differing(self) -> tuple[str, ...]:
        """Return the measures in which the sides differ."""
        return tuple(name for name in MEASURES if getattr(self, name) is False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A whole scenario on both sides.

    :ivar operations: those that are compared, in order
    """

    name: str
    operations: tuple[OperationComparison, ...]

    @property
    def agrees(self) -> bool:
        """Whether the scenario agrees wholly."""
        return all(operation.agrees for operation in self.operations)

    def count(self, measure: str) -> tuple[int, int]:
        """Return in how many operations a measure agrees, and in how many it is compared."""
        found = [getattr(operation, measure) for operation in self.operations]
        return found.count(True), len(found) - found.count(None)

    def recorded_events(self) -> int:
        """Return how many recorded events were compared."""
        return sum(
            len(texts)
            for operation in self.operations
            if operation.events is not None
            for texts in operation.recorded.events.values()
        )

    def first(self, measure: str) -> OperationComparison | None:
        """Return the first operation in which a measure differs."""
        found = (one for one in self.operations if getattr(one, measure) is False)
        return next(found, None)


def compare_scenario(recording: Path | Recording, run: Run | Path) -> Comparison:
    """Compare a recording with a run.

    :param recording: the folder of the recording, or one that was read before
    :param run: a run in memory, or the folder that one was written to
    :raises UsageError: when a file is missing, truncated or corrupt
    """
    if isinstance(recording, Path):
        recording = _read_recording(recording)
    lite = recording.lite
    produced = read_produced(run, lite=lite) if isinstance(run, Path) else of_run(run, lite=lite)
    operations = tuple(
        _compare_operation(recording, n, result, produced)
        for n, result in recording.material.results.items()
        if not result["op"].startswith(HOST_ONLY)
    )
    return Comparison(recording.name, operations)


def _side(material: Material, n: int, result: Result) -> Side:
    events = by_task((material.events or {}).get(n, []))
    return Side(outcome(result), changes(result), events)


def _compare_operation(
    recording: Recording, n: int, result: Result, produced: Material
) -> OperationComparison:
    """Judge one operation; what the run does not have agrees in nothing."""
    real = _side(recording.material, n, result)
    found = produced.results.get(n)
    same_text = found is not None and found["op"] == result["op"]
    ours = _side(produced, n, found) if found is not None and same_text else None
    undecided = results_only(recording.name, n, parallel=recording.parallel)
    traced = recording.material.events is not None and not undecided
    return OperationComparison(
        n=n,
        text=result["op"],
        recorded=real,
        produced=ours,
        results=ours is not None and ours.results == real.results,
        statistics=ours is not None and (bool(undecided) or ours.statistics == real.statistics),
        events=(ours is not None and ours.events == real.events) if traced else None,
        undecided=undecided,
    )
