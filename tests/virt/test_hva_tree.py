"""Lookups by host address: aliases, edges, and the way to guest frames."""

import pytest

from kvmmu_edu.virt.hva_tree import (
    for_each_memslot_in_hva_range,
    gfns_in_hva_range,
    hva_to_gfn_memslot,
)
from kvmmu_edu.virt.memslots import memslots
from tests.virt.bench import by_id, ioctl

PAGE = 4096
HVA = 0x7F00_0000_0000


def ids(kvm, start, last):
    return sorted(slot.id for slot in for_each_memslot_in_hva_range(memslots(kvm), start, last))


def test_both_ends_are_included(kvm):
    ioctl(kvm, 0, 0x100000, 4 * PAGE, hva=HVA)
    assert ids(kvm, HVA - 2, HVA - 1) == []
    assert ids(kvm, HVA - 2, HVA) == [0]
    assert ids(kvm, HVA + 4 * PAGE - 1, HVA + 5 * PAGE) == [0]
    assert ids(kvm, HVA + 4 * PAGE, HVA + 5 * PAGE) == []


def test_one_host_address_may_be_in_several_slots(kvm):
    ioctl(kvm, 0, 0x100000, 8 * PAGE, hva=HVA)
    ioctl(kvm, 1, 0x200000, 8 * PAGE, hva=HVA)
    ioctl(kvm, 2, 0x300000, 8 * PAGE, hva=HVA + 4 * PAGE)
    assert ids(kvm, HVA, HVA) == [0, 1]
    assert ids(kvm, HVA + 4 * PAGE, HVA + 4 * PAGE) == [0, 1, 2]
    assert ids(kvm, HVA + 8 * PAGE, HVA + 8 * PAGE) == [2]


def test_a_moved_slot_keeps_its_host_address(kvm):
    ioctl(kvm, 0, 0x100000, 8 * PAGE, hva=HVA)
    ioctl(kvm, 0, 0x900000, 8 * PAGE)
    assert ids(kvm, HVA, HVA) == [0]
    assert hva_to_gfn_memslot(HVA + PAGE, by_id(kvm, 0)) == 0x901


@pytest.mark.parametrize(
    ("start", "end", "gfns"),
    [
        (HVA - PAGE, HVA + 9 * PAGE, (0x100, 0x108)),
        (HVA + PAGE, HVA + 2 * PAGE, (0x101, 0x102)),
        (HVA + PAGE + 1, HVA + 2 * PAGE + 1, (0x101, 0x103)),
        (HVA + 5, HVA + 6, (0x100, 0x101)),
    ],
)
def test_every_frame_with_a_byte_in_the_range_counts(kvm, start, end, gfns):
    ioctl(kvm, 0, 0x100000, 8 * PAGE, hva=HVA)
    assert gfns_in_hva_range(by_id(kvm, 0), start, end) == gfns
