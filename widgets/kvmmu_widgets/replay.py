"""The state of a picture at any step, from a message alone.

The painter does the same in JavaScript; here it serves the static pictures and the tests.  Ours.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kvmmu_edu.errors import UsageError


class Frame(NamedTuple):
    """One step in full.

    :ivar nodes: number of the content of each card that is there
    :ivar edges: class of each edge that is there
    :ivar locks: who holds each lock that is held
    """

    step: Mapping[str, Any]
    layout: Mapping[str, Any]
    nodes: dict[str, int]
    edges: dict[str, str]
    locks: dict[str, str]


def frame_at(message: Mapping[str, Any], number: int) -> Frame:
    """Return step *number* of *message* in full; -1 is the last.

    :raises UsageError: no such step
    """
    steps = message["steps"]
    if not -len(steps) <= number < len(steps):
        raise UsageError(f"there is no step {number}; expected 0 to {len(steps) - 1}")
    last = number % len(steps)
    nodes: dict[str, int] = {}
    edges: dict[str, str] = {}
    locks: dict[str, str] = {}
    for step in steps[: last + 1]:
        for known, key in ((nodes, "nodes"), (edges, "edges"), (locks, "locks")):
            _patch(known, step.get(key, {}))
    step = steps[last]
    return Frame(step, message["layouts"][step["layout"]], nodes, edges, locks)


def _patch(known: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if value is None:
            known.pop(name, None)
        else:
            known[name] = value
