"""The shape that every lesson has, and what is wrong with one that has not.

A lesson is a notebook ``notebooks/NN_name.ipynb``:

* the first cell is its title, a question; it, or the next cell, says "You will be able to"
  with 2 to 4 points;
* the first code cell sets up, in 5 lines at most;
* at least twice: predict (a cell that calls ``predict(...)``), run (code), explain (text);
* sections, as headings of level 2, in this order: In the kernel, Step it, Your turn, Summary,
  Real world, Exercises;
* code cells have at most 15 lines, most have 4, nine of ten have 10; texts at most 120 words;
* ``def`` and ``class`` stand only in cells that are the learner's: those tagged ``your-turn``;
* outputs are stored, in the order of one run from the top, and none is an error;
* links that are not to the web lead to files beside the lesson;
* the kernel is ``python3``, and nothing names a path of the author's machine.
"""

import ast
import re
import statistics
from pathlib import Path

from tests.laws.test_texts import MACHINE_PATH

SECTIONS = ("in the kernel", "step it", "your turn", "summary", "real world", "exercises")
LEARNERS = "your-turn"
SETUP, LINES, MEDIAN, NINETY_PERCENT, WORDS = 5, 15, 4, 10, 120


def source(cell):
    return "".join(cell["source"])


def lines(cell):
    """Return how many lines a cell has; blank ones and comments count, as one reads them."""
    return len(source(cell).splitlines())


def is_learners(cell):
    return LEARNERS in cell["metadata"].get("tags", [])


def code_cells(book):
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def text_cells(book):
    return [cell for cell in book["cells"] if cell["cell_type"] == "markdown"]


def tree(cell):
    """Return the syntax tree of a cell, without what only IPython understands."""
    python = [line for line in source(cell).splitlines() if not line.startswith(("%", "!"))]
    return ast.parse("\n".join(python))


def headings(book):
    """Return the headings of level 2, in small letters."""
    found = (re.findall(r"^## +(.+)$", source(cell), re.MULTILINE) for cell in text_cells(book))
    return [heading.strip().lower() for group in found for heading in group]


def words(cell):
    """Return how many words a text has for a reader: no code blocks, no targets of links."""
    text = re.sub(r"```.*?```", " ", source(cell), flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)|<[^>]*>|[|#*_`-]+", " ", text)
    return len(text.split())


# --- one function for each part of the shape; each yields findings ---------------------------


def opening(book):
    first = source(book["cells"][0]).splitlines()
    title = first[0] if first else ""
    if book["cells"][0]["cell_type"] != "markdown" or not re.fullmatch(r"# .+\?", title):
        yield f"the first line is {title!r}, not '# a question?'"
    for cell in book["cells"][:3]:
        text = source(cell)
        if "You will be able to" in text:
            points = re.findall(r"^[*-] ", text, re.MULTILINE)
            if not 2 <= len(points) <= 4:
                yield f"'You will be able to' has {len(points)} points, not 2 to 4"
            return
    yield "the first cells do not say 'You will be able to'"


def setup(book):
    first = next(iter(code_cells(book)), None)
    if first is None:
        yield "there is no code"
    elif lines(first) > SETUP:
        yield f"the setup has {lines(first)} lines, at most {SETUP}"


def sections(book):
    found = headings(book)
    at = -1
    for name in SECTIONS:
        places = [i for i, heading in enumerate(found) if heading.startswith(name)]
        if not places:
            yield f"no section '## {name.capitalize()}'"
        elif places[0] < at:
            yield f"'## {name.capitalize()}' stands too early; the order is {', '.join(SECTIONS)}"
        else:
            at = places[0]


def is_prediction(cell):
    if cell["cell_type"] != "code":
        return False
    calls = (node.func for node in ast.walk(tree(cell)) if isinstance(node, ast.Call))
    return any(getattr(call, "attr", getattr(call, "id", "")) == "predict" for call in calls)


def predictions(book):
    cells = book["cells"]
    places = [i for i, cell in enumerate(cells) if is_prediction(cell)]
    if len(places) < 2:
        yield f"{len(places)} predictions, at least 2"
    for here, following in zip(places, [*places[1:], len(cells)], strict=True):
        kinds = [cell["cell_type"] for cell in cells[here + 1 : following]]
        run = kinds.index("code") if "code" in kinds else len(kinds)
        if "markdown" not in kinds[run:]:
            yield f"cell {here}: after the prediction, no code that runs and text that explains"


def sizes(book):
    counts = sorted(lines(cell) for cell in code_cells(book)) or [0]
    for number, cell in enumerate(book["cells"]):
        if cell["cell_type"] == "code" and lines(cell) > LINES:
            yield f"cell {number}: {lines(cell)} lines of code, at most {LINES}"
        if cell["cell_type"] == "markdown" and words(cell) > WORDS:
            yield f"cell {number}: {words(cell)} words, at most {WORDS}"
    if statistics.median(counts) > MEDIAN:
        yield f"code cells have {statistics.median(counts)} lines in the middle, at most {MEDIAN}"
    if counts[int(0.9 * (len(counts) - 1))] > NINETY_PERCENT:
        yield f"more than one of ten code cells has more than {NINETY_PERCENT} lines"


def definitions(book):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    for number, cell in enumerate(book["cells"]):
        if cell["cell_type"] != "code" or is_learners(cell):
            continue
        for node in ast.walk(tree(cell)):
            if isinstance(node, kinds):
                yield f"cell {number}: defines something, and is not tagged {LEARNERS!r}"
    if not any(is_learners(cell) for cell in code_cells(book)):
        yield f"no cell is the learner's (tagged {LEARNERS!r})"


def outputs(book):
    counts = [cell["execution_count"] for cell in code_cells(book)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"cells were not run once from the top: {counts}"
    for number, cell in enumerate(book["cells"]):
        kinds = [output["output_type"] for output in cell.get("outputs", [])]
        if "error" in kinds:
            yield f"cell {number}: an error is stored"
        if is_prediction(cell) and not kinds:
            yield f"cell {number}: the prediction has no stored output"


def links(book, folder):
    for number, cell in enumerate(book["cells"]):
        if cell["cell_type"] != "markdown":
            continue
        for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", source(cell)):
            if re.match(r"https?://|#|attachment:", target):
                continue
            path = Path(folder, target.split("#")[0]).resolve()
            if folder.resolve() not in path.parents or not path.exists():
                yield f"cell {number}: {target} is not a file beside the lesson"


def metadata(book):
    kernel = book["metadata"].get("kernelspec", {}).get("name")
    if kernel != "python3":
        yield f"the kernel is {kernel!r}, not 'python3'"
    missing = [number for number, cell in enumerate(book["cells"]) if "id" not in cell]
    if missing:
        yield f"cells {missing} have no id"


def machine(text):
    for match in MACHINE_PATH.finditer(text):
        yield f"names a path of a machine: {text[match.start() : match.end() + 20]!r}"


def findings(book, folder, text=""):
    """Return what is wrong with the shape of a lesson that lies in *folder*."""
    parts = (opening, setup, sections, predictions, sizes, definitions, outputs, metadata)
    found = [finding for part in parts for finding in part(book)]
    return [*found, *links(book, folder), *machine(text)]
