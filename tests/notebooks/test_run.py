"""Run All never fails: not the second time in the same kernel, not with exercises undone.

Lessons are shipped with their exercises undone, so running them as they are is that test.
That fresh outputs equal the stored ones is nbval's part of the same test run.
"""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.laws.source import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").rglob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_run_all_twice(path):
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(book, resources={"metadata": {"path": str(path.parent)}})
    with client.setup_kernel():
        for run in (1, 2):
            for number, cell in enumerate(book.cells):
                # raises CellExecutionError, which shows the cell and what went wrong
                client.execute_cell(cell, number)
            assert client.code_cells_executed == run * sum(
                c.cell_type == "code" for c in book.cells
            )
