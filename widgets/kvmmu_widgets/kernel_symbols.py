"""Where functions, macros and structs stand in the kernel's source.

The table is ``assets/kernel_symbols-6.12.csv``: facts, made by a script from the kernel tree.
Where an installation lacks it, links lead to the file instead of the line.  Ours.
"""

import csv
from functools import lru_cache
from typing import Final

from kvmmu_edu.errors import UsageError
from kvmmu_edu.shipped import shipped

VERSION: Final = "v6.12"
_TABLE: Final = "kernel_symbols-6.12.csv"
_BROWSER: Final = "https://elixir.bootlin.com/linux"


@lru_cache(maxsize=1)
def symbol_lines() -> dict[tuple[str, str], int]:
    """Return line numbers by symbol and file; empty if there is no table."""
    try:
        path = shipped("assets") / _TABLE
    except UsageError:
        return {}
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as table:
        return {
            (row["symbol"], row["file"]): int(row["line"])
            for row in csv.DictReader(table)
            if row["symbol"]
        }


def source_url(symbol: str, file: str, version: str = VERSION) -> str:
    """Return where to read *symbol* of *file* in a browser.

    >>> source_url("no_such_thing", "mm/mmap.c")
    'https://elixir.bootlin.com/linux/v6.12/source/mm/mmap.c'
    """
    line = symbol_lines().get((symbol, file), 0) if version == VERSION else 0
    return f"{_BROWSER}/{version}/source/{file}" + (f"#L{line}" if line else "")
