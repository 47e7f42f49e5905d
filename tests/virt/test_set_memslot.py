"""The four changes: the order of what they do, what they cost, and how they are undone."""

import pytest

from kvmmu_edu.errors import KvmError
from kvmmu_edu.trace.events import (
    ArchCommitMemoryRegion,
    ArchFlushShadowMemslot,
    ArchPrepareMemoryRegion,
    DirtyBitmapAllocated,
    ReplaceMemslot,
    SetMemslot,
    SwapActiveMemslots,
    SynchronizeSrcu,
)
from kvmmu_edu.virt import memslots as sets
from kvmmu_edu.virt.memory_slot import MEMSLOT_INVALID
from kvmmu_edu.virt.memslots import all_memslots, memslots
from tests.virt.bench import MIB, by_id, delete, errno_of, ioctl, kinds, make_kvm

STEPS = {
    SetMemslot: "set_memslot",
    ReplaceMemslot: "replace_slot",
    SwapActiveMemslots: "swap_slots",
    SynchronizeSrcu: "synchronize_srcu",
    ArchPrepareMemoryRegion: "arch_prepare_memory_region",
    ArchFlushShadowMemslot: "arch_flush_shadow_memslot",
    ArchCommitMemoryRegion: "arch_commit_memory_region",
}


def steps(kvm, since=0):
    """What a recording of a real kernel shows of a change; slots by letters as they appear."""
    names = {0: "0"}
    out = []
    for event in kinds(kvm, *STEPS)[since:]:
        text = STEPS[type(event)]
        if isinstance(event, (SetMemslot, ReplaceMemslot)):
            for serial in (event.old, event.new):
                names.setdefault(serial, "ABCDEF"[len(names) - 1])
                text += f" {names[serial]}"
        out.append(text)
    return out


def count(kvm):
    counts = kvm.trace.counters.counts
    return (
        counts["swap_active_memslots"],
        counts["synchronize_srcu"],
        memslots(kvm).generation.read_once(),
    )


@pytest.fixture
def slot(kvm):
    """A VM with slot 0 of 1 MiB at 4 MiB, and how many steps that took."""
    ioctl(kvm, 0, 4 * MIB, MIB)
    return kvm


def test_create(kvm):
    ioctl(kvm, 0, 4 * MIB, MIB)
    assert steps(kvm) == [
        "set_memslot 0 A",
        "arch_prepare_memory_region",
        "replace_slot 0 A",
        "swap_slots",
        "synchronize_srcu",
        "replace_slot 0 A",
        "arch_commit_memory_region",
    ]


def test_delete(slot):
    since = len(steps(slot))
    delete(slot, 0)
    assert steps(slot, since) == [
        "set_memslot A 0",
        "replace_slot A B",
        "swap_slots",
        "synchronize_srcu",
        "arch_flush_shadow_memslot",
        "arch_prepare_memory_region",
        "replace_slot A 0",
        "swap_slots",
        "synchronize_srcu",
        "replace_slot B 0",
        "arch_commit_memory_region",
    ]


def test_move(slot):
    since = len(steps(slot))
    ioctl(slot, 0, 8 * MIB, MIB)
    assert steps(slot, since) == [
        "set_memslot A B",
        "replace_slot A C",
        "swap_slots",
        "synchronize_srcu",
        "arch_flush_shadow_memslot",
        "arch_prepare_memory_region",
        "replace_slot A B",
        "swap_slots",
        "synchronize_srcu",
        "replace_slot C B",
        "arch_commit_memory_region",
    ]


def test_flags(slot):
    since = len(steps(slot))
    ioctl(slot, 0, 4 * MIB, MIB, 1)
    assert steps(slot, since) == [
        "set_memslot A B",
        "arch_prepare_memory_region",
        "replace_slot A B",
        "swap_slots",
        "synchronize_srcu",
        "replace_slot A B",
        "arch_commit_memory_region",
    ]


@pytest.mark.parametrize(
    ("change", "cost"),
    [
        (lambda kvm: ioctl(kvm, 1, 8 * MIB, MIB), (1, 1, 2)),
        (lambda kvm: ioctl(kvm, 0, 4 * MIB, MIB, 1), (1, 1, 2)),
        (lambda kvm: delete(kvm, 0), (2, 2, 4)),
        (lambda kvm: ioctl(kvm, 0, 8 * MIB, MIB), (2, 2, 4)),
        (lambda kvm: ioctl(kvm, 0, 4 * MIB, MIB), (0, 0, 0)),
    ],
    ids=["create", "flags", "delete", "move", "nothing"],
)
def test_swaps_waits_and_generation(slot, change, cost):
    before = count(slot)
    change(slot)
    assert tuple(b - a for a, b in zip(before, count(slot), strict=True)) == cost


@pytest.mark.parametrize("kernel", ["6.12", "6.1"])
def test_both_kernels_take_the_same_steps(kernel):
    kvm = make_kvm(kernel=kernel)
    ioctl(kvm, 0, 4 * MIB, MIB)
    ioctl(kvm, 0, 8 * MIB, MIB, 1)
    delete(kvm, 0)
    assert count(kvm) == (5, 5, 10)


# --- what readers find while a slot goes away ----------------------------------------------------


def test_mappings_are_removed_while_readers_find_the_copy(slot):
    found = []

    def look(kvm, given):
        active, inactive = memslots(kvm), sets.get_inactive_memslots(kvm, 0)
        found.append((given.flags, [s.flags for s in active.slots_by_gfn()]))
        assert inactive.slots_by_gfn() == [given]

    slot.arch.during_flush = look
    old = by_id(slot, 0)
    delete(slot, 0)
    # x86 is given the old slot; only readers meet the copy
    assert found == [(0, [MEMSLOT_INVALID])]
    assert ("flush", old.serial) in slot.arch.calls


