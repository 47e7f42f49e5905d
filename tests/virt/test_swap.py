"""The swap: its steps in order, what it waits for, and what it lets go."""

import pytest

from kvmmu_edu.errors import Deadlock, InvariantError
from kvmmu_edu.sync.rcu import Rcu
from kvmmu_edu.sync.task import READY, Checkpoint, Scheduler, Suspend
from kvmmu_edu.trace.events import (
    GenerationChanged,
    LockAcquired,
    LockReleased,
    ReplaceMemslot,
    SwapActiveMemslots,
    SynchronizeSrcu,
)
from kvmmu_edu.virt.memslots import MEMSLOT_GEN_UPDATE_IN_PROGRESS, memslots
from kvmmu_edu.virt.set_memory_region import UserspaceMemoryRegion, set_memory_region
from kvmmu_edu.virt.swap import InvalidationsOver, swap_active_memslots
from tests.virt.bench import MIB, by_id, delete, ioctl, kinds, make_kvm, run

BIT = MEMSLOT_GEN_UPDATE_IN_PROGRESS


async def swap(kvm, as_id=0):
    await kvm.slots_arch_lock.lock()
    await swap_active_memslots(kvm, as_id)


def test_steps_in_order(kvm):
    run(kvm, swap(kvm))
    assert kvm.trace.events() == [
        LockAcquired("slots_arch_lock", "lock"),
        SwapActiveMemslots(0, 1, BIT),
        LockAcquired("mn_invalidate_lock", "lock"),
        LockReleased("mn_invalidate_lock", "lock"),
        # before the wait: who is waited for may want it
        LockReleased("slots_arch_lock", "lock"),
        SynchronizeSrcu("kvm_swap_active_memslots"),
        GenerationChanged(0, 1, 2),
    ]
    assert kvm.arch.calls == [("updated", 2)]
    assert memslots(kvm).node_idx == 1


def test_x86_learns_the_generation_before_it_is_stored(kvm):
    seen = []

    async def updated(kvm, generation):
        seen.append((generation, memslots(kvm).generation.read_once()))

    kvm.arch.memslots_updated = updated
    run(kvm, swap(kvm))
    assert seen == [(2, BIT)]


def test_each_address_space_counts_for_itself(kvm):
    for _ in range(3):
        run(kvm, swap(kvm, 1))
    run(kvm, swap(kvm, 0))
    assert [memslots(kvm, i).generation.read_once() for i in (0, 1)] == [2, 7]


def test_a_swap_within_a_swap_is_noticed(kvm):
    memslots(kvm).generation.write_once(BIT)
    with pytest.raises(InvariantError, match="update is in progress"):
        run(kvm, swap(kvm))


# --- waiting -------------------------------------------------------------------------------------


async def reader(kvm, seen):
    """A vCPU that looks a slot up twice inside one read-side section."""
    kvm.srcu.read_lock()
    slots = memslots(kvm)
    seen.append([slot.id for slot in slots.slots_by_gfn()])
    await Suspend((Checkpoint(()),))
    seen.append([slot.id for slot in slots.slots_by_gfn()])
    kvm.srcu.read_unlock()


def test_the_set_of_a_reader_does_not_change_under_it(kvm):
    ioctl(kvm, 0, 0, MIB)
    seen = []
    task = kvm.sched.spawn("vcpu0", reader(kvm, seen))
    kvm.sched.step(task)
    delete(kvm, 0)
    assert seen == [[0], [0]]
    assert task.done
    assert memslots(kvm).slots_by_gfn() == []


def test_without_the_wait_the_set_changes_under_a_reader(kvm, monkeypatch):
    ioctl(kvm, 0, 0, MIB)
    seen = []
    kvm.sched.step(kvm.sched.spawn("vcpu0", reader(kvm, seen)))
    monkeypatch.setattr(Rcu, "synchronize", lambda _self: READY)
    delete(kvm, 0)
    kvm.sched.run_all()
    assert seen == [[0], []]


