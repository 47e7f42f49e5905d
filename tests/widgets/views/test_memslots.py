"""The model of slots against the engine, and by hand."""

import pytest

from kvmmu_edu import Choices, Vm
from kvmmu_edu.trace.events import (
    DirtyBitmapAllocated,
    GenerationChanged,
    LastUsedSlotChanged,
    LockAcquired,
    ReplaceMemslot,
    SlotCreated,
    SlotFreed,
    SwapActiveMemslots,
    SynchronizeSrcu,
    TreeChanged,
)
from kvmmu_widgets.views.memslots import SlotsModel, fold, walk

SLOT = SlotCreated(1, 7, 0, 0x100, 256, 0x7F0000000000, 0)


@pytest.fixture
def model():
    model = SlotsModel([])
    model.apply(SLOT)
    return model


def test_a_new_slot_is_loose(model):
    assert model.loose() == [1]


def test_it_is_replaced_in_one_set_only(model):
    model.apply(ReplaceMemslot(0, 1, 0, 1))
    assert [slots.members for slots in model.sets[0]] == [{}, {7: 1}]
    assert model.loose() == []
    model.apply(ReplaceMemslot(0, 1, 1, 0))
    assert model.sets[0][1].members == {}


def test_readers_are_led_to_the_other_set_when_it_is_published(model):
    model.apply(SwapActiveMemslots(0, 1, 1 << 63))
    assert model.active[0] == 0
    model.apply(SynchronizeSrcu("kvm_swap_active_memslots"))
    assert model.active[0] == 1
    model.apply(GenerationChanged(0, 1, 2))
    assert model.sets[0][1].generation == 2


def test_other_grace_periods_publish_nothing(model):
    model.apply(SwapActiveMemslots(0, 1, 1 << 63))
    model.apply(SynchronizeSrcu("somebody_else"))
    assert model.active[0] == 0


def test_the_second_address_space_is_there_when_it_has_a_slot(model):
    assert list(model.sets) == [0]
    model.apply(SLOT._replace(serial=2, as_id=1))
    assert list(model.sets) == [0, 1]
    assert model.sets[1][0].generation == 1


def test_shapes_and_notes(model):
    model.apply(TreeChanged("gfn_tree", 0, 1, "linked", (1, 0, None, None)))
    assert list(walk(model.sets[0][1].trees["gfn_tree"])) == [1]
    model.apply(DirtyBitmapAllocated(1, 64))
    assert model.notes[1] == ["dirty bitmaps: 64 bytes"]
    model.apply(LastUsedSlotChanged(0, 0, 1))
    assert model.sets[0][0].last_used == 1
    model.apply(SlotFreed(1))
    assert not model.slots


def test_events_of_others_are_ignored(model):
    assert not model.apply(LockAcquired("slots_lock", "lock"))


def test_walk_is_in_order():
    shape = (2, 1, (1, 0, None, None), (3, 0, None, None))
    assert list(walk(shape)) == [1, 2, 3]


def test_the_model_ends_where_the_engine_does(slots_vm):
    events = slots_vm.trace.events()
    model = fold(events, SlotsModel(events))
    real = slots_vm.snapshot()["memslots"]
    assert [model.active[0]] == real["active"][:1]
    ids = {serial: slot.id for serial, slot in model.slots.items()}
    for slots, truth in zip(model.sets[0], real["sets"][0], strict=True):
        assert slots.generation == truth["generation"]
        assert set(slots.members) == {slot["id"] for slot in truth["slots"]}
        for tree in ("gfn_tree", "hva_tree"):
            assert renamed(slots.trees[tree], ids) == truth[tree]


def renamed(shape, ids):
    if shape is None:
        return None
    serial, color, left, right = shape
    return ids[serial], color, renamed(left, ids), renamed(right, ids)


def test_where_slots_are_in_an_array_the_other_set_is_a_copy():
    vm = Vm(choices=Choices(memslots="array"), trace="events")
    hva = vm.host.mmap("A", "anon4k", 1 << 20)
    for number in range(3):
        vm.set_user_memory_region(number, 0, number << 20, 1 << 20, hva)
    vm.set_user_memory_region(1, 0, 0, 0, 0)
    events = vm.trace.events()
    model = fold(events, SlotsModel(events))
    active = model.sets[0][model.active[0]]
    assert sorted(active.members) == [0, 2]
    assert set(active.members.values()) == set(model.slots)
