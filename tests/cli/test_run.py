import json
import sys

import pytest
from click.testing import CliRunner

from kvmmu_edu.cli import main
from kvmmu_edu.errors import InvariantError
from tests.recordings.stored import copied

SCENARIO = "mem A anon4k 1M\nslot 0 0x100000 1M - A\nread 0x100000\n"


@pytest.fixture
def run(tmp_path):
    def invoke(*args, out="out"):
        words = [str(tmp_path / a) if not str(a).startswith("-") else a for a in args]
        return CliRunner().invoke(main, ["run", *words, "--out", str(tmp_path / out)])

    return invoke


@pytest.fixture
def scenarios(tmp_path):
    """A folder of two scenario folders and one file."""
    for name in ("x01_one", "x02_two"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "scenario.scn").write_text(SCENARIO)
    (tmp_path / "set" / "x03_three.scn").write_text(SCENARIO)
    return tmp_path / "set"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("set", ["x01_one", "x02_two", "x03_three"]),
        ("set/x01_one", ["x01_one"]),
        ("set/x02_two/scenario.scn", ["x02_two"]),
        ("set/x03_three.scn", ["x03_three"]),
    ],
)
def test_files_folders_and_folders_of_folders_are_run(run, scenarios, tmp_path, path, expected):
    result = run(path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert names(tmp_path / "out") == expected
    assert names(tmp_path / "out" / expected[0]) == ["result.jsonl", "trace.txt"]
    assert f"{len(expected)} scenarios run" in result.stdout


def test_several_paths_and_several_processes(run, scenarios, tmp_path):
    assert run("set/x01_one", "set/x03_three.scn", "--jobs=2").exit_code == 0
    assert names(tmp_path / "out") == ["x01_one", "x03_three"]


def test_what_is_written_is_what_was_run(run, scenarios, tmp_path):
    run("set/x01_one", "--jobs=1")
    lines = (tmp_path / "out/x01_one/result.jsonl").read_text().splitlines()
    assert [json.loads(line).get("op") for line in lines] == [*SCENARIO.splitlines(), None]
    trace = (tmp_path / "out/x01_one/trace.txt").read_text()
    assert "kvm_page_fault: vcpu 0 rip 0xd0000000 address 0x0000000000100000" in trace


def test_the_kernel_is_that_of_meta_txt_unless_chosen(run, tmp_path):
    copied("6.1", "a01_4k_touch_delete", tmp_path)
    run("a01_4k_touch_delete", "--jobs=1")
    empty = "old_spte 0 new_spte"
    assert empty in (tmp_path / "out/a01_4k_touch_delete/trace.txt").read_text()
    run("a01_4k_touch_delete", "--kernel=6.12", "--jobs=1")
    assert empty not in (tmp_path / "out/a01_4k_touch_delete/trace.txt").read_text()


def test_only_the_scenario_and_the_machine_are_read(run, tmp_path):
    folder = copied("6.12", "a01_4k_touch_delete", tmp_path)
    (folder / "result.jsonl").write_text("never read")
    (folder / "trace.txt").write_text("never read")
    assert run("a01_4k_touch_delete", "--jobs=1").exit_code == 0


def test_a_scenario_without_a_trace_leaves_none(run, tmp_path):
    (tmp_path / "quiet.scn").write_text("#! notrace\n" + SCENARIO)
    run("quiet.scn")
    assert names(tmp_path / "out/quiet") == ["result.jsonl"]


WRONG = {
    "none": "none: no such file or folder; expected a scenario",
    "empty": "empty: no scenario.scn in it; expected a scenario",
    "bad.scn": "bad.scn:1: operation 'raed' is not known; expected one of",
    "shadow.scn": "shadow.scn: npt=N needs shadow paging",
}


@pytest.mark.parametrize(("path", "why"), WRONG.items(), ids=WRONG)
def test_mistakes_are_one_line_and_leave_nothing(run, tmp_path, path, why):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.scn").write_text("raed 0x1000\n")
    (tmp_path / "shadow.scn").write_text("#! module kvm_amd npt=0\nstats\n")
    result = run(path)
    assert result.exit_code == 2
    assert why in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_one_that_fails_does_not_keep_others_from_running(run, scenarios, tmp_path):
    (scenarios / "x02_two/scenario.scn").write_text("read\n")
    result = run("set")
    assert result.exit_code == 2
    assert "x02_two/scenario.scn:1: read has no GPA; expected" in result.stderr
    assert names(tmp_path / "out") == ["x01_one", "x03_three"]


def test_one_that_fails_leaves_what_an_earlier_run_left(run, scenarios, tmp_path):
    run("set/x01_one")
    before = (tmp_path / "out/x01_one/result.jsonl").read_text()
    (scenarios / "x01_one/scenario.scn").write_text(SCENARIO + "raed\n")
    assert run("set/x01_one").exit_code == 2
    assert (tmp_path / "out/x01_one/result.jsonl").read_text() == before


def test_two_of_one_name_are_refused(run, scenarios, tmp_path):
    (tmp_path / "x01_one.scn").write_text(SCENARIO)
    result = run("set", "x01_one.scn")
    assert result.exit_code == 2
    assert "have one name; expected different names" in result.stderr


def test_a_recording_is_not_overwritten(run, scenarios):
    result = run("set", out="set")
    assert result.exit_code == 2
    assert "holds the scenario itself; expected another --out" in result.stderr
    assert names(scenarios / "x01_one") == ["scenario.scn"]


def test_a_contradiction_in_the_model_is_told_without_a_traceback(run, scenarios, monkeypatch):
    def broken(*_args, **_options):
        raise InvariantError("pages_4k is 3, but 4 entries map 4K pages")

    monkeypatch.setattr(sys.modules["kvmmu_edu.cli.run"], "run_scenario", broken)
    result = run("set/x01_one", "--jobs=1")
    assert result.exit_code == 2
    assert "the model failed, InvariantError: pages_4k is 3" in result.stderr


def test_checks_can_be_left_out(run, scenarios, monkeypatch):
    asked = []

    def watched(*_args, check_every, **_options):
        asked.append(check_every)
        raise InvariantError("enough")

    monkeypatch.setattr(sys.modules["kvmmu_edu.cli.run"], "run_scenario", watched)
    for flag in ("--check", "--no-check"):
        run("set/x01_one", flag, "--jobs=1")
    assert asked == [1, 0]
