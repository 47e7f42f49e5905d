import gzip
import shutil

import pytest
from click.testing import CliRunner

from kvmmu_edu.cli import main
from tests.recordings.stored import copied

NAMES = ("a01_4k_touch_delete", "a02_4k_zero_page", "d03_before_vcpu")


@pytest.fixture
def folders(tmp_path):
    """Three recordings, and copies of them in place of runs."""
    for name in NAMES:
        folder = copied("6.12", name, tmp_path / "real")
        shutil.copytree(folder, tmp_path / "ours" / name)
    return tmp_path / "real", tmp_path / "ours"


def compare(folders, *options):
    return CliRunner().invoke(main, ["compare", *map(str, folders), *options])


def replace(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


def test_equal_runs_agree(folders):
    result = compare(folders)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "scenarios 3/3  results 40/40  statistics 40/40  events 40/40 operations "
        "(291 recorded events)\n"
    )


def test_runs_of_the_model_agree(folders, tmp_path):
    runner = CliRunner()
    ran = runner.invoke(main, ["run", str(folders[0]), "--out", str(tmp_path / "new")])
    assert ran.exit_code == 0
    assert compare((folders[0], tmp_path / "new")).exit_code == 0


def test_a_difference_is_explained_with_what_surrounds_it(folders):
    trace = folders[1] / "a01_4k_touch_delete/trace.txt"
    replace(trace, "address 0x0000000000401000", "address 0x0000000000402000")
    result = compare(folders)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        "a01_4k_touch_delete",
        "  events: operation 5 'read 0x401000'",
        "    vcpu0, event 1 (4 recorded, 4 in the run)",
    ]
    assert "address 401000" in lines[4]
    assert "address 402000" in lines[4]
    assert lines[-1].startswith("scenarios 2/3  results 40/40  statistics 40/40  events 39/40")


def test_a_scenario_that_was_not_run_differs(folders):
    shutil.rmtree(folders[1] / NAMES[0])
    result = compare(folders)
    assert result.exit_code == 1
    assert "the run has no such operation" in result.stdout


def test_only_some_are_compared(folders):
    shutil.rmtree(folders[1] / "a01_4k_touch_delete")
    result = compare(folders, "--only", "a02,d")
    assert result.exit_code == 0
    assert result.stdout.startswith("scenarios 2/2")


def test_only_some_are_explained(folders):
    shutil.rmtree(folders[1])
    folders[1].mkdir()
    result = compare(folders, "--explain", "1")
    assert "and 2 more scenarios differ" in result.stdout
    assert "a02_4k_zero_page" not in result.stdout


def test_missing_folders_are_told(folders, tmp_path):
    for pair, why in (
        ((tmp_path / "none", folders[1]), "no such folder; expected one of recordings"),
        ((folders[0], tmp_path / "none"), "no such folder; expected what kvmmu-edu run"),
        ((tmp_path, folders[1]), "no recording in it; expected a result.jsonl"),
    ):
        result = compare(pair)
        assert result.exit_code == 2
        assert why in result.stderr
        assert result.stderr.count("\n") == 1


def test_no_recording_of_that_name_is_told(folders):
    result = compare(folders, "--only", "zz")
    assert result.exit_code == 2
    assert "no recording zz; expected" in result.stderr


def cut(path, part):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])


def compress(folder):
    (folder / "trace.txt.gz").write_bytes(gzip.compress((folder / "trace.txt").read_bytes()))
    (folder / "trace.txt").unlink()


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("file", ["result.jsonl", "trace.txt", "trace.txt.gz"])
def test_truncated_files_are_told_with_file_and_line(folders, side, file):
    folder = folders[side] / "a01_4k_touch_delete"
    if file.endswith(".gz"):
        compress(folder)
    cut(folder / file, 0.5)
    result = compare(folders)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"kvmmu-edu: {folder / file}:")
    assert result.stderr.split(f"{file}:")[1].split(":")[0].isdigit()
    assert result.stderr.count("\n") == 1


def test_a_recording_without_its_scenario_is_told(folders):
    (folders[0] / "a01_4k_touch_delete/scenario.scn").unlink()
    result = compare(folders)
    assert result.exit_code == 2
    assert "scenario.scn: No such file or directory; expected a scenario file" in result.stderr
