"""The dirty ring: adding, taking, resetting, and stopping before it is full."""

import pytest

from kvmmu_edu.errors import InvariantError, KernelBug
from kvmmu_edu.trace.events import FlushRemoteTlbs
from kvmmu_edu.virt.dirty_ring import (
    DIRTY_GFN_F_DIRTY,
    DIRTY_GFN_F_RESET,
    DIRTY_RING_RSVD_ENTRIES,
    DirtyRing,
    dirty_ring_check_request,
    dirty_ring_push,
    vm_ioctl_enable_dirty_log_ring,
    vm_ioctl_reset_dirty_pages,
)
from kvmmu_edu.virt.vcpu import REQ_DIRTY_RING_SOFT_FULL
from tests.virt.bench import MIB, delete, errno_of, ioctl, kinds, run

PAGE = 4096


@pytest.fixture
def ring(kvm, vcpu):
    """Slot 0 of 256 pages is logged to a ring of 256 entries."""
    kvm.dirty_ring_size = 4096
    vcpu.dirty_ring = DirtyRing(4096)
    ioctl(kvm, 0, MIB, MIB, 1)
    ioctl(kvm, 1, 4 * MIB, MIB, 1)
    kvm.arch.calls.clear()
    return vcpu


def push(vcpu, *offsets, slot=0):
    for offset in offsets:
        dirty_ring_push(vcpu, slot, offset)


def reset(vcpu):
    return run(vcpu.kvm, vm_ioctl_reset_dirty_pages(vcpu.kvm))


def masked(vcpu):
    return [call[1:] for call in vcpu.kvm.arch.calls if call[0] == "masked"]


def test_an_entry_goes_from_dirty_to_reset_to_free(ring):
    push(ring, 7)
    assert ring.dirty_ring.entry(0).flags == DIRTY_GFN_F_DIRTY
    assert ring.dirty_ring.collect() == [(0, 7)]
    assert ring.dirty_ring.entry(0).flags == DIRTY_GFN_F_DIRTY | DIRTY_GFN_F_RESET
    assert reset(ring) == 1
    assert ring.dirty_ring.entry(0).flags == 0
    ring.dirty_ring.check()


def test_what_user_space_has_not_taken_is_not_reset(ring):
    push(ring, 1, 2)
    ring.dirty_ring.collect()
    push(ring, 3)
    assert reset(ring) == 2
    assert ring.dirty_ring.used() == 1
    assert reset(ring) == 0
    assert ring.dirty_ring.collect() == [(0, 3)]


def test_the_numbers_go_around(ring):
    for start in range(0, 1000, 100):
        push(ring, *(range(start, start + 100)))
        taken = ring.dirty_ring.collect()
        assert [offset for _, offset in taken] == list(range(start, start + 100))
        reset(ring)
        ring.dirty_ring.check()
    assert ring.dirty_ring.dirty_index == 1000


@pytest.mark.parametrize(
    ("entries", "calls"),
    [
        ([(0, 5)], [(0, 5, 1)]),
        ([(0, 5), (0, 6), (0, 68)], [(0, 5, 1 | 2 | 1 << 63)]),
        ([(0, 5), (0, 69)], [(0, 5, 1), (0, 69, 1)]),
        ([(0, 6), (0, 5)], [(0, 5, 0b11)]),
        ([(0, 69), (0, 70), (0, 68)], [(0, 68, 0b111)]),
        # going back would push a bit out of the word
        ([(0, 10), (0, 73), (0, 9)], [(0, 10, 1 | 1 << 63), (0, 9, 1)]),
        ([(0, 5), (1, 6), (0, 7)], [(0, 5, 1), (1, 6, 1), (0, 7, 1)]),
        ([(0, 5), (0, 5)], [(0, 5, 1)]),
        ([(0, 0)], [(0, 0, 1)]),
    ],
)
def test_pages_that_lie_together_are_protected_together(ring, entries, calls):
    for slot, offset in entries:
        push(ring, offset, slot=slot)
    ring.dirty_ring.collect()
    assert reset(ring) == len(entries)
    assert masked(ring) == calls


