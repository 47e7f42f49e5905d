"""Both ways to Graphviz give boxes and curves; without either there is one line of help."""

import builtins
import os
import shutil
import subprocess
import sys

import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_widgets import layout
from kvmmu_widgets.dot import Arrow, to_dot
from kvmmu_widgets.layout import BACKENDS, lay_out
from kvmmu_widgets.measure import reserve
from kvmmu_widgets.scene import Card, Cell

TABLE = reserve([Card("table", cells=(Cell("[0] table", port="0"),))])
ARROWS = [Arrow("t0:0>t1", "t0", "t1", "0"), Arrow("t0:0>t2", "t0", "t2", "0")]
DOT = to_dot({"t0": TABLE, "t1": TABLE, "t2": TABLE}, ARROWS, {})

needs_dot = pytest.mark.skipif(not shutil.which("dot"), reason="no dot program here")


def available(backend):
    if backend == "dot":
        return bool(shutil.which("dot"))
    pytest.importorskip("pygraphviz")
    return True


@pytest.fixture(params=list(BACKENDS))
def laid_out(request):
    if not available(request.param):
        pytest.skip(f"no {request.param} here")
    return lay_out(DOT, request.param)


def test_boxes_have_the_size_that_was_asked_for(laid_out):
    assert set(laid_out.nodes) == {"t0", "t1", "t2"}
    for x, y, w, h in laid_out.nodes.values():
        assert (w, h) == pytest.approx(TABLE.size(), abs=1)
        assert x >= 0
        assert y >= 0
        assert x + w <= laid_out.width
        assert y + h <= laid_out.height


def test_children_stand_below(laid_out):
    _, top, _, height = laid_out.nodes["t0"]
    assert all(laid_out.nodes[child][1] > top + height for child in ("t1", "t2"))


def test_edges_go_from_the_port_to_the_card(laid_out):
    port = TABLE.port_boxes()["0"]
    x, y, _, h = laid_out.nodes["t0"]
    for name, spline in laid_out.edges.items():
        start = spline.d[1:].split("C")[0]
        left, top = map(float, start.split(","))
        assert left == pytest.approx(x + port[0] + port[2] / 2, abs=2)
        assert top == pytest.approx(y + h, abs=2)
        head = laid_out.nodes[name.partition(">")[2]]
        assert spline.tip[2] == pytest.approx(head[0] + head[2] / 2, abs=2)
        assert spline.tip[3] == pytest.approx(head[1], abs=2)


def test_equal_dot_is_laid_out_once(monkeypatch):
    calls = []
    answer = '{"bb": "0,0,10,10", "objects": [], "edges": []}'
    monkeypatch.setitem(BACKENDS, "counted", lambda dot: calls.append(dot) or answer)
    for _ in range(3):
        lay_out("digraph { once }", "counted")
    assert len(calls) == 1


def test_a_sentence_of_help_without_graphviz(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "pygraphviz":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(layout.shutil, "which", lambda _name: None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"no Graphviz found; expected .*pygraphviz"):
        lay_out("digraph { nobody }")


def test_the_program_is_preferred(monkeypatch):
    monkeypatch.setattr(layout.shutil, "which", lambda _name: "/somewhere/dot")
    assert layout._first_backend() == "dot"


def test_in_process_where_there_is_no_program(monkeypatch):
    pytest.importorskip("pygraphviz")
    monkeypatch.setattr(layout.shutil, "which", lambda _name: None)
    assert layout._first_backend() == "pygraphviz"


def test_the_program_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(layout.shutil, "which", lambda _name: None)
    with pytest.raises(UsageError, match="no `dot` program"):
        lay_out("digraph { nowhere }", "dot")


@needs_dot
def test_what_dot_refuses_is_said():
    with pytest.raises(UsageError, match="dot did not accept the picture"):
        lay_out("digraph {", "dot")


def test_pygraphviz_is_silent_without_fonts():
    pytest.importorskip("pygraphviz")
    program = (
        "import sys; from kvmmu_widgets.layout import lay_out; "
        "lay_out(sys.stdin.read(), 'pygraphviz')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=DOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "FONTCONFIG_FILE": os.devnull, "FONTCONFIG_PATH": os.devnull},
    )
    assert done.stderr == ""
