"""Giving way: flush first, restart after, and only after progress."""

import pytest

from kvmmu_edu.sync.task import Scheduler
from kvmmu_edu.trace.events import FlushRemoteTlbs, LockAcquired, LockReleased
from kvmmu_edu.virt.arch import GfnRange
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86.tdp_zap import tdp_mmu_unmap_gfn_range
from tests.x86.conftest import GPA


@pytest.fixture
def hurried(machine, monkeypatch):
    """A machine whose walks are asked to give way at every span."""
    made = machine(nbytes=2 << 20, grain=1)
    for page in range(4):
        made.vcpu.write(GPA + page * 4096)
    monkeypatch.setattr(Scheduler, "need_resched", lambda _self: True)
    return made


def unmap(machine):
    slot = id_to_memslot(memslots(machine.kvm), 0)

    async def work():
        async with machine.kvm.mmu_lock.write:
            part = GfnRange(slot, 0x400, 0x600)
            return await tdp_mmu_unmap_gfn_range(machine.mmu, part, flush=False)

    start = len(machine.vm.trace.records)
    flush = machine.run(work())
    return flush, [record.event for record in machine.vm.trace.records[start:]]


def test_a_walk_that_gives_way_gets_to_its_end(hurried):
    unmap(hurried)
    assert hurried.pages() == (0, 0, 0)


def test_the_flush_comes_before_the_lock_is_dropped(hurried):
    _, events = unmap(hurried)
    told = [
        type(event)
        for event in events
        if isinstance(event, FlushRemoteTlbs)
        or (isinstance(event, LockAcquired | LockReleased) and event.lock == "mmu_lock")
    ]
    flushes = [i for i, kind in enumerate(told) if kind is FlushRemoteTlbs]
    assert flushes
    assert all(told[i + 1] is LockReleased for i in flushes)


def test_a_flush_that_was_done_is_not_owed_again(hurried):
    flush, events = unmap(hurried)
    zapped = 4
    done = sum(isinstance(event, FlushRemoteTlbs) for event in events)
    assert done + flush <= zapped
    assert done + flush >= 1
    for vcpu in hurried.kvm.vcpus:
        vcpu.requests.add("TLB_FLUSH")


@pytest.mark.parametrize(("scheme", "still_reading"), [("batched", True), ("per_table", False)])
def test_the_flush_comes_before_the_end_of_the_rcu_section_since_5_18(
    machine, monkeypatch, scheme, still_reading
):
    made = machine(nbytes=2 << 20, grain=1, flush_on_zap=scheme)
    for page in range(4):
        made.vcpu.write(GPA + page * 4096)
    monkeypatch.setattr(Scheduler, "need_resched", lambda _self: True)
    seen = []
    emit = made.vm.trace.emit

    def watched(kind, *values):
        if kind is FlushRemoteTlbs:
            seen.append(made.kvm.rcu.read_lock_held())
        emit(kind, *values)

    monkeypatch.setattr(made.vm.trace, "emit", watched)
    unmap(made)
    assert seen
    assert set(seen) == {still_reading}
    for vcpu in made.kvm.vcpus:
        vcpu.requests.add("TLB_FLUSH")
