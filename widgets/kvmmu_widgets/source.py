"""From where an event came: the line in the engine, the function in the kernel.

A record names the calls that led to it, innermost first.  What a reader wants to see is the
innermost function that has a counterpart in the kernel, but not the gate through which all
changes of entries go: there it is the caller that explains.  Ours.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable
from functools import lru_cache
from types import CodeType
from typing import Any, Final, NamedTuple

from kvmmu_edu.trace.recorder import Site
from kvmmu_widgets.kernel_symbols import source_url

#: functions that every change of an entry passes, whatever its reason
GATES: Final = frozenset(
    (
        "change_quietly",
        "handle_changed_spte",
        "tdp_mmu_set_spte_atomic",
        "tdp_mmu_iter_set_spte",
        "Memslots._observer.<locals>.tell",
    )
)


class Reference(NamedTuple):
    """One thing that a ``Kernel:`` line names; *symbol* may be empty."""

    symbol: str
    file: str
    version: str


class Listing(NamedTuple):
    """A function of the engine.

    :ivar module: path of the file, from the package on
    :ivar function: qualified name
    :ivar head: the ``def`` line, up to the colon, in one line
    :ivar summary: the first sentence of its docstring
    :ivar start: number of the first line after the docstring
    :ivar lines: from there to the end, without common indentation
    :ivar references: what its docstring says of the kernel
    """

    module: str
    function: str
    head: str
    summary: str
    start: int
    lines: tuple[str, ...]
    references: tuple[Reference, ...]

    def has(self, line: int) -> bool:
        """Return whether *line* is shown; not so if the file was edited after its import."""
        return self.start <= line < self.start + len(self.lines)

    def as_dict(self) -> dict[str, Any]:
        """Return what the message says of it."""
        said: dict[str, Any] = {
            "module": self.module,
            "function": self.function,
            "head": self.head,
            "summary": self.summary,
            "start": self.start,
            "lines": list(self.lines),
        }
        reference = counterpart(self.references, self.function)
        if reference is not None:
            said["kernel"] = {
                "function": reference.symbol,
                "file": reference.file,
                "version": reference.version,
                "url": source_url(reference.symbol, reference.file, reference.version),
            }
        return said


def choose_site(sites: Iterable[Site]) -> Site | None:
    """Return the call that explains an event best, or None if there is none."""
    usable = [site for site in sites if site.code.co_qualname not in GATES]
    for site in usable:
        found = listing(site.code)
        if found is not None and counterpart(found.references, found.function) is not None:
            return site
    return next((site for site in usable if listing(site.code) is not None), None)


@lru_cache(maxsize=1024)
def listing(code: CodeType) -> Listing | None:
    """Return the source of a function, or None where there is none to show."""
    if code.co_name.startswith("<"):
        return None
    try:
        lines, start = inspect.getsourcelines(code)
    except (OSError, TypeError):
        return None
    tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
    if not isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    documentation = ast.get_docstring(tree) or ""
    first = _first_line_of_code(tree, bool(documentation))
    body = textwrap.dedent("".join(lines[first - 1 :])).rstrip().split("\n")
    return Listing(
        module=_module_path(code.co_filename),
        function=code.co_qualname,
        head=_head(tree),
        summary=documentation.split("\n", 1)[0],
        start=start + first - 1,
        lines=tuple(body),
        references=kernel_references(documentation),
    )


def kernel_references(documentation: str) -> tuple[Reference, ...]:
    """Return what the ``Kernel:`` line of a docstring names.

    >>> kernel_references("Kernel: f(); __g(), mm/a.c; struct s, mm/b.h (v6.12)")[1:]
    (Reference(symbol='__g', file='mm/a.c', version='v6.12'),
     Reference(symbol='s', file='mm/b.h', version='v6.12'))
    """
    found = re.search(r"^Kernel:(.*?)(?=^\S|^\s*$|\Z)", documentation, re.MULTILINE | re.DOTALL)
    if found is None:
        return ()
    text = " ".join(found[1].split())
    version = re.search(r"\((v[\d.]+)\)", text)
    references: list[Reference] = []
    file = ""
    # a name without a file stands in the file that is named next, so read backwards
    for part in reversed(re.sub(r"\(v[\d.]+\)", "", text).split(";")):
        names = [word.strip() for word in part.split(",") if word.strip()]
        if names and "/" in names[-1]:
            file = names.pop()
        symbols = [re.sub(r"^(struct|union|enum) |\(\)$", "", name) for name in names]
        references += [
            Reference(symbol, file, version[1] if version else "v6.12")
            for symbol in reversed(symbols or [""])
        ]
    return tuple(reversed(references))


def counterpart(references: Iterable[Reference], function: str) -> Reference | None:
    """Return the reference that *function* was named after, else the first with a symbol."""
    named = [reference for reference in references if reference.symbol and reference.file]
    name = function.rpartition(".")[2].lstrip("_")
    same = [reference for reference in named if f"_{reference.symbol}".endswith(f"_{name}")]
    return next(iter(same or named), None)


def _first_line_of_code(tree: ast.FunctionDef | ast.AsyncFunctionDef, documented: bool) -> int:  # noqa: FBT001
    """Return where the code begins, counted from the first line of the source."""
    if not documented:
        return tree.body[0].lineno
    end = tree.body[0].end_lineno or 0
    return end + 1 if len(tree.body) > 1 else end


def _head(tree: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    names = [argument.arg for argument in (*tree.args.posonlyargs, *tree.args.args)]
    if tree.args.kwonlyargs:
        names += ["*", *(argument.arg for argument in tree.args.kwonlyargs)]
    word = "async def" if isinstance(tree, ast.AsyncFunctionDef) else "def"
    return f"{word} {tree.name}({', '.join(names)}):"


def _module_path(filename: str) -> str:
    parts = filename.replace("\\", "/").split("/")
    if "kvmmu_edu" not in parts:
        return parts[-1]
    last = len(parts) - 1 - parts[::-1].index("kvmmu_edu")
    return "/".join(parts[last:])
