"""Every lesson has the shape that :mod:`tests.notebooks.shape` describes."""

import copy
import json

import pytest

from tests.laws.source import ROOT, report
from tests.notebooks import shape

LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_its_shape(path):
    text = path.read_text(encoding="utf-8")
    report(f"{path.name}: {f}" for f in shape.findings(json.loads(text), path.parent, text))


def test_there_are_lessons():
    assert LESSONS
    assert len({path.name[:2] for path in LESSONS}) == len(LESSONS), "two lessons share a number"


# --- the reading of the shape itself -------------------------------------------------------------


def text(source):
    return {"cell_type": "markdown", "id": "m", "metadata": {}, "source": source}


def code(source, *tags, kind="stream"):
    output = {"output_type": kind, "name": "stdout", "text": "x"}
    return {
        "cell_type": "code",
        "id": "c",
        "metadata": {"tags": list(tags)},
        "source": source.splitlines(keepends=True),
        "outputs": [output],
    }


@pytest.fixture
def good():
    cells = [
        text("# What happens to 512 SPTEs?\n\nYou will be able to\n\n* one\n* two"),
        code("import kvmmu_edu\nvm = 1"),
        text("## Predict 1"),
        code("lesson.predict(vm)"),
        code("vm.run()"),
        text("It ran."),
        code("predict(vm)"),
        code("vm.run()"),
        text("It ran again."),
        *[text(f"## {name.capitalize()}") for name in shape.SECTIONS],
        code("def answer():\n    return None", "your-turn"),
    ]
    for number, cell in enumerate(cell for cell in cells if cell["cell_type"] == "code"):
        cell["execution_count"] = number + 1
    return {"cells": cells, "metadata": {"kernelspec": {"name": "python3"}}}


def test_a_good_lesson_has_no_findings(good, tmp_path):
    assert shape.findings(good, tmp_path) == []


def title(book):
    book["cells"][0]["source"] = "# Page tables\n\nYou will be able to\n* a\n* b"


def points(book):
    book["cells"][0]["source"] = "# Why?\n\nYou will be able to\n* a"


def no_goal(book):
    book["cells"][0]["source"] = "# Why?"


def long_setup(book):
    book["cells"][1]["source"] = "a = 1\n" * 6


def no_section(book):
    del book["cells"][9]


def wrong_order(book):
    book["cells"][9], book["cells"][10] = book["cells"][10], book["cells"][9]


def one_prediction(book):
    book["cells"][6]["source"] = "vm"


def no_explanation(book):
    book["cells"][5] = code("vm")
    book["cells"][5]["execution_count"] = 4


def long_cell(book):
    book["cells"][4]["source"] = "a = 1\n" * 16


def long_text(book):
    book["cells"][5]["source"] = "word " * 121


def median(book):
    for place in (3, 4, 6, 7):
        book["cells"][place]["source"] += "\na = 1" * 4


def helper(book):
    book["cells"][4]["source"] = "def help(): pass"


def nothing_to_do(book):
    book["cells"][-1] = code("vm")
    book["cells"][-1]["execution_count"] = 6


def run_out_of_order(book):
    book["cells"][4]["execution_count"] = 9


def not_run(book):
    book["cells"][4]["execution_count"] = None


def stored_error(book):
    book["cells"][4] = code("vm", kind="error") | {"execution_count": 3}


def no_output(book):
    book["cells"][3]["outputs"] = []


def dead_link(book):
    book["cells"][5]["source"] = "See [this](missing.ipynb)."


def link_outside(book):
    book["cells"][5]["source"] = "See [this](../README.md)."


def kernel(book):
    book["metadata"]["kernelspec"]["name"] = "my-venv"


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (title, "not '# a question?'"),
        (points, "has 1 points, not 2 to 4"),
        (no_goal, "do not say 'You will be able to'"),
        (long_setup, "the setup has 6 lines, at most 5"),
        (no_section, "no section '## In the kernel'"),
        (wrong_order, "'## Step it' stands too early"),
        (one_prediction, "1 predictions, at least 2"),
        (no_explanation, "cell 3: after the prediction, no code that runs and text"),
        (long_cell, "cell 4: 16 lines of code, at most 15"),
        (long_text, "cell 5: 121 words, at most 120"),
        (median, "lines in the middle, at most 4"),
        (helper, "cell 4: defines something"),
        (nothing_to_do, "no cell is the learner's"),
        (run_out_of_order, "cells were not run once from the top"),
        (not_run, "cells were not run once from the top"),
        (stored_error, "cell 4: an error is stored"),
        (no_output, "cell 3: the prediction has no stored output"),
        (dead_link, "missing.ipynb is not a file beside the lesson"),
        (link_outside, "../README.md is not a file beside the lesson"),
        (kernel, "the kernel is 'my-venv', not 'python3'"),
    ],
)
def test_what_a_bad_lesson_is_told(good, tmp_path, spoil, finding):
    book = copy.deepcopy(good)
    spoil(book)
    assert any(finding in found for found in shape.findings(book, tmp_path)), (
        finding,
        shape.findings(book, tmp_path),
    )


def test_paths_of_a_machine_are_seen_in_the_whole_file(good, tmp_path):
    [finding] = shape.findings(good, tmp_path, '"text": "File /home/' + 'ann/kvm/x.py"')
    assert "names a path of a machine" in finding


def test_a_link_to_another_lesson_is_good(good, tmp_path):
    (tmp_path / "01_slots.ipynb").touch()
    good["cells"][5]["source"] = (
        "See [this](01_slots.ipynb#Summary) and [that](https://kernel.org)."
    )
    assert shape.findings(good, tmp_path) == []
