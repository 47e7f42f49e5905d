"""Trees: columns by key, rows by depth."""

from itertools import combinations

import pytest

from kvmmu_edu.choices import Choices
from kvmmu_widgets.arrange_trees import Block, Node, Pane, Structure, Tree, arrange_trees
from kvmmu_widgets.scene import Card, Cell, Scene
from kvmmu_widgets.views.memslot_scenes import MemslotScenes

HOME = Card("set 0", cells=(Cell("gfn_tree", port="gfn_tree"),))
SLOT = Card("slot 1", "gfn 0x100")


def scene(nodes, loose=(), *, flat=False):
    tree = Tree("gfn_tree", tuple(Node(*node) for node in nodes), flat)
    structure = Structure((Block("p0", (Pane("n0.0", (tree,)),)),), tuple(loose))
    cards = {"p0": Card("kvm->memslots[0]"), "n0.0": HOME}
    cards |= {name: SLOT for name, _, _ in nodes} | dict.fromkeys(loose, SLOT)
    return Scene(cards, {}, (), structure)


LEFT = scene([("g1", 10, "g2"), ("g2", 20, ""), ("g3", 30, "g2")])
TURNED = scene([("g1", 10, ""), ("g2", 20, "g1"), ("g3", 30, "g2")])


def test_a_rotation_moves_nodes_up_and_down_only():
    before, after = arrange_trees([LEFT, TURNED]).layouts
    for card in ("g1", "g2", "g3"):
        assert before.nodes[card][0] == after.nodes[card][0]
    assert before.nodes["g2"][1] < before.nodes["g1"][1] == before.nodes["g3"][1]
    assert after.nodes["g1"][1] < after.nodes["g2"][1] < after.nodes["g3"][1]
    assert (before.width, before.height) == (after.width, after.height)


def test_equal_structures_share_a_layout():
    arrangement = arrange_trees([LEFT, TURNED, LEFT])
    assert arrangement.which == [0, 1, 0]
    assert len(arrangement.layouts) == 2


def test_keys_stand_in_order():
    (layout,) = arrange_trees([LEFT]).layouts
    assert [layout.nodes[card][0] for card in ("g1", "g2", "g3")] == sorted(
        layout.nodes[card][0] for card in ("g1", "g2", "g3")
    )


def test_equal_keys_stand_side_by_side():
    (layout,) = arrange_trees([scene([("g1", 10, ""), ("g2", 10, "g1")])]).layouts
    assert layout.nodes["g1"][0] < layout.nodes["g2"][0]


def test_edges_of_the_tree_and_both_ways_of_the_pointer():
    (layout,) = arrange_trees([LEFT]).layouts
    assert set(layout.edges) == {"g2>g1", "g2>g3", "n0.0:gfn_tree>g2", "p0>n0.0"}
    x, y, w, _ = layout.nodes["g1"]
    assert layout.edges["g2>g1"].tip[2:] == (x + w / 2, y)


def test_nothing_is_known_but_the_order():
    nodes = [("g1", 10, ""), ("g2", 20, ""), ("g3", 30, "")]
    (layout,) = arrange_trees([scene(nodes, flat=True)]).layouts
    assert_apart(layout)
    assert set(layout.edges) == {"p0>n0.0"}


def test_loose_slots_stand_beside_the_pointer():
    (layout,) = arrange_trees([scene([("g1", 10, "")], ["s7", "s8"])]).layouts
    assert layout.nodes["s7"][1] == layout.nodes["p0"][1]
    assert layout.nodes["s7"][0] > layout.nodes["p0"][0] + layout.nodes["p0"][2]
    assert_apart(layout)


def assert_apart(layout):
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(layout.nodes.values(), 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay


@pytest.mark.parametrize("trace", ["slots_vm", "slots_vm_without_shapes"])
def test_a_real_run_fits_and_nothing_overlaps(trace, request):
    events = request.getfixturevalue(trace).trace.events()
    view = MemslotScenes(events, Choices())
    scenes = [view.step(event) for event in events]
    arrangement = view.arrange(scenes)
    for layout in arrangement.layouts:
        assert_apart(layout)
        boxes = [*layout.nodes.values(), *(box for box, _ in layout.groups.values())]
        for x, y, w, h in boxes:
            assert x >= 0
            assert y >= 0
            assert x + w <= layout.width
            assert y + h <= layout.height
    for scene, number in zip(scenes, arrangement.which, strict=True):
        layout = arrangement.layouts[number]
        assert set(scene.cards) == set(layout.nodes)
        assert set(scene.edges) <= set(layout.edges)
