"""One step as a picture without any script: for GitHub, exports and readers of stored outputs.

The picture follows the system's light or dark theme, scales with its column, and says in its
title what happened.  Every text is escaped.  Ours.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from kvmmu_widgets import palette
from kvmmu_widgets.measure import CARD_PAD, CELL_PAD
from kvmmu_widgets.replay import Frame, frame_at

_STYLE: Final = """\
.kvmmu { background: var(--kvmmu-paper); color: var(--kvmmu-ink) }
.kvmmu rect { fill: var(--fill); stroke: var(--stroke); stroke-width: var(--width); \
stroke-dasharray: var(--dash) }
.kvmmu rect.hatch { fill: var(--hatch); stroke: none }
.kvmmu rect.page { fill: var(--kvmmu-paper); stroke: none }
.kvmmu rect.frame { fill: none; stroke: var(--kvmmu-line); stroke-width: 1px }
.kvmmu text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; \
fill: var(--text, var(--kvmmu-ink)); white-space: pre; stroke: none }
.kvmmu text.sub { font-size: 11px; fill: var(--soft, var(--kvmmu-soft)) }
.kvmmu text.said { font: 14px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; \
fill: var(--kvmmu-ink) }
.kvmmu path.edge { fill: none; stroke: var(--stroke); stroke-width: var(--width) }
.kvmmu path.tip { fill: var(--stroke); stroke: none }
"""

_SAID_CHARS: Final = 7.4
_SAID_LINE: Final = 20


def svg(message: Mapping[str, Any], step: int = -1, *, said: bool = True) -> str:
    """Return step *step* of *message* as an SVG document; -1 is the last.

    :param said: whether the sentence of the step stands below the picture
    """
    frame = frame_at(message, step)
    marks = set(frame.step.get("marks", ()))
    contents = message["contents"]
    kinds = _kinds(frame, contents) | {"changed"}
    width, height = max(frame.layout["w"], 320), frame.layout["h"]
    lines = _wrapped(frame.step["text"], int(width / _SAID_CHARS) - 2) if said else []
    parts = [
        *_edges(frame, marks),
        *(
            _card(name, frame.layout["nodes"][name], contents[number], marks)
            for name, number in frame.nodes.items()
        ),
        *_groups(frame),
        *_said(lines, height),
    ]
    total = height + _SAID_LINE * len(lines) + 14
    names = [name for name in palette.HATCHES if name in message["hatches"]]
    hatches = "".join(f"--kvmmu-hatch-{name}:url(#kvmmu-{name});" for name in names)
    # the colours here are for viewers that drop style sheets
    size = f'viewBox="0 0 {width:g} {total:g}" width="{width:g}"'
    size += ' fill="none" stroke="#7a8590" font-family="monospace" font-size="12"'
    style = f'style="max-width:100%;{hatches}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="kvmmu" role="img" {size} {style}>',
            f"<title>{escape(_title(message, frame, said=said))}</title>",
            f"<style>\n{palette.static_css(kinds)}\n{_STYLE}</style>",
            f"<defs>{''.join(_pattern(name) for name in names)}</defs>",
            f'<rect class="page" width="{width:g}" height="{total:g}"/>',
            *parts,
            "</svg>",
        ]
    )


def _title(message: Mapping[str, Any], frame: Frame, *, said: bool) -> str:
    title, text = str(message["title"]), str(frame.step["text"])
    if not title:
        return text
    return f"{title}: {text}" if said else title


def _kinds(frame: Frame, contents: list[dict[str, Any]]) -> set[str]:
    texts = list(frame.edges.values())
    for number in frame.nodes.values():
        content = contents[number]
        texts += [content["cls"], *(cell["cls"] for cell in content.get("cells", ()))]
    return {kind for text in texts for kind in text.split()}


def _pattern(name: str) -> str:
    return (
        f'<pattern id="kvmmu-{name}" width="6" height="6" patternUnits="userSpaceOnUse">'
        f'<path d="{palette.HATCHES[name]}" stroke="var(--kvmmu-hatch)"/></pattern>'
    )


def _rect(box: Iterable[float], cls: str = "", radius: int = 4) -> str:
    x, y, w, h = box
    name = f" class={quoteattr(cls)}" if cls else ""
    return f'<rect{name} x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{radius}"/>'


def _text(x: float, y: float, text: str, cls: str = "", anchor: str = "") -> str:
    if not text:
        return ""
    name = f' class="{cls}"' if cls else ""
    end = f' text-anchor="{anchor}"' if anchor else ""
    ink = ' fill="currentColor" stroke="none"'
    return f'<text{name} x="{x:g}" y="{y:g}"{end}{ink}>{escape(text)}</text>'


def _card(name: str, box: list[float], content: Mapping[str, Any], marks: set[str]) -> str:
    x, y, w, h = box
    box = [x, y, w, content.get("h", h)]
    cls = content["cls"] + (" changed" if name in marks else "")
    parts = [
        f"<g class={quoteattr(cls)}>",
        _rect(box, radius=6),
        _rect(box, "hatch", 6),
        _text(x + CARD_PAD, y + 18, content["title"]),
        _text(x + w - CARD_PAD, y + 18, content.get("badge", ""), anchor="end"),
        _text(x + CARD_PAD, y + 33, content.get("sub", ""), "sub"),
    ]
    for n, cell in enumerate(content.get("cells", ())):
        parts.append(_cell(x, y, cell, marked=f"{name}#{n}" in marks))
    return "".join([*parts, "</g>"])


def _cell(left: float, top: float, cell: Mapping[str, Any], *, marked: bool) -> str:
    x, y, w, h = cell["box"]
    box = (left + x, top + y, w, h)
    cls = cell["cls"] + (" changed" if marked else "")
    return "".join(
        [
            f"<g class={quoteattr(cls)}>",
            _rect(box),
            _rect(box, "hatch"),
            _text(box[0] + CELL_PAD, box[1] + 15, cell["t"]),
            _text(box[0] + CELL_PAD, box[1] + 29, cell.get("s", ""), "sub"),
            "</g>",
        ]
    )


def _edges(frame: Frame, marks: set[str]) -> Iterable[str]:
    for name, cls in frame.edges.items():
        spline = frame.layout["edges"].get(name)
        if spline is None:
            continue
        whole = cls + (" changed" if name in marks else "")
        tip = _tip(*spline["tip"])
        yield (
            f'<g class={quoteattr(whole)}><path class="edge" d={quoteattr(spline["d"])}/>'
            f'<path class="tip" d="{tip}"/></g>'
        )


def _tip(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return a triangle that points from (x1, y1) to (x2, y2)."""
    dx, dy = x2 - x1, y2 - y1
    length = (dx * dx + dy * dy) ** 0.5 or 1
    side = 4 / length
    ax, ay = x1 - dy * side, y1 + dx * side
    bx, by = x1 + dy * side, y1 - dx * side
    return f"M{ax:.1f},{ay:.1f}L{x2:g},{y2:g}L{bx:.1f},{by:.1f}z"


def _groups(frame: Frame) -> Iterable[str]:
    for group in frame.layout["groups"].values():
        x, y, _, _ = group["box"]
        yield _rect(group["box"], "frame", 8) + _text(x + 8, y + 15, group["label"], "sub")


def _said(lines: list[str], top: float) -> Iterable[str]:
    for n, line in enumerate(lines):
        yield _text(12, top + 16 + n * _SAID_LINE, line, "said")


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
