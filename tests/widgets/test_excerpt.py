import pytest

from kvmmu_edu import UsageError
from kvmmu_edu.trace.events import OperationBegin
from kvmmu_widgets import Stepper, runs
from kvmmu_widgets.excerpt import split_at
from kvmmu_widgets.stepper import message_of


def begins(records):
    return [record.event.n for record in records if isinstance(record.event, OperationBegin)]


def test_a_run_is_cut_where_an_operation_begins():
    records = runs.read_then_write().trace.records
    before, shown = split_at(records, 3)
    assert before + shown == records
    assert begins(before) == [1, 2]
    assert begins(shown) == [3, 4]


def test_negative_numbers_count_from_the_end():
    records = runs.read_then_write().trace.records
    assert split_at(records, -1) == split_at(records, 4)


@pytest.mark.parametrize("since", [0, 5, -5])
def test_an_operation_that_is_not_there(since):
    records = runs.read_then_write().trace.records
    with pytest.raises(UsageError, match=r"no operation -?\d; expected 1 to 4, or -1"):
        split_at(records, since)
    with pytest.raises(UsageError, match="expected a run with operations"):
        split_at([], since)


def test_a_stepper_shows_the_rest_and_knows_what_came_before():
    vm = runs.read_then_write()
    whole, rest = message_of(vm), message_of(vm, since=-1)
    assert [op["n"] for op in rest["ops"]] == [4]
    # the tables of the read are there from the beginning
    assert len(rest["steps"][0]["nodes"]) == 4
    assert len(rest["steps"]) < len(whole["steps"])
    assert whole["steps"][0]["text"] == "Nothing has happened yet."
    assert rest["steps"][0]["text"] == "This is what came of all that happened before."
    assert message_of(vm.trace.records, since=-1)["steps"] == rest["steps"]
    assert Stepper(vm, since=-1).last == len(rest["steps"]) - 1
