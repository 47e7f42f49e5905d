import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.compare.event_text import EVENTS
from kvmmu_edu.compare.material import (
    of_run,
    read_produced,
    read_recording,
    read_results,
    read_trace,
)
from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.language import parse_scenario
from kvmmu_edu.scenario.results import write_results
from kvmmu_edu.scenario.runner import run_scenario
from tests.recordings.stored import recording
from tests.scenario.complaints import complaint

TRACE = """\
# tracer: function
#
        kvmtrace-197     [001] .....    12.1: tracing_mark_write: OP 1 slot 0 0 1M - A
        kvmtrace-197     [001] .....    12.2: kvm_arch_prepare_memory_region <-kvm_set_memslot
           vcpu0-200     [000] .....    12.3: kvm_entry: vcpu 0, rip 0x0
           vcpu0-200     [000] .....    12.3: kvm_flush_remote_tlbs <-x
        kvmtrace-197     [001] .....    12.4: tracing_mark_write: END 1
        kvmtrace-197     [001] .....    12.5: kvm_flush_remote_tlbs <-between
"""
EVENTS_OF_TRACE = {1: [("kvmtrace", "arch_prepare_memory_region"), ("vcpu0", "flush_remote_tlbs")]}


# --- results ----------------------------------------------------------------------------------


def results_file(tmp_path, text):
    path = tmp_path / "result.jsonl"
    path.write_text(text)
    return path


def test_results_are_found_by_their_number(tmp_path):
    path = results_file(tmp_path, '{"n":2,"op":"stats"}\n\n{"final":true,"stats":{}}\n')
    assert read_results(path) == {2: {"n": 2, "op": "stats"}}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"n":1,"op":"st', "not JSON, perhaps truncated; expected one object"),
        ("[" * 100000, "not JSON"),
        ("[1]", "not an object but list; expected an object"),
        ('{"n":"1","op":"x"}', "n is not a number; expected"),
        ('{"n":1}', "op is not a text; expected"),
        ('{"n":1,"op":"x","exits":[1]}', "exits is not a list of objects; expected"),
        ('{"n":1,"op":"x","exits":{"a":1}}', "exits is not a list of objects; expected"),
        ('{"n":1,"op":"x","stats":[]}', "stats is not an object; expected"),
        ('{"n":1,"op":"x","stats":{"vm.pages_4k":[1]}}', "a statistic is not .before, after."),
        ('{"n":1,"op":"x","stats":{"vm.pages_4k":["a","b"]}}', "a statistic is not"),
        ('{"n":1,"op":"x","rmaps":5}', "rmaps is not a text; expected"),
    ],
)
def test_wrong_results_are_told_with_file_and_line(tmp_path, line, why):
    path = results_file(tmp_path, f'{{"n":1,"op":"stats"}}\n{line}\n')
    with pytest.raises(UsageError, match=rf"result\.jsonl:2: {why}"):
        read_results(path)


def test_missing_results_and_other_bytes_are_told(tmp_path):
    with pytest.raises(UsageError, match="No such file or directory; expected the results"):
        read_results(tmp_path / "result.jsonl")
    (tmp_path / "result.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8 text; expected the results"):
        read_results(tmp_path / "result.jsonl")


# --- traces -----------------------------------------------------------------------------------


def test_events_inside_operations_are_kept_with_their_tasks(tmp_path):
    (tmp_path / "trace.txt").write_text(TRACE)
    assert read_trace(tmp_path) == EVENTS_OF_TRACE


def test_a_compressed_trace_reads_the_same(tmp_path):
    (tmp_path / "trace.txt.gz").write_bytes(gzip.compress(TRACE.encode()))
    assert read_trace(tmp_path) == EVENTS_OF_TRACE


def test_the_text_goes_before_the_compressed_trace(tmp_path):
    (tmp_path / "trace.txt").write_text("")
    (tmp_path / "trace.txt.gz").write_bytes(gzip.compress(TRACE.encode()))
    assert read_trace(tmp_path) == {}


def test_there_may_be_none(tmp_path):
    assert read_trace(tmp_path) is None


def test_a_truncated_trace_is_told_with_its_line(tmp_path):
    (tmp_path / "trace.txt").write_text("".join(TRACE.splitlines(keepends=True)[:5]))
    with pytest.raises(UsageError, match=r"trace\.txt:5: the trace ends within operation 1"):
        read_trace(tmp_path)
    (tmp_path / "trace.txt").write_text(TRACE[:-60])
    with pytest.raises(UsageError, match=r"trace\.txt:8: .* is no line of a trace; expected"):
        read_trace(tmp_path)


