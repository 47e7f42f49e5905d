"""Comparisons as text: the totals, and the first difference with what surrounds it.

Ours.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, Final

from kvmmu_edu.compare.comparison import MEASURES, Comparison, OperationComparison, Side

#: how many events are shown before and after the one that differs
CONTEXT: Final = 3
_NOTHING: Final = "-"


def totals(comparisons: Iterable[Comparison]) -> str:
    """Return one line: how many scenarios, and how many operations in each measure, agree."""
    found = list(comparisons)
    parts = [f"scenarios {sum(one.agrees for one in found)}/{len(found)}"]
    for measure in MEASURES:
        counts = [one.count(measure) for one in found]
        parts.append(f"{measure} {sum(n for n, _ in counts)}/{sum(of for _, of in counts)}")
    recorded = sum(one.recorded_events() for one in found)
    return "  ".join(parts) + f" operations ({recorded} recorded events)"


def first_differences(comparison: Comparison) -> list[str]:
    """Return the lines that explain the first difference of each measure."""
    lines = [comparison.name]
    for measure in MEASURES:
        operation = comparison.first(measure)
        if operation is not None:
            lines.append(f"  {measure}: operation {operation.n} '{operation.text}'")
            lines.extend(f"    {line}" for line in _explain(operation, measure))
    return lines


def _explain(operation: OperationComparison, measure: str) -> list[str]:
    if operation.produced is None:
        return ["the run has no such operation"]
    if measure == "events":
        return _event_lines(operation.recorded, operation.produced)
    return _value_lines(getattr(operation.recorded, measure), getattr(operation.produced, measure))


def _value_lines(real: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    names = [name for name in {**real, **ours} if real.get(name) != ours.get(name)]
    rows = [(name, _value(real, name), _value(ours, name)) for name in names]
    return _table([("", "recorded", "run"), *rows])


def _value(values: dict[str, Any], name: str) -> str:
    return str(values[name]) if values.get(name) is not None else _NOTHING


def _event_lines(real: Side, ours: Side) -> list[str]:
    task, at = first_event(real, ours)
    pairs = list(zip_longest(real.events.get(task, ()), ours.events.get(task, ()), fillvalue=""))
    start, stop = max(0, at - CONTEXT), min(len(pairs), at + CONTEXT + 1)
    rows = [
        (f"{'>' if a != b else ' '} {n + 1}", a or _NOTHING, b or _NOTHING)
        for n, (a, b) in enumerate(pairs[start:stop], start)
    ]
    counts = (
        f"{len(real.events.get(task, ()))} recorded, {len(ours.events.get(task, ()))} in the run"
    )
    return [
        f"{task}, event {at + 1} ({counts})",
        *_table([(f"  {task}", "recorded", "run"), *rows]),
    ]


def first_event(real: Side, ours: Side) -> tuple[str, int]:
    """Return the first task whose events differ, and the index of the first that does."""
    tasks = sorted({*real.events, *ours.events})
    task = next(t for t in tasks if real.events.get(t, ()) != ours.events.get(t, ()))
    pairs = zip_longest(real.events.get(task, ()), ours.events.get(task, ()))
    return task, next(n for n, (a, b) in enumerate(pairs) if a != b)


def _table(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"{a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows]