def test_arrays_that_came_while_the_lock_was_free_are_not_lost(slot):
    def allocate(kvm, old):
        [copy] = memslots(kvm).slots_by_gfn()
        copy.arch.rmap.append("array")
        assert old.arch.rmap == []

    slot.arch.during_flush = allocate
    ioctl(slot, 0, 8 * MIB, MIB)
    assert by_id(slot, 0).arch.rmap == ["array"]


def test_slots_arch_lock_is_held_again_when_x86_prepares(slot):
    delete(slot, 0)  # the bench's prepare asserts it
    slot.slots_arch_lock.check()
    assert ("prepare", "DELETE") in slot.arch.calls


# --- counts and bitmaps --------------------------------------------------------------------------


def test_pages_are_counted(slot):
    ioctl(slot, 1, 8 * MIB, 2 * MIB)
    assert slot.nr_memslot_pages == 256 + 512
    ioctl(slot, 0, 16 * MIB, MIB)
    assert slot.nr_memslot_pages == 256 + 512
    delete(slot, 1)
    assert slot.nr_memslot_pages == 256


def test_logged_slots_are_counted(slot):
    ioctl(slot, 1, 8 * MIB, MIB, 1)
    ioctl(slot, 0, 4 * MIB, MIB, 1)
    assert slot.nr_memslots_dirty_logging.read_once() == 2
    ioctl(slot, 0, 12 * MIB, MIB, 1)
    assert slot.nr_memslots_dirty_logging.read_once() == 2
    ioctl(slot, 0, 12 * MIB, MIB, 0)
    delete(slot, 1)
    assert slot.nr_memslots_dirty_logging.read_once() == 0


def test_a_bitmap_is_made_when_logging_starts_and_kept_over_a_move(slot):
    assert by_id(slot, 0).dirty_bitmap is None
    ioctl(slot, 0, 4 * MIB, MIB, 1)
    bitmap = by_id(slot, 0).dirty_bitmap
    assert kinds(slot, DirtyBitmapAllocated) == [(by_id(slot, 0).serial, 2 * 32)]
    ioctl(slot, 0, 8 * MIB, MIB, 1)
    assert by_id(slot, 0).dirty_bitmap is bitmap
    ioctl(slot, 0, 8 * MIB, MIB, 0)
    assert by_id(slot, 0).dirty_bitmap is None


def test_a_bitmap_starts_full_in_initially_set_mode(slot):
    slot.manual_dirty_log_protect = 3
    ioctl(slot, 1, 8 * MIB, 65 * 4096, 1)
    assert by_id(slot, 1).dirty_bitmap.tolist() == [2**64 - 1, 1, 0, 0]


def test_no_bitmap_where_rings_are_used(slot):
    slot.dirty_ring_size = 65536
    ioctl(slot, 0, 4 * MIB, MIB, 1)
    assert by_id(slot, 0).dirty_bitmap is None
    assert slot.nr_memslots_dirty_logging.read_once() == 1


# --- failure -------------------------------------------------------------------------------------


def at_rest(kvm):
    """Everything that a failed change must leave as it was."""
    return [
        [sorted((s.serial, str(s.snapshot())) for s in pair.slots_by_gfn()) for pair in sets_of]
        for sets_of in all_memslots(kvm)
    ] + [kvm.nr_memslot_pages, kvm.nr_memslots_dirty_logging.read_once(), set(kvm.slots_by_serial)]


CHANGES = {
    "create": (lambda kvm: ioctl(kvm, 1, 8 * MIB, MIB, 1), 0),
    "flags": (lambda kvm: ioctl(kvm, 0, 4 * MIB, MIB, 1), 0),
    "delete": (lambda kvm: delete(kvm, 0), 2),
    "move": (lambda kvm: ioctl(kvm, 0, 8 * MIB, MIB), 2),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_failing_prepare_leaves_everything_as_it_was(slot, name):
    change, swaps = CHANGES[name]
    before, cost = at_rest(slot), count(slot)
    slot.arch.fail = "ENOMEM"
    assert errno_of(change, slot) == "ENOMEM"
    assert at_rest(slot) == before
    after = count(slot)
    assert after[0] - cost[0] == swaps
    assert after[2] - cost[2] == 2 * swaps
    sets.check(slot)
    slot.slots_arch_lock.check()
    slot.slots_lock.check()


def test_after_a_failed_move_the_slot_is_found_again(slot):
    old = by_id(slot, 0)
    slot.arch.fail = "ENOMEM"
    with pytest.raises(KvmError):
        ioctl(slot, 0, 8 * MIB, MIB)
    assert by_id(slot, 0) is old
    assert not old.flags & MEMSLOT_INVALID
    ioctl(slot, 0, 8 * MIB, MIB)
    assert by_id(slot, 0).base_gfn == 0x800


def test_a_failed_start_of_logging_frees_the_bitmap(slot):
    slot.arch.fail = "ENOMEM"
    assert errno_of(ioctl, slot, 0, 4 * MIB, MIB, 1) == "ENOMEM"
    assert by_id(slot, 0).dirty_bitmap is None


def test_a_failed_move_keeps_the_bitmap_that_both_would_have(slot):
    ioctl(slot, 0, 4 * MIB, MIB, 1)
    bitmap = by_id(slot, 0).dirty_bitmap
    slot.arch.fail = "ENOMEM"
    assert errno_of(ioctl, slot, 0, 8 * MIB, MIB, 1) == "ENOMEM"
    assert by_id(slot, 0).dirty_bitmap is bitmap
