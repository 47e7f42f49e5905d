"""Lookups by guest frame, with and without the shortcuts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import LastUsedSlotChanged
from kvmmu_edu.virt.gfn_tree import (
    _gfn_to_memslot,
    for_each_memslot_in_gfn_range,
    gfn_to_memslot,
    insert_gfn_node,
    replace_gfn_node,
    search_memslots,
    try_get_memslot,
    vcpu_gfn_to_memslot,
)
from kvmmu_edu.virt.memory_slot import MEMSLOT_INVALID, MemorySlot
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.virt.swap import MEMSLOT_GEN_UPDATE_IN_PROGRESS
from tests.virt.bench import by_id, delete, ioctl, kinds, make_kvm

PAGE = 4096


@pytest.fixture
def three(kvm):
    """Slots 0, 1, 2 at gfn 0x10, 0x20, 0x40, of 8 pages each."""
    for i, gfn in enumerate((0x10, 0x20, 0x40)):
        ioctl(kvm, i, gfn * PAGE, 8 * PAGE)
    return memslots(kvm)


def ids(slots):
    return [slot.id for slot in slots]


@pytest.mark.parametrize(
    ("gfn", "found"),
    [(0xF, None), (0x10, 0), (0x17, 0), (0x18, None), (0x20, 1), (0x40, 2), (0x48, None)],
)
def test_search(three, gfn, found):
    slot = search_memslots(three, gfn)
    assert (slot.id if slot else None) == found


def test_search_in_an_empty_set(kvm):
    assert search_memslots(memslots(kvm), 5) is None
    assert search_memslots(memslots(kvm), 5, approx=True) is None


def test_approximate_search_gives_a_neighbour_of_the_hole(three):
    # the tree is 1 over 0 and 2, so the descent for a hole ends at a leaf
    assert search_memslots(three, 0x18, approx=True).id == 0
    assert search_memslots(three, 0x30, approx=True).id == 2
    assert search_memslots(three, 0x12, approx=True).id == 0


def test_try_get():
    slot = MemorySlot(1)
    slot.base_gfn, slot.npages = 4, 2
    assert [try_get_memslot(slot, gfn) is slot for gfn in (3, 4, 5, 6)] == [
        False,
        True,
        True,
        False,
    ]
    assert try_get_memslot(None, 4) is None


def test_the_set_remembers_what_was_found(kvm, three):
    assert gfn_to_memslot(kvm, 0x21).id == 1
    assert three.last_used_slot.read_once().id == 1
    assert gfn_to_memslot(kvm, 0x22).id == 1
    assert gfn_to_memslot(kvm, 0x30) is None
    assert three.last_used_slot.read_once().id == 1
    serial = by_id(kvm, 1).serial
    assert kinds(kvm, LastUsedSlotChanged) == [(0, three.node_idx, serial)]


def test_the_approximate_answer_is_remembered_too(three):
    assert _gfn_to_memslot(three, 0x18, approx=True).id == 0
    assert three.last_used_slot.read_once().id == 0


def test_the_vcpu_remembers_and_leaves_the_set_alone(three, vcpu):
    assert vcpu_gfn_to_memslot(vcpu, 0x10).id == 0
    assert vcpu.last_used_slot.id == 0
    assert three.last_used_slot.read_once() is None
    assert vcpu_gfn_to_memslot(vcpu, 0x18) is None
    assert vcpu.last_used_slot.id == 0


def test_the_vcpus_memory_is_good_for_one_generation(kvm, three, vcpu):
    assert vcpu_gfn_to_memslot(vcpu, 0x10).id == 0
    ioctl(kvm, 3, 0x80 * PAGE, PAGE)
    assert vcpu_gfn_to_memslot(vcpu, 0x30) is None
    assert vcpu.last_used_slot is None
    assert vcpu.last_used_slot_gen == memslots(kvm).generation.read_once()


def test_the_vcpus_memory_is_dropped_twice_for_each_update(kvm, three, vcpu):
    seen = []

    def look():
        slot = vcpu_gfn_to_memslot(vcpu, 0x10)
        seen.append((vcpu.last_used_slot_gen, slot and slot.flags))

    async def updated(_kvm, _generation):
        look()

    kvm.arch.during_flush = lambda _kvm, _slot: look()
    kvm.arch.memslots_updated = updated
    before = memslots(kvm).generation.read_once()
    delete(kvm, 0)
    # while bit 63 is set, and again when it is not; found INVALID first, then not at all
    bit = MEMSLOT_GEN_UPDATE_IN_PROGRESS
    assert seen == [
        (before | bit, MEMSLOT_INVALID),
        (before + 2, MEMSLOT_INVALID),
        (before + 2 | bit, None),
    ]


def test_the_vcpu_looks_in_its_own_address_space(kvm, vcpu):
    ioctl(kvm, 0x10005, 0, PAGE)
    assert vcpu_gfn_to_memslot(vcpu, 0) is None
    vcpu.memslots_id = 1
    assert vcpu_gfn_to_memslot(vcpu, 0).id == 5


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (0, 0x100, [0, 1, 2]),
        (0, 0x10, []),
        (0, 0x11, [0]),
        (0x17, 0x18, [0]),
        (0x18, 0x20, []),
        (0x18, 0x21, [1]),
        (0x17, 0x41, [0, 1, 2]),
        (0x47, 0x100, [2]),
        (0x48, 0x100, []),
    ],
)
def test_range(three, start, end, found):
    assert ids(for_each_memslot_in_gfn_range(three, start, end)) == found


def test_range_in_an_empty_set(kvm):
    assert list(for_each_memslot_in_gfn_range(memslots(kvm), 0, 100)) == []


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), max_size=12),
    st.integers(0, 80),
    st.integers(1, 30),
)
def test_range_finds_what_a_scan_finds(pieces, start, length):
    kvm = make_kvm()
    gfn, model = 0, []
    for i, (hole, npages) in enumerate(pieces):
        gfn += hole
        ioctl(kvm, i, gfn * PAGE, npages * PAGE)
        model.append((i, gfn, gfn + npages))
        gfn += npages
    wanted = [i for i, low, high in model if low < start + length and high > start]
    slots = memslots(kvm)
    assert ids(for_each_memslot_in_gfn_range(slots, start, start + length)) == wanted
    here = [i for i, low, high in model if low <= start < high]
    slot = search_memslots(slots, start)
    assert ([slot.id] if slot else []) == here


def test_two_slots_cannot_start_at_the_same_frame(three):
    twin = MemorySlot(99)
    twin.id, twin.base_gfn, twin.npages = 9, 0x10, 1
    with pytest.raises(KernelBug, match=r"slot 9 .* starts where slot 0"):
        insert_gfn_node(three, twin)


def test_replacing_in_place_needs_the_same_start(three):
    other = MemorySlot(99)
    other.id, other.base_gfn, other.npages = 9, 0x11, 1
    with pytest.raises(KernelBug, match="it starts elsewhere"):
        replace_gfn_node(three, search_memslots(three, 0x10), other)
