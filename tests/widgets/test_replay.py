"""Any step in full, from the message alone."""

import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_widgets.replay import frame_at

MESSAGE = {
    "layouts": [{"w": 1}, {"w": 2}],
    "steps": [
        {"layout": 0, "nodes": {"a": 0}},
        {"layout": 0, "nodes": {"a": 1, "b": 0}, "edges": {"a>b": "linked"}, "locks": {"l": "t"}},
        {"layout": 1, "nodes": {"a": None}, "edges": {"a>b": None}, "locks": {"l": None}},
    ],
}


def test_steps_add_up():
    assert frame_at(MESSAGE, 0).nodes == {"a": 0}
    middle = frame_at(MESSAGE, 1)
    assert (middle.nodes, middle.edges, middle.locks) == (
        {"a": 1, "b": 0},
        {"a>b": "linked"},
        {"l": "t"},
    )
    last = frame_at(MESSAGE, 2)
    assert (last.nodes, last.edges, last.locks, last.layout) == ({"b": 0}, {}, {}, {"w": 2})


def test_from_the_end():
    assert frame_at(MESSAGE, -1) == frame_at(MESSAGE, 2)


@pytest.mark.parametrize("number", [3, -4])
def test_no_such_step(number):
    with pytest.raises(UsageError, match="expected 0 to 2"):
        frame_at(MESSAGE, number)
