"""The host changes memory: which frames are told, under which locks, with how many flushes."""

import pytest

from kvmmu_edu.errors import InvariantError, KernelBug
from kvmmu_edu.sync.task import Checkpoint, Suspend
from kvmmu_edu.trace.events import (
    FlushRemoteTlbs,
    LockAcquired,
    LockReleased,
    NotifierAge,
    NotifierInvalidateEnd,
    NotifierInvalidateStart,
)
from kvmmu_edu.virt import mmu_notifier
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.virt.mmu_notifier import (
    MmuNotifierRange,
    handle_hva_range,
    init_mmu_notifier,
    mmu_notifier_unregister,
)
from tests.virt.bench import MIB, delete, ioctl, kinds, run

PAGE = 4096
HVA = 0x7F00_0000_0000


@pytest.fixture
def notifier(kvm):
    """Slots 0 (gfn 0x100) and 1 (gfn 0x200) show the same 1 MiB; slot 2 of SMM half of it."""
    ioctl(kvm, 0, MIB, MIB, hva=HVA)
    ioctl(kvm, 1, 2 * MIB, MIB, hva=HVA)
    ioctl(kvm, 0x10002, 4 * MIB, MIB // 2, hva=HVA)
    kvm.arch.calls.clear()
    return init_mmu_notifier(kvm)


def invalidate(kvm, notifier, start, end):
    async def work():
        await notifier.invalidate_range_start(start, end)
        await notifier.invalidate_range_end(start, end)

    run(kvm, work())


def test_it_is_registered_with_the_process(kvm, notifier):
    assert kvm.mm.notifiers == [notifier]
    run(kvm, mmu_notifier_unregister(kvm, notifier))
    assert kvm.mm.notifiers == []
    assert kvm.arch.calls == [("flush_all",)]
    assert kvm.srcu.callbacks == []


def test_all_aliases_in_all_address_spaces_are_unmapped(kvm, notifier):
    invalidate(kvm, notifier, HVA + 16 * PAGE, HVA + 18 * PAGE)
    assert sorted(kvm.arch.calls) == [
        ("unmap", 0, 0x110, 0x112),
        ("unmap", 1, 0x210, 0x212),
        ("unmap", 2, 0x410, 0x412),
    ]


def test_ranges_are_clipped_to_the_slot_and_rounded_outward(kvm, notifier):
    invalidate(kvm, notifier, HVA + 255 * PAGE + 1, HVA + 9 * MIB)
    assert kvm.arch.calls == [("unmap", 0, 0x1FF, 0x200), ("unmap", 1, 0x2FF, 0x300)]
    kvm.arch.calls.clear()
    invalidate(kvm, notifier, HVA - MIB, HVA + 1)
    assert min(kvm.arch.calls) == ("unmap", 0, 0x100, 0x101)


def test_one_flush_however_many_slots(kvm, notifier):
    invalidate(kvm, notifier, HVA, HVA + PAGE)
    assert len(kinds(kvm, FlushRemoteTlbs)) == 1


def test_the_flush_comes_before_mmu_lock_is_dropped(kvm, notifier):
    since = len(kvm.trace.events())
    run(kvm, notifier.invalidate_range_start(HVA, HVA + PAGE))
    told = [type(event) for event in kvm.trace.events()[since:]]
    assert told == [
        NotifierInvalidateStart,
        LockAcquired,  # mn_invalidate_lock
        LockReleased,
        LockAcquired,  # mmu_lock
        FlushRemoteTlbs,
        LockReleased,
    ]


def test_no_flush_when_nothing_was_mapped(kvm, notifier):
    kvm.arch.unmapped = False
    invalidate(kvm, notifier, HVA, HVA + PAGE)
    assert kinds(kvm, FlushRemoteTlbs) == []


def test_memory_that_no_slot_shows_costs_no_mmu_lock(kvm, notifier):
    invalidate(kvm, notifier, HVA + MIB, HVA + 2 * MIB)
    assert ("mmu_lock", "write") not in kvm.trace.counters.locks
    assert kvm.mmu_invalidate_seq.read_once() == 0
    mmu_notifier.check(kvm)


def test_start_and_end_bracket_the_change(kvm, notifier):
    run(kvm, notifier.invalidate_range_start(HVA, HVA + PAGE))
    assert mmu_notifier.snapshot(kvm) == {
        "mn_active_invalidate_count": 1,
        "mmu_invalidate_in_progress": 1,
        "mmu_invalidate_seq": 0,
        "mmu_invalidate_range_start": 0x100,
        "mmu_invalidate_range_end": 0x401,
    }
    with pytest.raises(InvariantError, match="mn_active_invalidate_count is 1"):
        mmu_notifier.check(kvm)
    run(kvm, notifier.invalidate_range_end(HVA, HVA + PAGE))
    mmu_notifier.check(kvm)
    assert kvm.mmu_invalidate_seq.read_once() == 1
    assert kinds(kvm, NotifierInvalidateStart) == [(HVA, HVA + PAGE)]
    assert kinds(kvm, NotifierInvalidateEnd) == [(HVA, HVA + PAGE)]


def test_check_counts_that_differ(kvm):
    kvm.mmu_invalidate_in_progress.write_once(1)
    with pytest.raises(InvariantError, match="mmu_invalidate_in_progress is 1 but mn_active"):
        mmu_notifier.check(kvm)


def test_an_end_without_start_is_a_bug(kvm):
    notifier = init_mmu_notifier(kvm)
    with pytest.raises(KernelBug, match="without start"):
        run(kvm, notifier.invalidate_range_end(HVA, HVA + PAGE))


def test_a_handler_that_fails_leaves_no_lock_behind(kvm, notifier):
    async def fail(_kvm, _gfn_range):
        raise KernelBug("no")

    kvm.arch.unmap_gfn_range = fail
    with pytest.raises(KernelBug):
        run(kvm, notifier.invalidate_range_start(HVA, HVA + PAGE))
    kvm.mmu_lock.check()
    kvm.srcu.check()


def test_an_empty_range_is_a_bug(kvm):
    with pytest.raises(KernelBug, match="empty range"):
        run(kvm, handle_hva_range(kvm, MmuNotifierRange(HVA, HVA)))


@pytest.mark.parametrize("young", [True, False])
@pytest.mark.parametrize(
    ("method", "flushes"), [("clear_flush_young", True), ("clear_young", False)]
)
def test_aging(kvm, notifier, method, flushes, young):
    kvm.arch.young = young
    assert run(kvm, getattr(notifier, method)(HVA, HVA + 2 * PAGE)) is young
    assert ("age", 0, 0x100, 0x102) in kvm.arch.calls
    assert len(kvm.arch.calls) == 3
    assert bool(kinds(kvm, FlushRemoteTlbs)) == (flushes and young)
    assert kinds(kvm, NotifierAge) == [(HVA, HVA + 2 * PAGE)]


@pytest.mark.parametrize("young", [True, False])
def test_asking_for_age_changes_nothing(kvm, notifier, young):
    kvm.arch.young = young
    assert run(kvm, notifier.test_young(HVA + 3 * PAGE + 5)) is young
    assert ("test", 1, 0x203, 0x204) in kvm.arch.calls
    assert kinds(kvm, FlushRemoteTlbs, NotifierAge) == []


def test_slots_cannot_change_between_start_and_end(kvm, notifier):
    seen = []

    async def host():
        await notifier.invalidate_range_start(HVA, HVA + PAGE)
        await Suspend((Checkpoint(()),))
        seen.append([slot.id for slot in memslots(kvm).slots_by_gfn()])
        await notifier.invalidate_range_end(HVA, HVA + PAGE)

    kvm.sched.step(kvm.sched.spawn("kswapd", host()))
    # the end meets slot 1 of the other alias, which is enough to bring the count down
    delete(kvm, 0)
    assert seen == [[0, 1]]
    mmu_notifier.check(kvm)
