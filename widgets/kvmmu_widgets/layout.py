"""Graphviz in two ways: the ``dot`` program where there is one, else pygraphviz in process.

Both answer in JSON, from which boxes and splines are read, in px with y downward.  Different
versions of Graphviz place cards differently: nothing may depend on the numbers.  Ours.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from kvmmu_edu.errors import UsageError

Point: TypeAlias = tuple[float, float]
Box: TypeAlias = tuple[float, float, float, float]

_MARGIN: Final = 8
_POINTS_PER_INCH: Final = 72


class Spline(NamedTuple):
    """An edge: SVG path data, and the arrow's tip from where to where, px."""

    d: str
    tip: tuple[float, float, float, float]


class Layout(NamedTuple):
    """Where everything stands, px.

    :ivar nodes: upper left corner, width and height, by the name of the card
    :ivar edges: by the name of the edge
    :ivar groups: frames: upper left corner, width and height, and a label, by name
    """

    width: float
    height: float
    nodes: dict[str, Box]
    edges: dict[str, Spline]
    groups: dict[str, tuple[Box, str]]


def lay_out(dot: str, backend: str = "") -> Layout:
    """Have Graphviz lay *dot* out.

    :param backend: a key of :data:`BACKENDS`; empty for the first that is there
    :raises UsageError: if there is no Graphviz, with what to install
    """
    return _cached(dot, backend or _first_backend())


@lru_cache(maxsize=64)
def _cached(dot: str, backend: str) -> Layout:
    return _read(json.loads(BACKENDS[backend](dot)))


def _first_backend() -> str:
    if shutil.which("dot"):
        return "dot"
    try:
        import pygraphviz  # noqa: F401, PLC0415 - large, and not there everywhere
    except ImportError:
        msg = (
            "no Graphviz found; expected a `dot` program (apt install graphviz, brew install "
            "graphviz) or the Python package pygraphviz (pip install pygraphviz)"
        )
        raise UsageError(msg) from None
    return "pygraphviz"


def _by_program(dot: str) -> str:
    program = shutil.which("dot")
    if program is None:
        raise UsageError("no `dot` program found; expected Graphviz to be installed")
    done = subprocess.run(  # noqa: S603 - the program is Graphviz, the text our own DOT
        [program, "-Tjson0"], input=dot, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise UsageError(f"dot did not accept the picture: {done.stderr.strip()}")
    return done.stdout


def _in_process(dot: str) -> str:
    import pygraphviz  # noqa: PLC0415 - large, and not there everywhere

    # no text in our DOT, so Graphviz never looks for fonts, nor complains that there are none
    graph = pygraphviz.AGraph(string=dot)
    drawn: bytes = graph.draw(prog="dot", format="json0")
    graph.close()
    return drawn.decode()


#: how to reach Graphviz: DOT in, JSON out
BACKENDS: Final[dict[str, Callable[[str], str]]] = {"dot": _by_program, "pygraphviz": _in_process}


def _read(graph: dict[str, Any]) -> Layout:
    _, _, width, height = map(float, graph["bb"].split(","))
    objects = [thing for thing in graph.get("objects", []) if "pos" in thing]
    nodes = {thing["name"]: _box(thing, height) for thing in objects}
    edges = {
        edge["id"]: _spline(edge["pos"], height)
        for edge in graph.get("edges", [])
        if "id" in edge and "pos" in edge
    }
    return Layout(width + 2 * _MARGIN, height + 2 * _MARGIN, nodes, edges, {})


def _box(node: dict[str, Any], height: float) -> Box:
    x, y = map(float, node["pos"].split(","))
    w, h = (float(node[side]) * _POINTS_PER_INCH for side in ("width", "height"))
    return (
        round(x - w / 2 + _MARGIN, 1),
        round(height - y - h / 2 + _MARGIN, 1),
        round(w, 1),
        round(h, 1),
    )


def _spline(pos: str, height: float) -> Spline:
    """Read ``e,x,y x,y x,y ...``: the arrow's end, then the control points of the curve."""
    end: Point | None = None
    points: list[Point] = []
    for word in pos.split():
        parts = word.split(",")
        x, y = float(parts[-2]) + _MARGIN, height - float(parts[-1]) + _MARGIN
        if parts[0] == "e":
            end = (round(x, 1), round(y, 1))
        elif parts[0] != "s":
            points.append((round(x, 1), round(y, 1)))
    first, *rest = points
    curve = " ".join(f"{x:g},{y:g}" for x, y in rest)
    return Spline(f"M{first[0]:g},{first[1]:g}C{curve}", (*points[-1], *(end or points[-1])))
