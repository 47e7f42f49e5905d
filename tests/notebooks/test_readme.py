"""The page about the lessons names lessons and cells that are there."""

import json
import re

from tests.laws.source import ROOT, report

NOTEBOOKS = ROOT / "notebooks"
README = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")


def cells(stem):
    book = json.loads((NOTEBOOKS / f"{stem}.ipynb").read_text(encoding="utf-8"))
    return book["cells"]


def test_every_lesson_is_listed():
    stems = {path.name for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")}
    assert stems == set(re.findall(r"\((\d\d_\w+\.ipynb)\)", README))


def test_every_cell_that_is_named_is_there():
    named = re.findall(r"`(\d\d_\w+)#([\w-]+)`", README)
    assert len(named) >= 15
    report(
        f"{lesson}: there is no cell {name}"
        for lesson, name in named
        if name not in {cell["id"] for cell in cells(lesson)}
    )


def test_what_gives_an_answer_away_is_folded():
    findings = []
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        for cell in cells(path.stem):
            folded = cell["metadata"].get("jupyter", {}).get("source_hidden", False)
            source = "".join(cell["source"])
            if source.startswith(("predict(", "hint(")) != folded:
                findings.append(f"{path.name}: {cell['id']}")
    report(findings)


def test_every_lesson_has_its_solutions():
    lessons = {path.name for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")}
    assert lessons == {path.name for path in (NOTEBOOKS / "solutions").glob("*.ipynb")}


def test_solutions_pass_their_checks():
    findings = []
    for path in sorted((NOTEBOOKS / "solutions").glob("*.ipynb")):
        for cell in cells(f"solutions/{path.stem}"):
            if "check(" in "".join(cell["source"]):
                said = ["".join(output["data"]["text/plain"]) for output in cell["outputs"]]
                if said != ["correct"]:
                    findings.append(f"{path.name}: {cell['id']}: {said}")
    report(findings)


def test_exercises_are_shipped_undone():
    findings = []
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        for cell in cells(path.stem):
            if "your-turn" in cell["metadata"].get("tags", []):
                said = "".join(cell["outputs"][-1]["data"]["text/plain"])
                if not said.startswith("still missing"):
                    findings.append(f"{path.name}: {cell['id']}: {said}")
    report(findings)
