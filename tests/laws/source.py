"""What the laws read: the modules of the repository, parsed, and the table of kernel symbols.

A law collects findings, one line each, and hands them to :func:`report`.
"""

import ast
import csv
import functools
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "kvmmu_edu"
WIDGETS = ROOT / "widgets" / "kvmmu_widgets"
MAP = ENGINE / "README.md"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

#: the packages that model the kernel; all others are ours
MODEL = ("lib", "sync", "host", "virt", "x86")


def report(findings):
    """Fail with one line for each finding."""
    __tracebackhide__ = True
    findings = list(findings)
    assert not findings, f"{len(findings)} findings\n" + "\n".join(findings)


class Module(NamedTuple):
    """A Python file: its path below the repository, its text, its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def parts(self):
        """Return the dotted name of the module, as a tuple."""
        parts = Path(self.path).with_suffix("").parts
        parts = parts[1:] if parts[0] == "widgets" else parts
        return parts[:-1] if parts[-1] == "__init__" else parts

    @property
    def layer(self):
        """Return the layer: the package or module right below kvmmu_edu, or '' for itself."""
        return self.parts[1] if len(self.parts) > 1 else ""

    def at(self, node):
        """Return where *node* stands, for a finding."""
        return f"{self.path}:{node.lineno}"


class Thing(NamedTuple):
    """A public class, function or method, with the class or None that it belongs to."""

    module: Module
    name: str
    node: ast.AST
    owner: "Thing | None"

    @property
    def doc(self):
        """Return the docstring, or ''."""
        return ast.get_docstring(self.node) or ""

    def __str__(self):
        """Return where it stands and its name."""
        return f"{self.module.at(self.node)} {self.name}"


@functools.cache
def modules(root=ENGINE):
    """Return the modules below *root*, in order of their paths."""
    found = []
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(Module(path.relative_to(ROOT).as_posix(), text, ast.parse(text)))
    return found


def things(module):
    """Yield the public classes, functions and methods of *module*."""
    yield from _things(module, module.tree.body, None)


def _things(module, body, owner):
    for node in body:
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)) or node.name.startswith("_"):
            continue
        name = f"{owner.name}.{node.name}" if owner else node.name
        thing = Thing(module, name, node, owner)
        yield thing
        if isinstance(node, ast.ClassDef):
            yield from _things(module, node.body, thing)


def imports(tree, *, typing_too):
    """Yield node and dotted name of each import, down to what is imported from it."""
    skipped = set()
    if not typing_too:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                skipped |= {id(inner) for part in node.body for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node, f"{'.' * node.level}{node.module or ''}.{alias.name}"


@functools.cache
def layers():
    """Return the groups of layers from the arrows in the map, leftmost first."""
    line = next(line for line in MAP.read_text().splitlines() if line.count("<-") > 2)
    return [group.split() for group in line.split("<-")]


@functools.cache
def map_names():
    """Return the paths that the map's table of modules names, folders with a final slash."""
    rows = [line for line in MAP.read_text().splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([\w/]+(?:\.py|/))`", row.split("|")[1])]


@functools.cache
def kernel_symbols():
    """Return file -> symbols of the table of kernel symbols."""
    table = defaultdict(set)
    with (ROOT / "assets" / "kernel_symbols-6.12.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            table[row["file"]].add(row["symbol"])
    return table


@functools.cache
def repository_files():
    """Return the files of the repository: what git has or would add, else what is there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        paths = [ROOT / line for line in listed.stdout.splitlines()]
    else:
        paths = [p for p in ROOT.rglob("*") if not {".git", ".venv", "venv"} & set(p.parts)]
    return sorted(path for path in paths if path.is_file())
