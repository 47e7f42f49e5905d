"""The grammar of docstrings: sections in a fixed order, and ``Kernel:`` lines.

    Kernel: FILE[, FILE ...] (v6.12)
    Kernel: SYMBOL[; SYMBOL ...], FILE[; SYMBOL, FILE ...] (v6.12)

Commas and semicolons are alike: a file is that of the symbols before it.

A symbol is ``function()``, ``struct name``, ``MACRO``, ``FNAME(name)`` for the functions of
paging_tmpl.h, or a prefix with a final ``*``.
"""

import re

#: sections in the order in which they stand in a docstring
SECTIONS = (":param", "Cost:", "Locks:", "Kernel:", "In v6.1:", "Simplified:")
_SECTION = re.compile(
    r"^(?P<name>:(?:param|ivar|returns?|raises)|Cost:|Locks:|Kernel:|In v6\.1:|Simplified:)"
)
_LINE = re.compile(r"Kernel: (?P<references>.+) \(v6\.12\)")
_OURS = re.compile(r"\bOurs\b")


def sections(doc):
    """Yield name and text of each section of *doc*; the fields of Sphinx count as ':param'."""
    name, lines = "", []
    for line in doc.splitlines():
        match = _SECTION.match(line)
        if match or not line.strip():
            if name:
                yield name, " ".join(lines)
            name = "" if not match else match["name"]
            name = ":param" if name.startswith(":") else name
            lines = []
        lines.append(line.strip())
    if name:
        yield name, " ".join(lines)


def is_ours(doc):
    """Return whether *doc* says that the kernel has no such thing."""
    return _OURS.search(doc) is not None


def is_kernels(doc):
    """Return whether *doc* names what it stands for in the kernel, of either version."""
    return any(name in {"Kernel:", "In v6.1:"} for name, _ in sections(doc))


def references(text):
    """Return (symbol or '', file) for each reference of a ``Kernel:`` section, or None."""
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    found, symbols = [], []
    for item in re.split(r"[;,] ?", match["references"]):
        if "/" in item:
            found += [(symbol, item) for symbol in symbols or [""]]
            symbols = []
        else:
            symbols.append(_symbol(item))
    return None if symbols else found


def _symbol(item):
    item = re.sub(r"^(struct|enum|union|typedef) ", "", item)
    fname = re.fullmatch(r"FNAME\((\w+)\)(\(\))?", item)
    return fname[1] if fname else item.removesuffix("()")


def unknown(reference, table):
    """Return what is wrong with *reference*, or None."""
    symbol, file = reference
    if file not in table:
        return f"{file} is not a file of the table of kernel symbols"
    if symbol.endswith("*"):
        good = any(name.startswith(symbol[:-1]) for name in table[file])
    else:
        good = symbol in table[file]
    return None if good else f"{symbol} is not defined in {file}"
