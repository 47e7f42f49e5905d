"""Slots: what is copied, what is visible, what events name them."""

import numpy as np
import pytest

from kvmmu_edu.trace.events import SlotCreated, SlotFreed
from kvmmu_edu.virt import memory_slot
from kvmmu_edu.virt.memory_slot import (
    INTERNAL_MEM_SLOTS,
    MEM_LOG_DIRTY_PAGES,
    MEM_READONLY,
    MEM_SLOTS_NUM,
    MEMSLOT_INVALID,
    USER_MEM_SLOTS,
    Change,
    MemorySlot,
    copy_memslot,
    is_visible_memslot,
    serial_of,
)
from tests.virt.bench import MIB, FakeArchSlot, by_id, delete, ioctl, kinds


def slot(**fields):
    made = MemorySlot(7)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_limits_are_the_kernels():
    assert (MEM_SLOTS_NUM, INTERNAL_MEM_SLOTS, USER_MEM_SLOTS) == (32767, 3, 32764)
    assert memory_slot.MEM_MAX_NR_PAGES == 2**31 - 1
    assert [change.value for change in Change] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("made", "visible"),
    [
        (None, False),
        (slot(id=0), True),
        (slot(id=USER_MEM_SLOTS - 1), True),
        (slot(id=USER_MEM_SLOTS), False),
        (slot(id=0, flags=MEMSLOT_INVALID), False),
        (slot(id=0, flags=MEM_READONLY | MEM_LOG_DIRTY_PAGES), True),
    ],
)
def test_visibility(made, visible):
    assert is_visible_memslot(made) is visible


def test_text_names_flags_and_frames():
    text = str(slot(id=3, base_gfn=0x100, npages=0x40, flags=MEM_LOG_DIRTY_PAGES | MEM_READONLY))
    assert text == "slot 3 dr [gfn 0x100, 0x140)"
    assert str(slot(id=3, npages=1, flags=MEMSLOT_INVALID)) == "slot 3  INVALID [gfn 0x0, 0x1)"
    assert str(slot(id=3, npages=1)) == "slot 3 [gfn 0x0, 0x1)"


def test_copy_takes_data_but_no_links():
    bitmap = np.zeros(2, np.uint64)
    source = slot(id=5, as_id=1, base_gfn=9, npages=4, userspace_addr=0x1000, flags=1)
    source.dirty_bitmap = bitmap
    source.arch = FakeArchSlot(["array"])
    copy = MemorySlot(8)
    links = (copy.id_node, copy.hva_node, copy.gfn_node)
    copy_memslot(copy, source)
    assert copy.snapshot() == source.snapshot()
    assert copy.dirty_bitmap is bitmap
    assert (copy.id_node, copy.hva_node, copy.gfn_node) == links
    assert copy.serial == 8


def test_copies_share_arrays_but_not_pointers():
    source = slot(id=5)
    source.arch = FakeArchSlot(["array"])
    copy = MemorySlot(8)
    copy_memslot(copy, source)
    assert copy.arch.rmap == ["array"]
    copy.arch.rmap.append("later")
    assert source.arch.rmap == ["array"]


def test_serials_are_never_used_again(kvm):
    ioctl(kvm, 0, 0, MIB)
    delete(kvm, 0)
    ioctl(kvm, 0, 0, MIB)
    created = [event.serial for event in kinds(kvm, SlotCreated)]
    assert created == sorted(set(created))
    assert serial_of(by_id(kvm, 0)) == created[-1]
    assert serial_of(None) == 0


def test_every_slot_that_is_freed_was_created_once(kvm):
    for change in ((0x100000, 0), (0x100000, 1), (0x300000, 1)):
        ioctl(kvm, 0, change[0], MIB, change[1])
    delete(kvm, 0)
    created = [event.serial for event in kinds(kvm, SlotCreated)]
    freed = [event.serial for event in kinds(kvm, SlotFreed)]
    assert sorted(freed) == sorted(created)
    assert kvm.slots_by_serial == {}


def test_freeing_a_slot_frees_what_belongs_to_it(kvm):
    ioctl(kvm, 0, 0, MIB, 1)
    old = by_id(kvm, 0)
    delete(kvm, 0)
    assert old.dirty_bitmap is None
    assert ("free", old.serial) in kvm.arch.calls
