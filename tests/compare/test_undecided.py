import pytest

from kvmmu_edu.compare.undecided import HOST_ONLY, RESULTS_ONLY, results_only
from kvmmu_edu.scenario.language import read_scenario
from tests.recordings.stored import recording


def test_most_operations_are_compared_wholly():
    assert results_only("a01_4k_touch_delete", 1, parallel=False) == ""


def test_vcpus_at_once_leave_the_order_open():
    assert results_only("a01_4k_touch_delete", 1, parallel=True) == "vCPUs ran at once"


@pytest.mark.parametrize("name", RESULTS_ONLY)
def test_what_the_host_decides_is_what_the_reason_says(name):
    scenario = read_scenario(recording("6.12", name) / "scenario.scn")
    texts = [statement.text for statement in scenario.operations]
    for n, why in RESULTS_ONLY[name].items():
        assert results_only(name, n, parallel=False) == why
        word = {"khu": "collapse", "the": "sleep"}.get(why[:3])
        # KSM runs from the command on: sleeping, reading, writing, deleting
        assert word in texts[n - 1] if word else "ksm/run" in " ".join(texts[: n - 1])


def test_questions_to_the_host_are_not_compared():
    assert "sh uname -a".startswith(HOST_ONLY)
    assert "param kvm/nx_huge_pages_recovery_ratio 4".startswith(HOST_ONLY)
    assert not "param kvm/nx_huge_pages force".startswith(HOST_ONLY)
