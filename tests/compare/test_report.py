import pytest

from kvmmu_edu.compare.comparison import Comparison, OperationComparison, Side
from kvmmu_edu.compare.report import CONTEXT, first_differences, first_event, totals


def side(results=None, statistics=None, **events):
    return Side(results or {}, statistics or {}, events)


def operation(real, ours, *, n=1, text="read 0x1000"):
    return OperationComparison(
        n,
        text,
        real,
        ours,
        results=ours is not None and real.results == ours.results,
        statistics=ours is not None and real.statistics == ours.statistics,
        events=ours is not None and real.events == ours.events,
    )


def explained(real, ours):
    return first_differences(Comparison("a01", (operation(real, ours),)))


def test_totals_are_one_line():
    good = operation(side(vcpu0=("a", "b")), side(vcpu0=("a", "b")))
    bad = operation(side(vcpu0=("a",)), side())
    comparisons = [Comparison("a", (good, good)), Comparison("b", (good, bad))]
    assert totals(comparisons) == (
        "scenarios 1/2  results 4/4  statistics 4/4  events 3/4 operations (7 recorded events)"
    )


def test_what_agrees_needs_no_explanation():
    assert explained(side({"rc": 0}), side({"rc": 0})) == ["a01"]


def test_values_stand_side_by_side():
    real = side({"rc": 0, "errno": None, "dirty": [[0, 1]]}, {"vm.pages_4k": 3})
    ours = side({"rc": -1, "errno": "ENOENT", "dirty": [[0, 1]]}, {"v0.pf_taken": 1})
    assert explained(real, ours) == [
        "a01",
        "  results: operation 1 'read 0x1000'",
        "           recorded  run",
        "    rc     0         -1",
        "    errno  -         ENOENT",
        "  statistics: operation 1 'read 0x1000'",
        "                 recorded  run",
        "    vm.pages_4k  3         -",
        "    v0.pf_taken  -         1",
    ]


def test_events_stand_side_by_side_with_what_surrounds_them():
    real = tuple(f"event {n}" for n in range(1, 13))
    ours = (*real[:5], "other", *real[6:])
    lines = explained(side(vcpu0=real), side(vcpu0=ours))
    assert lines[1:4] == [
        "  events: operation 1 'read 0x1000'",
        "    vcpu0, event 6 (12 recorded, 12 in the run)",
        "      vcpu0  recorded  run",
    ]
    shown = [line.split()[0] for line in lines[4:]]
    assert shown == ["3", "4", "5", ">", "7", "8", "9"]
    assert lines[7] == "    > 6      event 6   other"
    assert len(shown) == 2 * CONTEXT + 1


@pytest.mark.parametrize(
    ("real", "ours", "task", "at"),
    [
        ({"a": ("x",)}, {}, "a", 0),
        ({}, {"b": ("x",)}, "b", 0),
        ({"a": ("x", "y")}, {"a": ("x",)}, "a", 1),
        ({"a": ("x",)}, {"a": ("x", "y")}, "a", 1),
        ({"a": ("x",), "b": ("y",)}, {"a": ("x",), "b": ("z",)}, "b", 0),
    ],
)
def test_the_first_event_that_differs(real, ours, task, at):
    assert first_event(side(**real), side(**ours)) == (task, at)


def test_events_at_the_end_are_shown_as_missing():
    lines = explained(side(vcpu0=("a", "b")), side(vcpu0=("a",)))
    assert lines[-1] == "    > 2      b         -"


def test_an_operation_that_is_missing_is_told_once_a_measure():
    lines = explained(side({"rc": 0}), None)
    assert lines == [
        "a01",
        "  results: operation 1 'read 0x1000'",
        "    the run has no such operation",
        "  statistics: operation 1 'read 0x1000'",
        "    the run has no such operation",
        "  events: operation 1 'read 0x1000'",
        "    the run has no such operation",
    ]