def test_a_garbled_event_is_told_with_its_line(tmp_path):
    text = TRACE.replace("kvm_entry: vcpu 0,", "kvm_page_fault: vcpu 0")
    (tmp_path / "trace.txt").write_text(text)
    with pytest.raises(UsageError, match=r"trace\.txt:5: the event 'kvm_page_fault: .* cut short"):
        read_trace(tmp_path)


@pytest.mark.parametrize("keep", [0.4, 0.9])
def test_truncated_compressed_data_is_told_with_its_line(tmp_path, keep):
    data = gzip.compress((TRACE * 200).encode())
    (tmp_path / "trace.txt.gz").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UsageError, match=r"trace\.txt\.gz:\d+: the compressed data ends"):
        read_trace(tmp_path)


@pytest.mark.parametrize("data", [b"not compressed", gzip.compress(b"x")[:-1] + b"?"])
def test_corrupt_compressed_data_is_told(tmp_path, data):
    (tmp_path / "trace.txt.gz").write_bytes(data)
    with pytest.raises(UsageError, match=r"trace\.txt\.gz:\d+: .*expected"):
        read_trace(tmp_path)


def test_a_folder_in_place_of_a_file_is_told(tmp_path):
    (tmp_path / "trace.txt").mkdir()
    with pytest.raises(UsageError, match="Is a directory; expected a trace"):
        read_trace(tmp_path)


# --- both together ----------------------------------------------------------------------------


def test_a_recording_says_what_its_scenario_says():
    plain = read_recording(recording("6.12", "a01_4k_touch_delete"))
    assert (plain.name, plain.lite, plain.parallel) == ("a01_4k_touch_delete", False, False)
    assert plain.material.results.keys() == set(range(1, 18))
    assert read_recording(recording("6.12", "b04_1g_dirty_eagerN")).lite
    for name in ("j02_two_vcpus_parallel", "j05_flush_running_vcpu"):
        assert read_recording(recording("6.12", name)).parallel
    untraced = read_recording(recording("6.12", "e05_2000_slots"))
    assert untraced.material.events is None


def test_a_recording_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="no such folder; expected a recording"):
        read_recording(tmp_path / "none")


def test_nothing_produced_is_an_empty_material(tmp_path):
    found = read_produced(tmp_path / "none")
    assert (found.results, found.events) == ({}, None)


@pytest.mark.parametrize("head", ["", "#! notrace\n"])
def test_a_run_in_memory_is_what_it_leaves_on_disk(tmp_path, head):
    run = run_scenario(
        parse_scenario(head + "mem A anon4k 1M\nslot 0 0x100000 1M - A\nread 0x100000")
    )
    write_results(tmp_path, run.results, run.trace_text())
    assert of_run(run) == read_produced(tmp_path)


# --- any file ---------------------------------------------------------------------------------

marks = st.sampled_from(["OP 1 x", "END 1", "OP", "END", "SETUP begin"])
bodies = st.one_of(
    marks.map("tracing_mark_write: {}".format),
    st.tuples(st.sampled_from(list(EVENTS)), st.text(max_size=60)).map(" ".join),
    st.text(max_size=60),
)
trace_lines = st.one_of(bodies.map("vcpu0-1 [000] ..... 1.0: {}".format), st.text(max_size=40))


@given(st.lists(trace_lines, max_size=6).map("\n".join))
def test_any_trace_is_read_or_told(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("trace")
    (folder / "trace.txt").write_text(text, encoding="utf-8", newline="")
    message = complaint(lambda: read_trace(folder))
    assert message is None or ("trace.txt:" in message and "expected" in message)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
fields = st.sampled_from(["n", "op", "rc", "exits", "stats", "rmaps", "dirty", "value"])
objects = st.dictionaries(fields, json_values, max_size=6).map(json.dumps)


@given(st.lists(st.one_of(objects, st.text(max_size=30)), max_size=4).map("\n".join))
def test_any_results_are_read_or_told(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("results")
    (folder / "result.jsonl").write_text(text, encoding="utf-8", newline="")
    message = complaint(lambda: read_produced(folder))
    assert message is None or "expected" in message


@given(st.binary(max_size=200))
def test_any_compressed_file_is_read_or_told(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("gzip")
    (folder / "trace.txt.gz").write_bytes(data)
    message = complaint(lambda: read_trace(folder))
    assert message is None or "expected" in message
