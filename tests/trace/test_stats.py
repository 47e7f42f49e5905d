import numpy as np
import pytest

from kvmmu_edu.trace import events as ev
from kvmmu_edu.trace.recorder import EventTrace
from kvmmu_edu.trace.stats import FOLDS, VCPU_STATS, VM_STATS, Counters, fold

RETRY, EMULATE, WRITE_PROTECTED, FIXED, SPURIOUS = 1, 2, 3, 5, 6


@pytest.fixture
def counters():
    made = Counters()
    made.vcpus = [dict.fromkeys(VCPU_STATS, 0) for _ in range(2)]
    return made


def spte_changed(level, leaves):
    return ev.SpteChanged(0, level, 0x400, 3, 5, 0, 1, ev.Cause.MAP, leaves)


def fast_page_fault(*, spurious, fixed):
    return ev.FastPageFault(0, 0x1000, 3, 4, 5, 1, 3, spurious, fixed)


def test_everything_starts_at_zero():
    counters = Counters()
    assert set(counters.vm) == set(VM_STATS)
    assert not any(counters.flat().values())


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        (spte_changed(1, 1), {"vm.pages_4k": 1}),
        (spte_changed(2, 1), {"vm.pages_2m": 1}),
        (spte_changed(3, -1), {"vm.pages_1g": -1}),
        (spte_changed(1, 512), {"vm.pages_4k": 512}),
        (spte_changed(2, 0), {}),
        (spte_changed(4, 0), {}),
        (ev.FrozenSpteHandled(0, 2, 0x400, 3, 5, 1, 0, -1), {"vm.pages_2m": -1}),
        (ev.PageStatsUpdated(1, 512), {"vm.pages_4k": 512}),
        (ev.NxHugePageTracked(9, True), {"vm.nx_lpage_splits": 1}),
        (ev.NxHugePageTracked(9, False), {"vm.nx_lpage_splits": -1}),
        (ev.LockAcquired("mmu_lock", "read"), {"lock.mmu_lock.read": 1}),
        (ev.LockReleased("mmu_lock", "read"), {}),
        (ev.PageFaultDone(1, 0x400, FIXED), {"v1.pf_taken": 1, "v1.pf_fixed": 1}),
        (ev.PageFaultDone(0, 0x400, SPURIOUS), {"v0.pf_taken": 1, "v0.pf_spurious": 1}),
        (ev.PageFaultDone(0, 0x400, EMULATE), {"v0.pf_taken": 1, "v0.pf_emulate": 1}),
        (ev.PageFaultDone(0, 0x400, WRITE_PROTECTED), {"v0.pf_taken": 1, "v0.pf_emulate": 1}),
        (ev.PageFaultDone(0, 0x400, RETRY), {"v0.pf_taken": 1}),
        (fast_page_fault(spurious=False, fixed=True), {"v0.pf_fast": 1}),
        (fast_page_fault(spurious=True, fixed=False), {"v0.pf_fast": 1}),
        (fast_page_fault(spurious=False, fixed=False), {}),
        (ev.MarkMmioSpte(1, 3, 5, 0x400, 7, 2), {"v1.pf_mmio_spte_created": 1}),
        (ev.MmioExit(1, 0x400000, 8, True), {"v1.mmio_exits": 1}),
        (
            ev.FlushRemoteTlbs("kvm_zap", 0, 0, 2),
            {"vm.remote_tlb_flush_requests": 1, "vm.remote_tlb_flush": 1},
        ),
        (ev.FlushRemoteTlbs("kvm_zap", 0, 0, 0), {"vm.remote_tlb_flush_requests": 1}),
        (ev.VcpuTlbFlush(1, "request", True), {"v1.tlb_flush": 1}),
        (ev.VcpuTlbFlush(1, "new root", False), {}),
        (ev.SynchronizeSrcu("kvm_swap_active_memslots"), {"count.synchronize_srcu": 1}),
        (ev.SwapActiveMemslots(0, 1, 3), {"count.swap_active_memslots": 1}),
        (ev.ReplaceMemslot(0, 1, 2, 3), {"count.replace_memslot": 1}),
        (ev.GetMmuPage(3, 0, 0, 2, 0, True), {"count.tables_allocated": 1}),
        (ev.GetMmuPage(3, 0, 0, 2, 0, False), {}),
        (ev.MmuPageFreed(3), {"count.tables_freed": 1}),
        (ev.MmuPageFreed(np.array([3, 4, 9], np.int64)), {"count.tables_freed": 3}),
        (ev.DirtyBitmapAllocated(1, 64), {"count.dirty_bitmap_bytes": 64}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, tuple) else "",
)
def test_how_an_event_counts(counters, event, changes):
    before = counters.flat()
    fold([event], counters)
    after = counters.flat()
    assert {
        n: after[n] - before.get(n, 0) for n in after if after[n] != before.get(n, 0)
    } == changes


def test_every_fold_is_of_a_kind_of_event():
    kinds = {kind for kind in vars(ev).values() if isinstance(kind, type)}
    assert set(FOLDS) <= kinds


def test_no_counter_moves_without_an_event_of_its_kind(counters):
    before = counters.flat()
    fold([ev.GuestEntered(0), ev.SlotFreed(3), ev.RootInvalidated(1)], counters)
    assert counters.flat() == before


def test_a_trace_counts_what_a_fold_over_its_events_counts(counters):
    trace = EventTrace()
    trace.counters.vcpus = [dict(stats) for stats in counters.vcpus]
    events = [
        spte_changed(1, 3),
        spte_changed(2, -1),
        ev.PageFaultDone(1, 0x400, FIXED),
        ev.LockAcquired("mmu_lock", "write"),
        ev.GuestLeft(0),
        ev.FlushRemoteTlbs("x", 0, 0, 1),
    ]
    for event in events:
        trace.emit(type(event), *event)
    assert trace.events() == events
    assert fold(trace.events(), counters).flat() == trace.counters.flat()
