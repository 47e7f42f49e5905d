"""The model against the real kernel: every scenario, every operation, three measures."""

import pytest

from kvmmu_edu.compare.comparison import compare_scenario
from kvmmu_edu.compare.report import first_differences
from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.language import read_scenario
from kvmmu_edu.scenario.meta import machine_of
from kvmmu_edu.scenario.runner import run_scenario
from tests.recordings.stored import label, stored

#: what these scenarios need is not modelled, and they say so
NOT_MODELLED = {
    "i01_shadow_4k": "shadow paging",
    "i03_shadow_pte_writes": "shadow paging",
    "i08_nested_lazy_rmaps": "nested guests",
    "i10_nested_dirty_split": "nested guests",
}


def run(folder):
    scenario = read_scenario(folder / "scenario.scn")
    machine = machine_of(scenario.directives, folder / "meta.txt")
    # every invariant is checked after each operation
    return run_scenario(scenario, machine)


def modelled():
    return [folder for folder in stored() if folder.name not in NOT_MODELLED]


def unmodelled():
    return [folder for folder in stored() if folder.name in NOT_MODELLED]


def test_the_recordings_are_there():
    assert len(stored()) == 168


@pytest.mark.parametrize("folder", modelled(), ids=label)
def test_the_model_does_what_the_kernel_did(folder):
    comparison = compare_scenario(folder, run(folder))
    assert comparison.agrees, "\n".join(first_differences(comparison))


@pytest.mark.parametrize("folder", unmodelled(), ids=label)
def test_what_is_not_modelled_says_so(folder):
    with pytest.raises(UsageError, match=NOT_MODELLED[folder.name]):
        run(folder)
