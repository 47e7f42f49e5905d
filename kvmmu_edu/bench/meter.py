"""Measuring: the best of several turns, beside a plain Python loop.

The best, not the mean: what else runs on the machine can only make a turn slower.

Ours.
"""

from collections.abc import Callable
from copy import copy
from time import process_time
from typing import Final, NamedTuple, TypeAlias

#: work that is measured; it returns how many operations it did
Work: TypeAlias = Callable[[], int]

_REFERENCE_STEPS: Final = 100_000
_QUICK_REFERENCE_STEPS: Final = 10_000


class Figure(NamedTuple):
    """What was measured.

    :ivar name: one word for each part, joined by dots: ``faults.read.none``
    :ivar what: the same for people
    :ivar seconds: CPU time of one operation
    :ivar ratio: how many turns of the reference loop take as long
    """

    name: str
    what: str
    seconds: float
    ratio: float

    @property
    def per_second(self) -> float:
        """How many operations a second has room for."""
        return 1 / self.seconds


def identity(value: int) -> int:
    """Return *value*: what one turn of the reference loop calls."""
    return value


def reference_loop(steps: int) -> int:
    """Take *steps* turns of a plain Python loop; return how many they were."""
    for step in range(steps):
        identity(step)
    return steps


class Meter:
    """Measures work.

    :param turns: how often each piece of work is repeated
    :param quick: whether one turn of small work is enough, to see that it runs

    :ivar reference: CPU time of one turn of the reference loop, seconds
    """

    def __init__(self, *, turns: int = 7, quick: bool = False) -> None:
        """Measure the reference loop."""
        self.quick = quick
        self.turns = 1 if quick else turns
        steps = _QUICK_REFERENCE_STEPS if quick else _REFERENCE_STEPS
        self.reference = self.best(lambda: lambda: reference_loop(steps))

    def size(self, full: int, quick: int) -> int:
        """Return how large the work shall be: *full*, or *quick* if that is enough."""
        return quick if self.quick else full

    def sparing(self, turns: int) -> "Meter":
        """Return a meter that takes at most *turns* turns, for work that takes seconds."""
        other = copy(self)
        other.turns = min(self.turns, turns)
        return other

    def best(self, prepare: Callable[[], Work]) -> float:
        """Return the CPU time of one operation, in seconds: the best of all turns.

        :param prepare: makes ready for one turn and returns the work; only that is measured
        """
        return min(_seconds(prepare()) for _ in range(self.turns))

    def figure(self, name: str, what: str, prepare: Callable[[], Work]) -> Figure:
        """Measure and give the result a name."""
        return self.given(name, what, self.best(prepare))

    def given(self, name: str, what: str, seconds: float) -> Figure:
        """Return the figure of what was measured elsewhere."""
        return Figure(name, what, seconds, seconds / self.reference)


def _seconds(work: Work) -> float:
    start = process_time()
    done = work()
    return (process_time() - start) / done
