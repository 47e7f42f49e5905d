"""Runs of any size, through the real pipeline."""

import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_widgets.replay import frame_at
from kvmmu_widgets.synthetic import synthetic_message


@pytest.mark.parametrize(("nodes", "steps"), [(4, 1), (4, 3), (9, 30), (60, 25), (40, 200)])
def test_as_many_tables_and_steps_as_asked_for(nodes, steps):
    message = synthetic_message(nodes, steps)
    assert len(message["steps"]) == steps + 1
    assert len(frame_at(message, -1).nodes) <= nodes
    if steps >= 3:
        assert len(message["layouts"][0]["nodes"]) == nodes
    assert all(all(step.get("checks", {}).values()) for step in message["steps"])


def test_every_step_changes_something_or_begins_an_operation():
    message = synthetic_message(30, 50)
    for step in message["steps"][1:]:
        assert step.get("marks") or step["event"] == "OperationBegin"


def test_operations_are_as_long_as_they_say():
    message = synthetic_message(30, 25)
    assert [(op["first"], op["last"]) for op in message["ops"]] == [(1, 10), (11, 20), (21, 25)]


@pytest.mark.parametrize(("nodes", "steps"), [(3, 5), (10, 0)])
def test_too_small_is_refused(nodes, steps):
    with pytest.raises(UsageError, match="expected at least 4 and 1"):
        synthetic_message(nodes, steps)
