"""A run as text: a row for each step, for screen readers, diffs and places without pictures.

No coordinates and no addresses of objects: the same run gives the same text everywhere.  Ours.
"""

from collections.abc import Mapping
from typing import Any


def table(message: Mapping[str, Any], *, full: bool = True) -> str:
    """Return the steps of *message* as a text table.

    :param full: whether each step says its whole sentence, or only a few words
    """
    title = message["title"]
    rows = [_row(message, n, step, full=full) for n, step in enumerate(message["steps"])]
    widths = [max(len(row[column]) for row in [_HEAD, *rows]) for column in range(len(_HEAD))]
    rule = tuple("-" * width for width in widths)
    lines = [_line(row, widths) for row in (_HEAD, rule, *rows)]
    return "\n".join([title, *lines] if title else lines)


_HEAD = ("step", "task", "what happens", "what moved")


def _row(
    message: Mapping[str, Any], n: int, step: Mapping[str, Any], *, full: bool
) -> tuple[str, str, str, str]:
    names = message["counters"]
    moved = [
        f"{names[int(number)].partition('.')[2]} {after - before:+d}"
        for number, (before, after) in step.get("counters", {}).items()
    ]
    failed = [name for name, holds in step.get("checks", {}).items() if not holds]
    moved += [f"broken: {name}" for name in failed]
    text = step["text"] if full else step.get("short") or step["text"]
    return str(n), step.get("task", ""), text, ", ".join(moved)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join([first.strip().rjust(widths[0]), *rest]).rstrip()
