"""Where to read on in the kernel.  Ours."""

from typing import Final

from kvmmu_edu.errors import UsageError
from kvmmu_widgets.grid import Grid, Link
from kvmmu_widgets.kernel_symbols import VERSION, source_url, symbol_lines

#: where the code of KVM's memory half is; what is elsewhere with the same name is another thing
_PLACES: Final = ("arch/x86/kvm/", "virt/kvm/", "include/linux/kvm", "arch/x86/include/", "")
#: a tracepoint has the name of the function that it is in
_TRACEPOINTS: Final = ("trace.h",)


def kernel(**symbols: str) -> Grid:
    """Return links to functions, macros and structs of the kernel, and what to see there.

    :param symbols: symbol = what to look for
    :raises UsageError: the table of symbols has no such name

    >>> kernel(search_memslots="the descent")["file"]
    ['include/linux/kvm_host.h']
    """
    rows = []
    for symbol, what in symbols.items():
        file = file_of(symbol)
        rows.append((Link(symbol, source_url(symbol, file)), file, what))
    return Grid(("symbol", "file", "what to see there"), rows, f"In the kernel, {VERSION}")


def file_of(symbol: str) -> str:
    """Return the file where the kernel's memory half defines *symbol*.

    :raises UsageError: no such symbol
    """
    files = [file for name, file in symbol_lines() if name == symbol]
    if not files:
        raise UsageError(f"the kernel has no {symbol!r}; expected a function, macro or struct")
    return min(files, key=_rank)


def _rank(file: str) -> tuple[bool, int, str]:
    place = next(n for n, start in enumerate(_PLACES) if file.startswith(start))
    return file.endswith(_TRACEPOINTS), place, file
