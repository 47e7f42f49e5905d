"""Memory slots, scene by scene."""

import itertools

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace.events import LockAcquired, SynchronizeSrcu, TreeChanged
from kvmmu_edu.trace.stats import Counters
from kvmmu_widgets.views.memslot_scenes import MemslotScenes


def scenes(vm):
    events = vm.trace.events()
    view = MemslotScenes(events, Choices())
    return [(None, view.scene), *((event, view.step(event)) for event in events)]


def test_it_begins_with_two_empty_sets(slots_vm):
    _, scene = scenes(slots_vm)[0]
    assert list(scene.cards) == ["p0", "n0.0", "n0.1"]
    assert list(scene.edges) == ["p0>n0.0"]


def test_it_ends_with_every_slot_in_four_trees(slots_vm):
    _, scene = scenes(slots_vm)[-1]
    assert sorted(name for name in scene.cards if name[0] in "gh") == sorted(
        f"{tree}0.{idx}.{serial}" for tree in "gh" for idx in (0, 1) for serial in (2, 5, 6, 7)
    )
    assert sum(edge.kind == "child" for edge in scene.edges.values()) == 16


def test_the_pointer_moves_when_it_is_published(slots_vm):
    steps = scenes(slots_vm)
    for (_, before), (event, after) in itertools.pairwise(steps):
        moved = [mark for mark in after.marks if mark.startswith("p0>")]
        assert bool(moved) == isinstance(event, SynchronizeSrcu)
        assert bool(moved) == (before.edges.get(moved[0] if moved else "") is None and bool(moved))


def test_a_rotation_marks_edges_and_moves_no_card_to_another_place(slots_vm):
    rotations = [
        scene
        for event, scene in scenes(slots_vm)
        if isinstance(event, TreeChanged) and event.why.startswith("rotated")
    ]
    assert rotations
    for scene in rotations:
        assert scene.marks
        assert all(">" in mark for mark in scene.marks)


def test_edges_have_both_ends(slots_vm):
    for _, scene in scenes(slots_vm):
        for edge in scene.edges.values():
            assert {edge.tail, edge.head} <= scene.cards.keys()


def test_marks_last_for_one_step(slots_vm):
    events = slots_vm.trace.events()
    view = MemslotScenes(events, Choices())
    for event in events:
        view.step(event)
    assert view.step(LockAcquired("slots_lock", "lock")).marks == ()


def test_without_shapes_slots_stand_in_a_row(slots_vm_without_shapes):
    _, scene = scenes(slots_vm_without_shapes)[-1]
    assert list(scene.edges) == ["p0>n0.0"]
    assert sorted(name for name in scene.cards if name[0] == "g") == [
        f"g0.{idx}.{serial}" for idx in (0, 1) for serial in (2, 5, 6, 7)
    ]


def test_what_came_before_is_there_at_the_beginning(slots_vm):
    events = slots_vm.trace.events()
    view = MemslotScenes(events[-3:], Choices(), events[:-3])
    assert sum(name.startswith("g0.0.") for name in view.scene.cards) == 4
    assert view.scene.marks == ()


def test_invariants_compare_the_sets(slots_vm):
    events = slots_vm.trace.events()
    view = MemslotScenes(events, Choices())
    for event in events:
        view.step(event)
    assert view.invariants(Counters()) == {"both sets equal": True}
    view.model.sets[0][0].members.clear()
    assert view.invariants(Counters()) == {"both sets equal": False}