async def rmap_allocator(kvm, seen):
    """A vCPU that wants slots_arch_lock inside its read-side section."""
    kvm.srcu.read_lock()
    await Suspend((Checkpoint(()),))
    async with kvm.slots_arch_lock:
        slot = memslots(kvm).slots_by_gfn()[0]
        seen.append(slot.flags)
        slot.arch.rmap.append("array")
    kvm.srcu.read_unlock()


def test_a_reader_that_wants_slots_arch_lock_does_not_block_the_swap(kvm):
    ioctl(kvm, 0, 0, MIB)
    seen = []
    kvm.sched.step(kvm.sched.spawn("vcpu0", rmap_allocator(kvm, seen)))
    ioctl(kvm, 0, 0, MIB, 1)
    assert seen == [1]


def test_holding_slots_arch_lock_over_the_wait_is_a_deadlock(kvm):
    ioctl(kvm, 0, 0, MIB)
    kvm.sched.step(kvm.sched.spawn("vcpu0", rmap_allocator(kvm, [])))

    async def forgetful():
        await kvm.slots_arch_lock.lock()
        await kvm.srcu.synchronize()

    with pytest.raises(Deadlock, match=r"grace period of kvm->srcu.*vcpu0 waits for slots_arch"):
        run(kvm, forgetful())


def test_the_swap_waits_for_the_end_of_notifier_calls(kvm):
    seen = []

    async def host(kvm):
        async with kvm.mn_invalidate_lock:
            kvm.mn_active_invalidate_count += 1
        await Suspend((Checkpoint(()),))
        seen.append(memslots(kvm).node_idx)
        async with kvm.mn_invalidate_lock:
            kvm.mn_active_invalidate_count -= 1

    kvm.sched.step(kvm.sched.spawn("kswapd", host(kvm)))
    run(kvm, swap(kvm))
    assert seen == [0]
    assert memslots(kvm).node_idx == 1


def test_what_is_waited_for_in_words(kvm):
    kvm.mn_active_invalidate_count = 2
    request = InvalidationsOver(kvm)
    assert not request.ready()
    assert request.describe() == "2 invalidations by MMU notifiers to end"
    with pytest.raises(Deadlock, match="kvmtrace waits for 2 invalidations"):
        run(kvm, swap(kvm))


# --- interleavings -------------------------------------------------------------------------------


class EveryStep(Scheduler):
    """Suspends wherever it can, as an exploring driver does."""

    free_running = False

    def checkpoint(self, *touches):
        return Suspend((Checkpoint(touches),))


def test_a_lookup_at_any_moment_finds_the_old_slot_or_the_copy_or_the_new_one():
    kvm = make_kvm(sched=EveryStep())
    ioctl(kvm, 0, 0, MIB)
    seen = []

    async def onlooker():
        while True:
            kvm.srcu.read_lock()
            slots = memslots(kvm)
            [slot] = slots.slots_by_gfn()
            what = (slots.generation.read_once(), slot.base_gfn, slot.flags)
            if what not in seen:
                seen.append(what)
            kvm.srcu.read_unlock()
            await Suspend((Checkpoint(()),))

    region = UserspaceMemoryRegion(0, 0, MIB, MIB, by_id(kvm, 0).userspace_addr)
    watcher = kvm.sched.spawn("vcpu0", onlooker())
    task = kvm.sched.spawn("kvmtrace", set_memory_region(kvm, region))
    while not task.done:
        kvm.sched.step(watcher)
        kvm.sched.step(task)
    kvm.sched.step(watcher)
    invalid = 1 << 16
    assert seen == [
        (2, 0, 0),
        (2 | BIT, 0, invalid),
        (4, 0, invalid),
        (4 | BIT, 0x100, 0),
        (6, 0x100, 0),
    ]


def test_the_set_that_readers_see_is_never_the_one_that_changes(kvm):
    ioctl(kvm, 0, 0, MIB)
    ioctl(kvm, 0, 4 * MIB, MIB)
    delete(kvm, 0)
    active = 0
    for event in kinds(kvm, SwapActiveMemslots, ReplaceMemslot):
        if isinstance(event, SwapActiveMemslots):
            active = event.node_idx
        else:
            assert event.node_idx != active
