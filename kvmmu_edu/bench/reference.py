"""A plain Python loop that says how quick this machine is now, so that figures compare.

Ours.
"""

import time
from collections.abc import Callable
from typing import Final

_ROUNDS: Final = 200_000


def seconds(work: Callable[[], object]) -> float:
    """Return how long *work* takes, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def loop_rate() -> float:
    """Return how often a second a function is called that looks one number up in a dict.

    >>> loop_rate() > 0
    True
    """
    table = dict.fromkeys(range(512), 1)

    def look(index: int) -> int:
        return table[index & 511]

    def loop() -> None:
        for index in range(_ROUNDS):
            look(index)

    return _ROUNDS / seconds(loop)
