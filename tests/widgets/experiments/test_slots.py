import pytest

from kvmmu_widgets import experiments

KERNELS = ("6.12", "6.1")


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_changes_cost(kernel):
    grid = experiments.costs_of_changes(kernel)
    assert grid["change"] == ["create", "delete", "move", "flags"]
    assert grid["swaps"] == grid["SRCU waits"] == [1, 2, 2, 1]
    assert grid["replacements"] == [2, 3, 3, 2]
    assert grid["generation"] == ["+2", "+4", "+4", "+2"]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("what", ["delete", "move"])
def test_a_slot_on_its_way_out_is_found_and_makes_faults_retry(kernel, what):
    grid = experiments.lookups_during(what, kernel)
    assert grid["lookup finds"] == [
        "slot 1",
        "slot 1, INVALID",
        "slot 1, INVALID",
        "nothing",
        "nothing",
    ]
    results = ["FIXED", "RETRY", "RETRY", "EMULATE", "EMULATE"]
    assert grid["a guest's fault"] == [f"RET_PF_{result}" for result in results]
    assert grid["set"] == [1, 0, 0, 1, 1]


def test_a_new_slot_is_found_as_soon_as_the_pointer_is_published():
    grid = experiments.lookups_during("create")
    assert grid["lookup finds"] == ["nothing", "slot 3", "slot 3"]
    assert grid["a guest's fault"] == ["RET_PF_EMULATE", "RET_PF_FIXED", "RET_PF_FIXED"]
    assert grid["generation"] == ["6", "6, update in progress", "8"]


def test_a_change_of_flags_has_no_gap():
    grid = experiments.lookups_during("flags")
    assert set(grid["a guest's fault"]) == {"RET_PF_FIXED"}
    assert grid["lookup finds"][0] == "slot 1"
    assert set(grid["lookup finds"][1:]) == {"slot 1, LOG_DIRTY_PAGES"}


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_refused_changes_nothing(kernel):
    grid = experiments.refusals(kernel)
    for errno, generation in zip(grid["errno"], grid["generation"], strict=True):
        assert errno == "0" or generation == "+0"
    assert set(grid["errno"]) == {"EINVAL", "EEXIST", "0"}
    assert grid["errno"][-3:] == ["0", "0", "0"]
    assert grid["generation"][-3:] == ["+4", "+0", "+2"]


def test_in_between_there_is_an_invalid_copy():
    assert experiments.in_between() == "slot 1, INVALID"
    assert experiments.in_between_fault() == "RET_PF_RETRY"
    assert experiments.in_between("flags") == "slot 1, LOG_DIRTY_PAGES"


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_limit_is_found_by_trying(kernel):
    assert experiments.slot_limit(kernel) == 32764
