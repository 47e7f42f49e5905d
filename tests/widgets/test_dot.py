"""DOT is compared as text: coordinates differ between versions of Graphviz."""

import re

from kvmmu_widgets.dot import LEAF_ROWS, LEAVES_IN_ROW, Arrow, to_dot
from kvmmu_widgets.measure import reserve
from kvmmu_widgets.scene import Card, Cell

ROOT = reserve([Card("root L4", cells=(Cell("[0] table", port="0"), Cell("[7] table", port="7")))])
LEAF = reserve([Card("table L1")])


def test_a_card_without_ports_is_a_box_of_its_size():
    dot = to_dot({"t1": LEAF}, [], {})
    width, height = LEAF.size()
    assert f'WIDTH="{width:g}" HEIGHT="{height:g}"><TR><TD></TD></TR></TABLE>' in dot


def test_a_port_for_each_cell_and_an_edge_from_it():
    dot = to_dot({"t0": ROOT, "t1": LEAF}, [Arrow("t0:7>t1", "t0", "t1", "7")], {})
    assert re.findall(r'PORT="(p\d)"', dot) == ["p0", "p7"]
    assert 't0:p7:s -> t1:n [id="t0:7>t1"]' in dot


def test_the_cells_of_a_row_make_up_the_card():
    dot = to_dot({"t0": ROOT}, [], {})
    row = re.search(r"</TR><TR>(.*?)</TR>", dot)[1]
    widths = [float(width) for width in re.findall(r'WIDTH="([\d.]+)"', row)]
    assert sum(widths) == ROOT.size()[0]
    x = 0.0
    ports = dict(zip(("0", "7"), ROOT.port_boxes().values(), strict=True))
    for match in re.finditer(r'<TD [^>]*WIDTH="([\d.]+)"[^>]*?(?: PORT="p(\d)")?></TD>', row):
        if match[2]:
            assert x == ports[match[2]][0]
        x += float(match[1])


def test_no_text_so_that_no_font_is_looked_for():
    dot = to_dot({"t0": ROOT, "t1": LEAF}, [Arrow("e", "t0", "t1")], {})
    assert not re.search(r"<TD[^>]*>[^<]", dot)
    assert "label=<" in dot


def test_large_families_stand_in_rows():
    leaves = {f"t{n}": LEAF for n in range(1, 2 * LEAVES_IN_ROW + 1)}
    arrows = [Arrow(f"e{name}", "t0", name) for name in leaves]
    dot = to_dot({"t0": ROOT, **leaves}, arrows, {})
    assert dot.count("minlen=2") == LEAVES_IN_ROW
    few = to_dot({"t0": ROOT, **leaves}, arrows[:LEAVES_IN_ROW], {})
    assert "minlen" not in few


def test_rows_of_leaves_have_a_limit():
    leaves = {f"t{n}": LEAF for n in range(1, 200)}
    dot = to_dot({"t0": ROOT, **leaves}, [Arrow(f"e{n}", "t0", n) for n in leaves], {})
    assert f"minlen={LEAF_ROWS} " in dot.replace("]", " ")
    assert f"minlen={LEAF_ROWS + 1}" not in dot


def test_loose_cards_hang_at_their_height():
    dot = to_dot({"t0": ROOT, "t1": LEAF}, [], {"t0": 0, "t1": 3})
    assert re.search(r"t0 -> t1 \[minlen=3 style=invis weight=0\]", dot)
