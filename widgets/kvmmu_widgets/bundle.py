"""The painter's modules as the one text that a page or a widget loads.

A widget takes a single ES module and stores it with every instance in a notebook, so the
modules of ``static/`` are put behind one another, without their imports and comments.  Ours.
"""

import re
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"

#: each module imports only from those before it
STEPPER_MODULES = (
    "dom", "history", "view", "picture", "details", "timeline", "panel", "lanes", "stepper",
)  # fmt: skip

_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=class|const|function|async)", re.MULTILINE)
_COMMENT = re.compile(r"^ *//[^\n]*\n|/\*\*.*?\*/[ \n]?", re.MULTILINE | re.DOTALL)
_INDENT = re.compile(r"^ +", re.MULTILINE)


@cache
def script(modules: tuple[str, ...] = STEPPER_MODULES) -> str:
    """Return the ES module that *modules* make up; what the last one exports stays exported."""
    texts = [(STATIC / f"{name}.js").read_text(encoding="utf-8") for name in modules]
    inner = [_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts[:-1]]
    whole = "\n".join([*inner, _IMPORT.sub("", texts[-1])])
    return re.sub(r"\n{2,}", "\n", _INDENT.sub("", _COMMENT.sub("", whole)))


@cache
def style(*names: str) -> str:
    """Return the style sheets called *names* behind the palette's."""
    texts = [(STATIC / f"{name}.css").read_text(encoding="utf-8") for name in ("palette", *names)]
    return "\n".join(texts)
