"""One layout for all steps."""

import pytest

from kvmmu_edu.choices import Choices
from kvmmu_widgets.arrange import arrange_union, reserve_rooms
from kvmmu_widgets.scene import Card, Cell, Edge, Scene
from kvmmu_widgets.views.page_table_scenes import PageTableScenes

SMALL = Card("table L4", cells=(Cell("[0] table", port="0"),))
LARGE = Card("table L4", "a long line below the title", cells=SMALL.cells)
CHILD = Card("table L3")
SCENES = [
    Scene(),
    Scene({"t0": SMALL}),
    Scene({"t0": LARGE, "t1": CHILD}, {"t0:0>t1": Edge("t0", "t1", port="0")}),
    Scene({"t1": CHILD}),
]


def test_a_card_has_room_for_all_that_it_ever_holds():
    rooms = reserve_rooms(SCENES)
    assert rooms["t0"].size() == reserve_rooms(SCENES[2:3])["t0"].size()
    assert rooms["t0"].size() > reserve_rooms(SCENES[1:2])["t0"].size()


def test_cards_with_edges_keep_their_height():
    rooms = reserve_rooms(SCENES)
    assert rooms["t0"].anchored
    assert not rooms["t1"].anchored


def test_all_that_is_ever_there_is_laid_out_once():
    arrangement = arrange_union(SCENES, {"t1": 1})
    assert arrangement.which == [0, 0, 0, 0]
    (layout,) = arrangement.layouts
    assert set(layout.nodes) == {"t0", "t1"}
    assert set(layout.edges) == {"t0:0>t1"}


def test_cards_of_one_rank_begin_at_one_height():
    high = Card("table L3", cells=tuple(Cell("a" * 40, "b") for _ in range(4)))
    cards = {"t0": SMALL, "t1": CHILD, "t2": high}
    edges = {f"t0:0>{name}": Edge("t0", name, port="0") for name in ("t1", "t2")}
    arrangement = arrange_union([Scene(cards, edges)], {"t1": 1, "t2": 1})
    nodes = arrangement.layouts[0].nodes
    assert nodes["t1"][1] == pytest.approx(nodes["t2"][1], abs=1)
    assert arrangement.rooms["t1"].height_of(CHILD) < nodes["t1"][3]


def test_an_empty_run_has_an_empty_picture():
    arrangement = arrange_union([Scene(), Scene()], {})
    assert arrangement.layouts[0].nodes == {}
    assert arrangement.which == [0, 0]


def test_no_two_cards_of_a_real_run_overlap(dirty_log_vm):
    events = dirty_log_vm.trace.events()
    view = PageTableScenes(events, Choices())
    scenes = [view.step(event) for event in events]
    (layout,) = view.arrange(scenes).layouts
    boxes = list(layout.nodes.values())
    for n, (ax, ay, aw, ah) in enumerate(boxes):
        for bx, by, bw, bh in boxes[:n]:
            assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay


@pytest.mark.parametrize("never_linked", [1, 3])
def test_a_card_that_is_never_linked_stands_at_its_height(never_linked):
    scenes = [Scene({"t0": SMALL, "t9": CHILD})]
    (layout,) = arrange_union(scenes, {"t9": never_linked}).layouts
    assert layout.nodes["t9"][1] > layout.nodes["t0"][1] + layout.nodes["t0"][3]
