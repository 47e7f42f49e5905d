"""A table of values: text where there is no front end, HTML where there is one.

The same values always give the same text, so stored notebooks can be compared.  Ours.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final, NamedTuple

from kvmmu_edu.errors import UsageError
from kvmmu_widgets.verdict import code

#: numbers from here on are written with separators
_LARGE: Final = 10_000

_CELL: Final = "padding:3px 12px 3px 0;vertical-align:top;white-space:pre-line;text-align:"
_CAPTION: Final = "text-align:left;caption-side:top;padding:0 0 4px 0;font-weight:600"


class Link(NamedTuple):
    """A text that leads somewhere.

    :ivar text: what is read
    :ivar url: where it leads, http or https
    """

    text: str
    url: str

    def __str__(self) -> str:
        """Return the text."""
        return self.text


class Grid:
    """Rows and columns of values; what stands between backticks is shown as code.

    >>> Grid(("level", "tables"), [("4", 1), ("1", 512)], "Page tables")
    Page tables
    level  tables
    -----  ------
    4           1
    1         512

    :ivar columns: the heads, from left to right
    :ivar rows: the values, as many in each as there are columns
    """

    def __init__(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = ""
    ) -> None:
        """Keep the values of *rows*.

        :raises UsageError: a row has more or fewer values than there are columns
        """
        self.columns = tuple(columns)
        self.rows = tuple(tuple(row) for row in rows)
        wrong = next((row for row in self.rows if len(row) != len(self.columns)), None)
        if wrong is not None:
            raise UsageError(f"{wrong} has {len(wrong)} values; expected {len(self.columns)}")
        self.caption = caption

    def __getitem__(self, column: str) -> list[Any]:
        """Return the values of a column.

        :raises UsageError: no such column
        """
        if column not in self.columns:
            known = ", ".join(map(repr, self.columns))
            raise UsageError(f"there is no column {column!r}; expected one of {known}")
        at = self.columns.index(column)
        return [row[at] for row in self.rows]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __repr__(self) -> str:
        """Return the table as text, numbers to the right."""
        texts = [self.columns, *(tuple(map(_plain, row)) for row in self.rows)]
        widths = [max(len(row[at]) for row in texts) for at in range(len(self.columns))]
        rule = tuple("-" * width for width in widths)
        lines = [self._line(row, widths) for row in (texts[0], rule, *texts[1:])]
        return "\n".join([self.caption, *lines] if self.caption else lines)

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = [
            cell.rjust(width) if self._is_number(at) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    def _is_number(self, at: int) -> bool:
        return bool(self.rows) and all(_is_number(row[at]) for row in self.rows)

    def _repr_mimebundle_(self, **_kwargs: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}

    def html(self) -> str:
        """Return the table as HTML."""
        sides = ["right" if self._is_number(at) else "left" for at in range(len(self.columns))]
        head = "".join(
            f'<th scope="col" style="{_CELL}{side}">{escape(column)}</th>'
            for column, side in zip(self.columns, sides, strict=True)
        )
        caption = f'<caption style="{_CAPTION}">{code(self.caption)}</caption>'
        rows = "".join(f"<tr>{_html_row(row, sides)}</tr>" for row in self.rows)
        return (
            f'<table style="margin:0;font-variant-numeric:tabular-nums">'
            f"{caption if self.caption else ''}<thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )


def _html_row(row: Sequence[Any], sides: Sequence[str]) -> str:
    return "".join(
        f'<td style="{_CELL}{side}">{_html(value)}</td>'
        for value, side in zip(row, sides, strict=True)
    )


def _html(value: Any) -> str:
    if isinstance(value, Link):
        return f'<a href="{escape(value.url)}">{code(value.text)}</a>'
    return code(_text(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) >= _LARGE:
        return f"{value:,}"
    return str(value)


def _plain(value: Any) -> str:
    return _text(value).replace("`", "")
