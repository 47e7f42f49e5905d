"""Verdicts on tampered runs; ``verdicts.json`` holds those of the comparison script that came
with the recordings: operations, agreeing results, statistics and events, operations with
events, recorded events, and the measures that differ."""

import json
import shutil
from pathlib import Path

import pytest

from kvmmu_edu.compare.comparison import compare_scenario
from kvmmu_edu.compare.material import read_recording
from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.language import parse_scenario, read_scenario
from kvmmu_edu.scenario.runner import run_scenario
from tests.compare.tampering import ACROSS, CASES
from tests.recordings.stored import copied, recording

VERDICTS = json.loads((Path(__file__).parent / "verdicts.json").read_text())


def agrees_with_verdict(comparison, verdict):
    ops, results, statistics, events, event_ops, event_lines, differing = verdict
    assert len(comparison.operations) == ops
    assert comparison.count("results") == (results, ops)
    assert comparison.count("statistics") == (statistics, ops)
    assert comparison.count("events") == (events, event_ops)
    assert comparison.recorded_events() == event_lines
    assert comparison.agrees == (differing == [])
    return True


@pytest.mark.parametrize(("kernel", "name"), CASES, ids=map("-".join, CASES))
def test_verdicts_on_tampered_copies(kernel, name, tmp_path):
    folder = copied(kernel, name, tmp_path / "recorded")
    real = read_recording(folder)
    for tamper in CASES[kernel, name]:
        copy = tmp_path / tamper.__name__ / name
        shutil.copytree(folder, copy)
        tamper(copy)
        verdict = VERDICTS[f"{kernel} {name} {tamper.__name__}"]
        assert agrees_with_verdict(compare_scenario(real, copy), verdict), tamper.__name__


@pytest.mark.parametrize("name", ACROSS)
def test_verdicts_on_the_other_kernel(name):
    new, old = recording("6.12", name), recording("6.1", name)
    assert agrees_with_verdict(compare_scenario(new, old), VERDICTS[f"6.12 {name} 6.1"])


def test_no_verdict_is_left_over():
    cases = {f"{k} {name} {t.__name__}" for (k, name), tampers in CASES.items() for t in tampers}
    assert VERDICTS.keys() == cases | {f"6.12 {name} 6.1" for name in ACROSS}


# --- for widgets ------------------------------------------------------------------------------


@pytest.fixture
def lesson():
    """A recording, its scenario, and one in which the host reads its memory, not writes it."""
    folder = recording("6.12", "a01_4k_touch_delete")
    scenario = read_scenario(folder / "scenario.scn")
    text = (folder / "scenario.scn").read_text().replace("hostwrite A 16", "hostread  A 16")
    return folder, scenario, parse_scenario(text, name=scenario.name)


def test_a_run_in_memory_is_compared_operation_by_operation(lesson):
    folder, scenario, _ = lesson
    comparison = compare_scenario(folder, run_scenario(scenario))
    assert comparison.agrees
    assert comparison.name == "a01_4k_touch_delete"
    fourth = comparison.operations[3]
    assert (fourth.n, fourth.text, fourth.agrees) == (4, "read 0x400000", True)
    assert (fourth.results, fourth.statistics, fourth.events) == (True, True, True)
    assert fourth.recorded.statistics["vm.pages_4k"] == 4
    assert fourth.recorded.events == fourth.produced.events
    assert fourth.recorded.events["vcpu0"][1].startswith("page_fault vcpu 0 address d0001000")
    assert comparison.first("events") is None


def test_what_differs_is_found(lesson):
    folder, _, other = lesson
    comparison = compare_scenario(folder, run_scenario(other))
    assert not comparison.agrees
    assert comparison.first("results").text == "hostwrite A 16"
    assert comparison.first("results").produced is None
    fourth = comparison.operations[3]
    assert (fourth.results, fourth.statistics, fourth.events) == (True, True, False)
    assert fourth.differing() == ("events",)
    assert fourth.produced.events["vcpu0"] != fourth.recorded.events["vcpu0"]


def test_a_recording_can_be_read_once_and_compared_often(lesson):
    folder, scenario, _ = lesson
    real = read_recording(folder)
    run = run_scenario(scenario)
    assert compare_scenario(real, run) == compare_scenario(folder, run)


def test_a_missing_recording_is_told(tmp_path):
    with pytest.raises(UsageError, match="expected a recording"):
        compare_scenario(tmp_path / "none", tmp_path)
