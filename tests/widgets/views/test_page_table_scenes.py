"""Page tables, scene by scene."""

import pytest

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace.events import Cause, GetMmuPage, LockAcquired, SpteChanged
from kvmmu_edu.trace.stats import Counters
from kvmmu_widgets.scene import Scene
from kvmmu_widgets.views.page_table_scenes import MAX_PORTS, PageTableScenes

EMPTY = 1 << 63


def link(row, above, column, level):
    value = ((0x100000 + row) << 12) | 0x827
    return SpteChanged(0, level, column, above, column, EMPTY, value, Cause.LINK, 0)


EVENTS = [
    GetMmuPage(0, 0, 0, 4, 0, created=True),
    GetMmuPage(1, 0, 0, 3, 0, created=True),
    link(1, 0, 0, 4),
    LockAcquired("mmu_lock", "read"),
]


@pytest.fixture
def view():
    return PageTableScenes(EVENTS, Choices())


def test_it_begins_with_nothing(view):
    assert view.scene == Scene()


def test_a_new_table_is_marked(view):
    scene = view.step(EVENTS[0])
    assert list(scene.cards) == ["t0"]
    assert scene.cards["t0"].kind == "root new"
    assert scene.marks == ("t0",)


def test_a_link_marks_cell_table_and_edge(view):
    for event in EVENTS[:3]:
        scene = view.step(event)
    assert scene.edges["t0:0>t1"].port == "0"
    assert scene.cards["t0"].cells[0].text == "[0] table 1"
    assert set(scene.marks) == {"t0#0", "t1", "t0:0>t1"}


def test_marks_last_for_one_step(view):
    for event in EVENTS:
        scene = view.step(event)
    assert scene.marks == ()
    assert scene.cards["t0"].cells[0].sub == "RWX A"
    again = view.step(EVENTS[3])
    assert again.cards is scene.cards


def test_scenes_share_what_did_not_change(view):
    first = view.step(EVENTS[0])
    second = view.step(EVENTS[1])
    third = view.step(EVENTS[3])
    assert second.cards["t0"] is third.cards["t0"]
    assert second.edges is first.edges


def test_what_came_before_is_there_at_the_beginning():
    view = PageTableScenes(EVENTS[3:], Choices(), EVENTS[:3])
    assert list(view.scene.cards) == ["t0", "t1"]
    assert list(view.scene.edges) == ["t0:0>t1"]
    assert view.scene.marks == ()
    assert view.scene.cards["t0"].kind == "root"


def test_a_large_family_has_no_ports():
    size = MAX_PORTS + 1
    events = [*EVENTS[:3], *(GetMmuPage(n, 0, 0, 2, 0, created=True) for n in range(2, 2 + size))]
    events += [link(n, 1, n, 3) for n in range(2, 2 + size)]
    view = PageTableScenes(events, Choices())
    for event in events:
        scene = view.step(event)
    scene = view.step(EVENTS[3])
    assert [cell.text for cell in scene.cards["t1"].cells] == [
        f"[2 … {size + 1}] {size} × table RWX A",
        f"{512 - size} empty",
    ]
    assert {edge.port for edge in scene.edges.values() if edge.tail == "t1"} == {""}


def test_invariants_compare_tables_and_statistics(view):
    for event in EVENTS:
        view.step(event)
    counters = Counters()
    assert view.invariants(counters) == {"leaves equal pages": True}
    counters.vm["pages_2m"] = 1
    assert view.invariants(counters) == {"leaves equal pages": False}


def test_a_real_run_ends_with_the_tables_that_are_there(dirty_log_vm):
    events = dirty_log_vm.trace.events()
    view = PageTableScenes(events, Choices())
    for event in [*events, EVENTS[3]]:
        scene = view.step(event)
    tables = dirty_log_vm.snapshot()["tables"]
    assert len(scene.cards) == len(tables)
    assert len(scene.edges) == len(tables) - 1


def test_every_edge_has_both_ends_and_every_mark_its_thing(dirty_log_vm):
    events = dirty_log_vm.trace.events()
    view = PageTableScenes(events, Choices())
    for event in events:
        scene = view.step(event)
        for edge in scene.edges.values():
            assert {edge.tail, edge.head} <= scene.cards.keys()
            ports = {cell.port for cell in scene.cards[edge.tail].cells}
            assert edge.port in {"", *ports}
        for mark in scene.marks:
            card, _, cell = mark.partition("#")
            assert card in scene.cards or card in scene.edges
            assert not cell or int(cell) < len(scene.cards[card].cells)
