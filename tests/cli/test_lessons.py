import json

import pytest

from kvmmu_edu.cli.lessons import RECORD, copy_lessons, find_lesson, lessons
from kvmmu_edu.errors import UsageError


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "shipped"
    (folder / "solutions").mkdir(parents=True)
    for name in ("00_start.ipynb", "01_memory_slots.ipynb", "10_slots_again.ipynb"):
        (folder / name).write_text(f"{name} v1")
    (folder / "solutions" / "01_memory_slots.ipynb").write_text("solution v1")
    return folder


@pytest.fixture
def mine(tmp_path):
    return tmp_path / "mine"


def contents(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


# --- finding -----------------------------------------------------------------------------------


def test_lessons_come_in_order(source):
    assert lessons(source) == ["00_start.ipynb", "01_memory_slots.ipynb", "10_slots_again.ipynb"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("01", "01_memory_slots.ipynb"),
        ("1", "01_memory_slots.ipynb"),
        ("0", "00_start.ipynb"),
        ("10", "10_slots_again.ipynb"),
        ("01_memory_slots", "01_memory_slots.ipynb"),
        ("01_memory_slots.ipynb", "01_memory_slots.ipynb"),
        ("memory", "01_memory_slots.ipynb"),
        ("START", "00_start.ipynb"),
    ],
)
def test_a_lesson_is_found_by_number_or_name(source, wanted, found):
    assert find_lesson(source, wanted) == found


@pytest.mark.parametrize("wanted", ["07", "slots", "nothing", "../01", ""])
def test_an_unknown_lesson_is_a_users_mistake_in_one_line(source, wanted):
    with pytest.raises(UsageError, match="expected one of 00_start, 01_memory_slots") as caught:
        find_lesson(source, wanted)
    assert "\n" not in str(caught.value)


# --- copying -----------------------------------------------------------------------------------


def test_the_first_time_everything_is_copied(source, mine):
    assert copy_lessons(source, mine) == []
    assert contents(mine) == contents(source)


def test_a_second_time_changes_nothing(source, mine):
    copy_lessons(source, mine)
    before = {path: path.stat().st_mtime_ns for path in mine.rglob("*.ipynb")}
    assert copy_lessons(source, mine) == []
    assert {path: path.stat().st_mtime_ns for path in mine.rglob("*.ipynb")} == before


def test_a_new_lesson_is_added(source, mine):
    copy_lessons(source, mine)
    (source / "02_new.ipynb").write_text("02 v1")
    assert copy_lessons(source, mine) == []
    assert contents(mine)["02_new.ipynb"] == "02 v1"


def test_an_update_replaces_a_copy_that_nobody_changed(source, mine):
    copy_lessons(source, mine)
    (source / "00_start.ipynb").write_text("00 v2")
    assert copy_lessons(source, mine) == []
    assert contents(mine) == contents(source)


def test_what_the_learner_changed_stays(source, mine):
    copy_lessons(source, mine)
    (mine / "00_start.ipynb").write_text("my notes")
    assert copy_lessons(source, mine) == []
    assert contents(mine)["00_start.ipynb"] == "my notes"


def test_an_update_of_what_the_learner_changed_is_put_beside_and_told_once(source, mine):
    copy_lessons(source, mine)
    (mine / "00_start.ipynb").write_text("my notes")
    (source / "00_start.ipynb").write_text("00 v2")
    [line] = copy_lessons(source, mine)
    assert line == "00_start.ipynb has a new version: 00_start-updated.ipynb (yours is kept)"
    assert copy_lessons(source, mine) == []
    assert contents(mine)["00_start.ipynb"] == "my notes"
    assert contents(mine)["00_start-updated.ipynb"] == "00 v2"


def test_what_was_put_beside_is_not_overwritten_either(source, mine):
    copy_lessons(source, mine)
    (mine / "00_start.ipynb").write_text("my notes")
    for version in ("00 v2", "00 v3"):
        (source / "00_start.ipynb").write_text(version)
        copy_lessons(source, mine)
    assert contents(mine)["00_start-updated.ipynb"] == "00 v2"
    assert contents(mine)["00_start-updated-2.ipynb"] == "00 v3"


@pytest.mark.parametrize("record", [None, "no json", "[1, 2]"])
def test_without_a_readable_record_nothing_is_overwritten(source, mine, record):
    copy_lessons(source, mine)
    (mine / "00_start.ipynb").write_text("my notes")
    if record is None:
        (mine / RECORD).unlink()
    else:
        (mine / RECORD).write_text(record)
    assert len(copy_lessons(source, mine)) == 1
    assert contents(mine)["00_start.ipynb"] == "my notes"
    assert contents(mine)["00_start-updated.ipynb"] == "00_start.ipynb v1"


def test_checkpoints_are_no_lessons(source, mine):
    (source / ".ipynb_checkpoints").mkdir()
    (source / ".ipynb_checkpoints" / "00_start-checkpoint.ipynb").write_text("old")
    copy_lessons(source, mine)
    assert not (mine / ".ipynb_checkpoints").exists()


def test_no_half_written_file_is_left(source, mine, monkeypatch):
    copy_lessons(source, mine)
    (source / "00_start.ipynb").write_text("00 v2")

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        copy_lessons(source, mine)
    assert contents(mine)["00_start.ipynb"] == "00_start.ipynb v1"
    assert json.loads((mine / RECORD).read_text())  # the old record is whole
