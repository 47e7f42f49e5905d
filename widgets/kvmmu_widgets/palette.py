"""One meaning, one word, one pair of colours, one sign that needs no colour.

Everything that is drawn takes its looks from here: the painter through ``static/palette.css``
(which is generated, see :func:`css`), the static pictures through the same text.  Hues are
those of Okabe and Ito, which people with any common colour vision tell apart; fills are tints
of the page's colour and strokes are moved towards the ink until they stand out.  Ours.
"""

import sys
from collections.abc import Container
from typing import Final, NamedTuple

#: the hues of Okabe and Ito, and a grey
HUES: Final = {
    "grey": "#7a8590",
    "orange": "#e69f00",
    "sky": "#56b4e9",
    "green": "#009e73",
    "yellow": "#f0e442",
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "purple": "#cc79a7",
}

#: strokes of the light theme that would turn brown if they were only darkened
_LIGHT_STROKES: Final = {"orange": "#cc7f00"}

#: a 6 px tile for each hatch, as SVG path data
HATCHES: Final = {
    "diagonal": "M-1,1L1,-1M0,6L6,0M5,7L7,5",
    "backward": "M-1,5L1,7M0,0L6,6M5,-1L7,1",
    "horizontal": "M0,3L6,3",
    "vertical": "M3,0L3,6",
    "cross": "M0,0L6,6M0,6L6,0",
}


class Theme(NamedTuple):
    """The colours of a page, and how strong tints are on it."""

    paper: str
    sunk: str
    ink: str
    soft: str
    line: str
    accent: str
    ok: str
    bad: str
    hatch: str
    tint: float


LIGHT: Final = Theme(
    paper="#ffffff",
    sunk="#f5f7f9",
    ink="#1b1f24",
    soft="#46505a",
    line="#d5dae0",
    accent="#0072b2",
    ok="#00734f",
    bad="#b34700",
    hatch="#1b1f2422",
    tint=0.17,
)
DARK: Final = Theme(
    paper="#15191e",
    sunk="#1c2127",
    ink="#e6e9ed",
    soft="#b6bfc9",
    line="#39424d",
    accent="#56b4e9",
    ok="#2fc79a",
    bad="#f58a3c",
    hatch="#e6e9ed1c",
    tint=0.24,
)


class Kind(NamedTuple):
    """How one meaning looks.

    :ivar name: the CSS class
    :ivar text: what it means, for legends
    :ivar family: ``card``, ``cell`` and ``edge`` are looks of their own; a ``state`` lies over
        a card or a cell
    :ivar hue: a key of :data:`HUES`
    :ivar tint: how strong the fill is, relative to the theme; 0 is no fill, -1 the hue itself
    :ivar width: of the stroke, px
    :ivar dash: an SVG dash array, or ``none``
    :ivar hatch: a key of :data:`HATCHES`, or ``none``
    :ivar letter: the word or letter that is written beside it, or nothing
    """

    name: str
    text: str
    family: str
    hue: str
    tint: float = 1
    width: float = 1
    dash: str = "none"
    hatch: str = "none"
    letter: str = ""


KINDS: Final = (
    Kind("table", "page table", "card", "grey", 0.3),
    Kind("root", "root page table", "card", "grey", 0.3, 2.5, letter="root"),
    Kind("pointer", "pointer in struct kvm", "card", "blue", 0, 1, "6 2"),
    Kind("active", "in the active set", "card", "blue", 0.25, 1.5),
    Kind("inactive", "in the inactive set", "card", "grey", 0, 1, "5 3"),
    Kind("link", "points to a table", "cell", "sky", 0.6, letter="table"),
    Kind("leaf4k", "4K page, writable", "cell", "blue", 0.7, 1, letter="4K"),
    Kind("leaf2m", "2M page, writable", "cell", "blue", 1.2, 2, letter="2M"),
    Kind("leaf1g", "1G page, writable", "cell", "blue", 1.7, 3, letter="1G"),
    Kind("wrprot", "write-protected page", "cell", "purple", 1, 1, hatch="diagonal"),
    Kind("readonly", "read-only page", "cell", "yellow", 0.65, 1, hatch="horizontal"),
    Kind("mmio", "no memory here: MMIO", "cell", "green", 1, 1, "2 2", letter="MMIO"),
    Kind("frozen", "frozen: about to be removed", "cell", "grey", 1, 1, hatch="cross"),
    Kind("empty", "nothing mapped", "cell", "grey", 0, 1, "3 3"),
    Kind("field", "a field", "cell", "grey", 0, 0.5),
    Kind("red", "red node", "cell", "vermillion", -1, 1, letter="R"),
    Kind("black", "black node", "cell", "grey", -1, 2, letter="B"),
    Kind("linked", "entry that points to a table", "edge", "grey"),
    Kind("child", "child in a tree", "edge", "grey", width=1.5),
    Kind("published", "pointer that readers follow", "edge", "blue", width=3),
    Kind("unlinked", "made, not yet linked", "state", "grey", 0.1, 1.5, "7 3"),
    Kind("new", "new in this step", "state", "orange", 0.6, 2.5, letter="new"),
    Kind("going", "unlinked, waits for RCU", "state", "vermillion", 0.4, 1.5, "2 3"),
    Kind("freed", "freed in this step", "state", "grey", 0, 1, "1 4", letter="freed"),
    Kind("invalid", "invalid root", "state", "vermillion", 0.6, 3, hatch="vertical"),
    Kind("invalidslot", "INVALID slot", "state", "vermillion", 0.6, 2, "4 2", "backward"),
    Kind("changed", "changed in this step", "state", "orange", 0.9, 3),
)

