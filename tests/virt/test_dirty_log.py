"""The dirty log ioctls: refusals, what is handed out, what is protected, and flushes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.trace.events import FlushRemoteTlbs, LockAcquired, LockReleased, PageMarkedDirty
from kvmmu_edu.virt import dirty_bitmap
from kvmmu_edu.virt.dirty_bitmap import bitmap_words, dirty_pages
from kvmmu_edu.virt.dirty_log import (
    mark_page_dirty_in_slot,
    vm_ioctl_clear_dirty_log,
    vm_ioctl_get_dirty_log,
)
from kvmmu_edu.virt.dirty_ring import DirtyRing
from kvmmu_edu.virt.vcpu import vcpu_load, vcpu_put
from tests.virt.bench import MIB, by_id, errno_of, ioctl, kinds, make_kvm, run

PAGE = 4096
ONES = np.full(8, 2**64 - 1, np.uint64)


@pytest.fixture
def logged(kvm):
    """Slot 0 of 200 pages at gfn 0x100 is logged, slot 1 is not."""
    ioctl(kvm, 0, MIB, 200 * PAGE, 1)
    ioctl(kvm, 1, 4 * MIB, MIB)
    kvm.arch.calls.clear()
    return kvm


def get(kvm, slot=0):
    return dirty_pages(run(kvm, vm_ioctl_get_dirty_log(kvm, slot))).tolist()


def clear(kvm, first, count, words=ONES, slot=0):
    run(kvm, vm_ioctl_clear_dirty_log(kvm, slot, first, count, words))


def mark(kvm, *pages, slot=0):
    target = by_id(kvm, slot)
    for page in pages:
        mark_page_dirty_in_slot(kvm, target, target.base_gfn + page)


def held(kvm, slot=0):
    return dirty_pages(bitmap_words(by_id(kvm, slot))).tolist()


def masked(kvm):
    return [call[2:] for call in kvm.arch.calls if call[0] == "masked"]


# --- marking -------------------------------------------------------------------------------------


def test_marking_sets_the_bit_of_the_page(logged):
    mark(logged, 0, 63, 64, 199, 64)
    assert held(logged) == [0, 63, 64, 199]
    assert len(kinds(logged, PageMarkedDirty)) == 5
    assert kinds(logged, PageMarkedDirty)[1] == (by_id(logged, 0).serial, 0x100 + 63)


def test_marking_where_nothing_is_logged(logged):
    mark(logged, 0, slot=1)
    mark_page_dirty_in_slot(logged, None, 5)
    assert kinds(logged, PageMarkedDirty) == []


def test_marking_goes_to_the_ring_of_the_vcpu_that_runs(kvm, vcpu):
    kvm.dirty_ring_size = 4096
    vcpu.dirty_ring = DirtyRing(4096)
    ioctl(kvm, 0x10003, MIB, 200 * PAGE, 1)
    mark(kvm, 7, slot=0x10003)  # nobody runs: there is no ring to go to
    assert kinds(kvm, PageMarkedDirty) == []
    vcpu_load(vcpu)
    mark(kvm, 7, slot=0x10003)
    vcpu_put(vcpu)
    assert vcpu.dirty_ring.collect() == [(0x10003, 7)]


# --- get -----------------------------------------------------------------------------------------


def test_get_hands_out_clears_and_protects_word_by_word(logged):
    mark(logged, 1, 3, 130)
    assert get(logged) == [1, 3, 130]
    assert held(logged) == []
    assert masked(logged) == [(0, 0b1010), (128, 0b100)]
    assert get(logged) == []


def test_get_flushes_once_and_after_mmu_lock_was_dropped(logged):
    mark(logged, 1, 130)
    since = len(logged.trace.events())
    get(logged)
    told = [event[0] for event in logged.trace.events()[since:]]
    assert told == [
        "slots_lock",
        "mmu_lock",
        "mmu_lock",
        "kvm_get_dirty_log_protect",
        "slots_lock",
    ]
    assert kinds(logged, FlushRemoteTlbs) == [("kvm_get_dirty_log_protect", 0x100, 200, 0)]


def test_get_of_nothing_takes_the_lock_but_does_not_flush(logged):
    assert get(logged) == []
    assert logged.trace.counters.locks["mmu_lock", "write"] == 1
    assert kinds(logged, FlushRemoteTlbs) == []


def test_get_is_a_copy(logged):
    mark(logged, 5)
    words = run(logged, vm_ioctl_get_dirty_log(logged, 0))
    get(logged)
    assert dirty_pages(words).tolist() == [5]
    assert words.dtype == np.uint64
    assert words.shape == (4,)


def test_a_page_written_while_the_log_is_taken_is_in_this_one_or_the_next(logged):
    mark(logged, 1, 130)
    protect = logged.arch.mmu_enable_log_dirty_pt_masked

    async def written_meanwhile(kvm, slot, offset, mask):
        await protect(kvm, slot, offset, mask)
        if offset == 0:
            mark(kvm, 2, 131)

    logged.arch.mmu_enable_log_dirty_pt_masked = written_meanwhile
    first = get(logged)
    logged.arch.mmu_enable_log_dirty_pt_masked = protect
    # word 0 was taken already, word 2 not yet
    assert first == [1, 130, 131]
    assert get(logged) == [2]


def test_get_asks_the_cpus_for_what_they_logged_themselves(logged):
    async def pml(kvm, slot):
        mark(kvm, 9)

    logged.arch.sync_dirty_log = pml
    assert get(logged) == [9]


@pytest.mark.parametrize("manual", [1, 3])
def test_manual_get_only_copies(kvm, manual):
    kvm.manual_dirty_log_protect = manual
    ioctl(kvm, 0, MIB, 200 * PAGE, 1)
    bitmap_words(by_id(kvm, 0))[:] = 0
    mark(kvm, 1, 130)
    assert get(kvm) == [1, 130]
    assert get(kvm) == [1, 130]
    assert masked(kvm) == []
    assert kinds(kvm, FlushRemoteTlbs) == []
    assert ("mmu_lock", "write") not in kvm.trace.counters.locks


@pytest.mark.parametrize(
    ("slot", "name"),
    [(9, "ENOENT"), (1, "ENOENT"), (32764, "EINVAL"), (0x20000, "EINVAL"), (0x10000, "ENOENT")],
)
def test_get_refusals(logged, slot, name):
    assert errno_of(get, logged, slot) == name


def test_refusals_say_why(logged):
    with pytest.raises(KvmError, match="ENOENT: there is no slot 9 in address space 0"):
        get(logged, 9)
    with pytest.raises(KvmError, match=r"ENOENT: slot 1 .* has no dirty bitmap"):
        get(logged, 1)


def test_with_rings_there_is_no_log(logged):
    logged.dirty_ring_size = 4096
    assert errno_of(get, logged) == "ENXIO"
    assert errno_of(clear, logged, 1, 64) == "ENXIO"


# --- clear ---------------------------------------------------------------------------------------


def test_clear_clears_what_is_asked_for_and_set(logged):
    logged.manual_dirty_log_protect = 1
    mark(logged, 1, 2, 70, 130)
    clear(logged, 0, 128, np.array([0b110_0010, 0], np.uint64))
    assert held(logged) == [2, 70, 130]
    assert masked(logged) == [(0, 0b10)]
    assert kinds(logged, FlushRemoteTlbs) == [("kvm_clear_dirty_log_protect", 0x100, 200, 0)]


def test_clear_from_the_middle_to_the_end(logged):
    mark(logged, 1, 128, 199)
    clear(logged, 128, 72)
    assert held(logged) == [1]
    assert masked(logged) == [(128, 1), (192, 1 << 7)]


def test_clear_of_what_is_clean_does_not_flush(logged):
    mark(logged, 1)
    clear(logged, 64, 64)
    assert masked(logged) == []
    assert kinds(logged, FlushRemoteTlbs) == []


def test_clear_of_nothing(logged):
    mark(logged, 1)
    clear(logged, 64, 0)
    assert held(logged) == [1]


def test_bits_behind_the_end_of_the_slot_do_no_harm(logged):
    mark(logged, 199)
    clear(logged, 192, 8)
    assert held(logged) == []
    dirty_bitmap.check(by_id(logged, 0))


@pytest.mark.parametrize(
    ("first", "count", "slot", "name"),
    [
        (1, 64, 0, "EINVAL"),
        (64, 63, 0, "EINVAL"),
        (0, 201, 0, "EINVAL"),
        (256, 0, 0, "EINVAL"),
        (192, 9, 0, "EINVAL"),
        (-64, 64, 0, "EINVAL"),
        (0, -64, 0, "EINVAL"),
        (0, 64, 9, "ENOENT"),
        (0, 64, 1, "ENOENT"),
        (0, 64, 32764, "EINVAL"),
        (0, 64, 0x20000, "EINVAL"),
        # the kernel looks at first_page before it looks for the slot, at the rest after it
        (1, 64, 9, "EINVAL"),
        (0, 999, 9, "ENOENT"),
    ],
)
def test_clear_refusals(logged, first, count, slot, name):
    assert errno_of(clear, logged, first, count, slot=slot) == name


@pytest.mark.parametrize(("first", "count"), [(0, 200), (0, 128), (192, 8), (128, 64)])
def test_clear_accepts(logged, first, count):
    clear(logged, first, count)


def test_a_bitmap_that_is_too_short_is_the_users_mistake(logged):
    with pytest.raises(UsageError, match="bitmap has 1 words, expected 2 for 128 pages"):
        clear(logged, 0, 128, np.zeros(1, np.uint64))


@given(
    st.sets(st.integers(0, 199)),
    st.sets(st.integers(0, 199)),
    st.sampled_from([(0, 200), (0, 64), (64, 128), (128, 72)]),
)
def test_clear_against_sets(dirty, asked, pages):
    kvm = make_kvm()
    ioctl(kvm, 0, MIB, 200 * PAGE, 1)
    mark(kvm, *dirty)
    first, count = pages
    words = np.zeros(4, np.uint64)
    for page in asked:
        words[page // 64] |= np.uint64(1 << page % 64)
    clear(kvm, first, count, words)
    cleared = {first + p for p in asked if first + p < first + count} & dirty
    assert set(held(kvm)) == dirty - cleared
    protected = {
        offset + bit for offset, mask in masked(kvm) for bit in range(64) if mask >> bit & 1
    }
    assert protected == cleared
    assert bool(kinds(kvm, FlushRemoteTlbs)) == bool(cleared)


def test_the_ioctls_take_slots_lock(logged):
    mark(logged, 1)
    before = logged.trace.counters.locks["slots_lock", "lock"]
    get(logged)
    clear(logged, 0, 64)
    assert logged.trace.counters.locks["slots_lock", "lock"] == before + 2
    taken = [e.lock for e in kinds(logged, LockAcquired)]
    given_back = [e.lock for e in kinds(logged, LockReleased)]
    assert sorted(taken) == sorted(given_back)
