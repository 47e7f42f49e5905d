"""A file is at most 400 lines, a function's body at most 60."""

import pytest

from tests.laws.source import FUNCTIONS, ROOT, WIDGETS, ast, modules, report

FILE = 400
FUNCTION = 60
EVERYTHING = (*modules(), *modules(WIDGETS))


def body_lines(node):
    """Return how many lines a function has without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return node.end_lineno - body[0].lineno + 1 if body else 0


def test_body_lines_do_not_count_the_docstring():
    [function] = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    a()\n    b()\n').body
    assert body_lines(function) == 2


def test_files():
    sizes = {module.path: module.text.count("\n") for module in EVERYTHING}
    report(f"{path}: {n} lines, at most {FILE}" for path, n in sizes.items() if n > FILE)


def test_functions():
    functions = [
        (module, node)
        for module in EVERYTHING
        for node in ast.walk(module.tree)
        if isinstance(node, FUNCTIONS)
    ]
    report(
        f"{module.at(node)} {node.name}: {body_lines(node)} lines, at most {FUNCTION}"
        for module, node in functions
        if body_lines(node) > FUNCTION
    )


@pytest.mark.parametrize("suffix", [".js", ".css"])
def test_what_the_browser_gets_stays_readable(suffix):
    # past this, sources would be split and bundled; see widgets/README.md
    sizes = {path: path.read_text().count("\n") for path in (ROOT / "widgets").rglob(f"*{suffix}")}
    report(f"{path}: {n} lines, at most 600" for path, n in sizes.items() if n > 600)