BY_NAME: Final = {kind.name: kind for kind in KINDS}

#: how JupyterLab, Sphinx and VS Code say which theme a page has
_LIGHT_PAGES: Final = ('[data-jp-theme-light="true"]', '[data-theme="light"]', ".vscode-light")
_DARK_PAGES: Final = ('[data-jp-theme-light="false"]', '[data-theme="dark"]', ".vscode-dark")

#: least contrast of texts (WCAG AA) and of strokes that carry a meaning (WCAG 1.4.11)
TEXT_CONTRAST = 4.5
STROKE_CONTRAST = 3.0


class Look(NamedTuple):
    """The colours of a kind in a theme; *fill* may be ``none``."""

    fill: str
    stroke: str
    text: str


def mix(a: str, b: str, share: float) -> str:
    """Return colour *a* with *share* (0 to 1) of colour *b* in it.

    >>> mix("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = zip(_rgb(a), _rgb(b), strict=True)
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in pairs)


def contrast(a: str, b: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21, as WCAG 2 defines it.

    >>> contrast("#000000", "#ffffff")
    21.0
    """
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def look(kind: Kind, theme: Theme) -> Look:
    """Return the colours of *kind* in *theme*: readable text, a stroke that stands out."""
    hue = HUES[kind.hue]
    if kind.tint < 0:
        return _solid(kind, theme)
    fill = mix(theme.paper, hue, min(kind.tint * theme.tint, 1)) if kind.tint else "none"
    stroke = _LIGHT_STROKES.get(kind.hue, hue) if theme is LIGHT else hue
    for ground in (theme.paper, theme.paper if fill == "none" else fill):
        stroke = _towards(stroke, theme.ink, ground, STROKE_CONTRAST)
    return Look(fill, stroke, theme.ink)


def legend(names: Container[str]) -> list[dict[str, str]]:
    """Return the legend of the kinds called *names*, in the order of :data:`KINDS`."""
    return [{"cls": kind.name, "text": kind.text} for kind in KINDS if kind.name in names]


def css() -> str:
    """Return the style sheet: colours for both themes, and a class for each kind."""
    light, dark = _variables(LIGHT, BY_NAME), _variables(DARK, BY_NAME)
    lines = [
        "/* Generated by python -m kvmmu_widgets.palette: change palette.py instead. */",
        f".kvmmu {{{light}}}",
        f"@media (prefers-color-scheme: dark) {{ .kvmmu {{{dark}}} }}",
        f"{', '.join(f'{page} .kvmmu' for page in _LIGHT_PAGES)} {{{light}}}",
        f"{', '.join(f'{page} .kvmmu' for page in _DARK_PAGES)} {{{dark}}}",
        *map(_rule, KINDS),
    ]
    return "\n".join(lines) + "\n"


def static_css(names: Container[str]) -> str:
    """Return the style sheet of a picture on its own, with the kinds called *names*.

    The theme is that of the system: a picture in a file knows nothing of the page around it.
    """
    rules = [_rule(kind) for kind in KINDS if kind.name in names]
    light, dark = _variables(LIGHT, names), _variables(DARK, names)
    media = f"@media (prefers-color-scheme: dark) {{ .kvmmu {{{dark}}} }}"
    return "\n".join([f".kvmmu {{{light}}}", media, *rules])


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    parts = [part / 255 for part in _rgb(colour)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _towards(colour: str, goal: str, ground: str, ratio: float) -> str:
    """Move *colour* towards *goal* until it stands out from *ground*."""
    for percent in range(101):
        moved = mix(colour, goal, percent / 100)
        if contrast(moved, ground) >= ratio:
            return moved
    return goal


def _solid(kind: Kind, theme: Theme) -> Look:
    """Return the look of a kind that is filled with its hue: nodes of the trees."""
    stroke = _towards(HUES[kind.hue], theme.ink, theme.paper, STROKE_CONTRAST)
    if kind.name == "black":
        return Look("#000000", stroke, "#ffffff")
    return Look(_towards(HUES[kind.hue], "#000000", "#ffffff", TEXT_CONTRAST), stroke, "#ffffff")


def _variables(theme: Theme, names: Container[str]) -> str:
    page = [f"--kvmmu-{name}:{value}" for name, value in theme._asdict().items() if name != "tint"]
    for kind in KINDS:
        if kind.name in names:
            fill, stroke, _ = look(kind, theme)
            page += [f"--kvmmu-{kind.name}-fill:{fill}", f"--kvmmu-{kind.name}-stroke:{stroke}"]
    return ";".join(page)


def _rule(kind: Kind) -> str:
    values = {
        "fill": f"var(--kvmmu-{kind.name}-fill)",
        "stroke": f"var(--kvmmu-{kind.name}-stroke)",
        "text": "var(--kvmmu-ink)" if kind.tint >= 0 else "#ffffff",
        "dash": kind.dash,
        "width": f"{kind.width:g}px",
        "hatch": "none" if kind.hatch == "none" else f"var(--kvmmu-hatch-{kind.hatch})",
    }
    if kind.name == "changed":
        # what changed keeps its other looks: they tell what it is now
        values = {name: values[name] for name in ("stroke", "width")}
    inside = ";".join(f"--{name}:{value}" for name, value in values.items())
    return f".kvmmu .{kind.name} {{{inside}}}"


if __name__ == "__main__":
    sys.stdout.write(css())
