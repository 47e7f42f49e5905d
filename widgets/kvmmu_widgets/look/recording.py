"""A recording of the real kernel beside a run of the model.  Ours."""

from itertools import zip_longest
from typing import Final

from kvmmu_edu.compare.comparison import Comparison, OperationComparison
from kvmmu_edu.errors import UsageError
from kvmmu_widgets.grid import Grid

_SAYS: Final = {True: "agrees", False: "DIFFERS", None: "not compared"}


def agreement(comparison: Comparison) -> Grid:
    """Return for each operation whether kernel and model agree, and in how many events."""
    rows = [
        (one.n, one.text, *(_SAYS[part] for part in (one.results, one.statistics)), _events(one))
        for one in comparison.operations
    ]
    agree = sum(one.agrees for one in comparison.operations)
    caption = (
        f"{comparison.name}: kernel and model agree in {agree} of {len(rows)} operations, "
        f"{comparison.recorded_events()} recorded events"
    )
    return Grid(("n", "operation", "results", "statistics", "events"), rows, caption)


def _events(one: OperationComparison) -> str:
    count = sum(len(texts) for texts in one.recorded.events.values())
    return f"{count}: {_SAYS[one.events]}" if one.events is not None else _SAYS[None]


def events(comparison: Comparison, n: int) -> Grid:
    """Return the events of one operation, the recorded ones beside those of the run.

    :param n: the number of the operation
    :raises UsageError: it is not among those that are compared
    """
    found = next((one for one in comparison.operations if one.n == n), None)
    if found is None:
        known = ", ".join(str(one.n) for one in comparison.operations)
        raise UsageError(f"operation {n} is not compared; expected one of {known}")
    ours = {} if found.produced is None else found.produced.events
    rows = []
    for task in sorted({*found.recorded.events, *ours}):
        pairs = zip_longest(found.recorded.events.get(task, ()), ours.get(task, ()), fillvalue="-")
        rows += [(task, "=" if real == made else "≠", real, made) for real, made in pairs]
    caption = f"Operation {n}, {found.text}: the real kernel on the left"
    return Grid(("task", "", "recorded", "model"), rows, caption)
