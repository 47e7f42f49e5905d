import pytest

from kvmmu_edu import UsageError
from kvmmu_widgets import look
from kvmmu_widgets.recordings import rerun

NAME = "a01_4k_touch_delete"


def test_agreement_has_a_row_for_each_operation():
    grid = look.agreement(rerun(NAME).comparison)
    assert grid.caption.startswith(f"{NAME}: kernel and model agree in 17 of 17 operations, ")
    assert set(grid["results"]) == set(grid["statistics"]) == {"agrees"}
    assert grid["events"][4] == "4: agrees"


def test_differences_are_said_in_words():
    grid = look.agreement(rerun(NAME, "6.1").comparison)
    assert any("DIFFERS" in text for text in grid["events"])


def test_events_stand_side_by_side():
    grid = look.events(rerun(NAME).comparison, 5)
    assert grid["recorded"] == grid["model"]
    assert set(grid[""]) == {"="}
    assert grid["task"] == ["vcpu0"] * 4
    other = look.events(rerun(NAME, "6.1").comparison, 5)
    assert "≠" in other[""]


def test_an_operation_that_is_not_compared():
    with pytest.raises(UsageError, match="operation 99 is not compared; expected one of 1, 2"):
        look.events(rerun(NAME).comparison, 99)
