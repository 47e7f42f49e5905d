import json

import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.results import changed, statistics, write_results
from kvmmu_edu.trace.stats import VCPU_STATS, Counters

RESULTS = [{"n": 1, "op": "stats", "rc": 0, "stats": {}}, {"final": True, "stats": {}}]


def test_statistics_are_named_by_vm_and_vcpu():
    counters = Counters()
    counters.vm["pages_4k"] = 3
    counters.vcpus.append(dict.fromkeys(VCPU_STATS, 7))
    found = statistics(counters)
    assert found["vm.pages_4k"] == 3
    assert found["v0.pf_taken"] == 7


def test_what_did_not_change_is_left_out():
    assert changed({"a": 1, "b": 2}, {"a": 1, "b": 1, "c": 0, "d": 4}) == {
        "b": [2, 1],
        "d": [0, 4],
    }


def test_results_are_one_object_a_line(tmp_path):
    write_results(tmp_path / "a01", RESULTS, "trace\n")
    lines = (tmp_path / "a01" / "result.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == RESULTS
    assert (tmp_path / "a01" / "trace.txt").read_text() == "trace\n"


def test_there_may_be_no_trace(tmp_path):
    write_results(tmp_path / "a01", RESULTS, None)
    assert [path.name for path in (tmp_path / "a01").iterdir()] == ["result.jsonl"]


def test_results_take_the_place_of_older_ones(tmp_path):
    write_results(tmp_path / "a01", RESULTS, "old\n")
    write_results(tmp_path / "a01", RESULTS[:1], None)
    assert [path.name for path in (tmp_path / "a01").iterdir()] == ["result.jsonl"]
    assert [path.name for path in tmp_path.iterdir()] == ["a01"]


def test_what_fails_half_way_leaves_what_was_there(tmp_path):
    write_results(tmp_path / "a01", RESULTS, "old\n")

    def broken():
        yield RESULTS[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_results(tmp_path / "a01", broken(), "new\n")
    assert (tmp_path / "a01" / "trace.txt").read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a01"]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="expected a folder to write to"):
        write_results(tmp_path / "file" / "a01", RESULTS, None)