def test_one_flush_after_slots_lock(ring):
    push(ring, 1, 200)
    ring.dirty_ring.collect()
    reset(ring)
    assert kinds(ring.kvm, FlushRemoteTlbs) == [("kvm_vm_ioctl_reset_dirty_pages", 0, 0, 0)]
    last = [type(event).__name__ for event in ring.kvm.trace.events()]
    assert last[-3:] == ["LockReleased", "FlushRemoteTlbs", "VcpuRequest"]
    reset(ring)
    assert len(kinds(ring.kvm, FlushRemoteTlbs)) == 1


@pytest.mark.parametrize("entry", [(9, 0), (0, 256), (0x20000, 0), (32764, 0)])
def test_an_entry_that_names_no_page_is_freed_and_that_is_all(ring, entry):
    push(ring, entry[1], slot=entry[0])
    ring.dirty_ring.collect()
    assert reset(ring) == 1
    assert masked(ring) == []


def test_pages_of_a_slot_that_is_gone(ring):
    push(ring, 1)
    ring.dirty_ring.collect()
    delete(ring.kvm, 0)
    ring.kvm.arch.calls.clear()
    assert reset(ring) == 1
    assert masked(ring) == []


def test_the_vcpu_stops_before_the_ring_is_full(ring):
    assert ring.dirty_ring.soft_limit == 256 - DIRTY_RING_RSVD_ENTRIES
    push(ring, *range(191))
    assert not dirty_ring_check_request(ring)
    push(ring, 191)
    assert dirty_ring_check_request(ring)
    # and again, until somebody resets
    assert dirty_ring_check_request(ring)
    ring.dirty_ring.collect()
    assert dirty_ring_check_request(ring)
    reset(ring)
    assert not dirty_ring_check_request(ring)
    assert REQ_DIRTY_RING_SOFT_FULL not in ring.requests


def test_a_vcpu_without_ring_never_stops_for_it(vcpu):
    assert not dirty_ring_check_request(vcpu)


def test_a_full_ring_is_a_bug(ring):
    push(ring, *range(256))
    with pytest.raises(KernelBug, match="vCPU 0 is full"):
        push(ring, 0)


def test_reset_without_rings(kvm):
    assert errno_of(run, kvm, vm_ioctl_reset_dirty_pages(kvm)) == "EINVAL"


@pytest.mark.parametrize(
    ("nbytes", "name"),
    [
        (0, "EINVAL"),
        (-4096, "EINVAL"),
        (5000, "EINVAL"),
        (2048, "EINVAL"),
        (1 << 21, "E2BIG"),
    ],
)
def test_sizes_that_are_refused(kvm, nbytes, name):
    assert errno_of(vm_ioctl_enable_dirty_log_ring, kvm, nbytes) == name
    assert kvm.dirty_ring_size == 0


@pytest.mark.parametrize("nbytes", [4096, 65536, 1 << 20])
def test_sizes_that_are_accepted_once(kvm, nbytes):
    vm_ioctl_enable_dirty_log_ring(kvm, nbytes)
    assert kvm.dirty_ring_size == nbytes
    assert errno_of(vm_ioctl_enable_dirty_log_ring, kvm, nbytes) == "EINVAL"


def test_not_after_the_first_vcpu(kvm, vcpu):
    assert errno_of(vm_ioctl_enable_dirty_log_ring, kvm, 4096) == "EINVAL"


def test_check_indices(ring):
    ring.dirty_ring.reset_index = 1
    with pytest.raises(InvariantError, match="dirty_index 0 and reset_index 1 differ by -1"):
        ring.dirty_ring.check()


def test_check_flags(ring):
    push(ring, 1)
    ring.dirty_ring.entry(0).flags = 0
    with pytest.raises(InvariantError, match="0 entries have flags but 1 are in use"):
        ring.dirty_ring.check()


def test_snapshot(ring):
    push(ring, 1, 2)
    assert ring.dirty_ring.snapshot() == {
        "dirty_index": 2,
        "reset_index": 0,
        "fetch_index": 0,
        "entries": ((1, 0, 1), (1, 0, 2)),
    }
