"""Which events become steps, and what goes with them."""

import pytest

from kvmmu_edu.choices import Choices
from kvmmu_edu.errors import UsageError
from kvmmu_edu.trace import events as ev
from kvmmu_edu.trace.recorder import Record
from kvmmu_widgets import steps
from kvmmu_widgets.scene import Card, Scene
from kvmmu_widgets.steps import Story


class FakeView:
    """Draws one card whenever a root is invalidated; tells of TLB flushes."""

    GUARD = "mmu_lock"
    TOLD = frozenset((ev.FlushRemoteTlbs,))

    def __init__(self):
        self.scene = Scene()
        self.holds = True

    def step(self, event):
        if isinstance(event, ev.RootInvalidated):
            self.scene = Scene({"t1": Card("root")}, {}, ("t1",))
        elif self.scene.marks:
            self.scene = Scene(self.scene.cards)
        return self.scene

    def invariants(self, counters):
        return {"it holds": self.holds}


def records(*events, first=0):
    return [Record(n, "kvmtrace", event, ()) for n, event in enumerate(events, first)]


def story(*events, **more):
    return Story(FakeView(), records(*events), Choices(), **more)


ROOT = ev.RootInvalidated(1)
FLUSH = ev.FlushRemoteTlbs("f", 0, 0, 1)
LOCK = ev.LockAcquired("mmu_lock", "write")
UNLOCK = ev.LockReleased("mmu_lock", "write")


def kinds(found):
    return [type(step.record.event).__name__ for step in found.steps[1:]]


def test_what_changes_the_picture_or_matters_is_a_step():
    found = story(LOCK, ROOT, FLUSH, UNLOCK, ev.GuestEntered(0))
    assert kinds(found) == ["RootInvalidated", "FlushRemoteTlbs"]
    assert found.steps[0].line.text == "Nothing has happened yet."
    assert found.steps[2].scene.marks == ()


def test_operations_are_steps_and_enclose_steps():
    found = story(
        ev.OperationBegin(1, "mmap A"), ev.OperationEnd(1),
        ev.OperationBegin(2, "delete 0"), ROOT, ev.OperationEnd(2), FLUSH,
    )  # fmt: skip
    assert [(op.n, op.text, op.first, op.last) for op in found.operations] == [
        (1, "mmap A", 1, 1),
        (2, "delete 0", 2, 3),
    ]
    assert [step.op for step in found.steps] == [None, 0, 1, 1, None]


def test_locks_are_those_that_are_held_at_the_event():
    found = story(LOCK, ROOT, UNLOCK, FLUSH, LOCK, UNLOCK, ROOT)
    assert [step.locks for step in found.steps] == [
        {},
        {"mmu_lock": "write: kvmtrace"},
        {"mmu_lock": None},
        {},
    ]


def test_readers_share_a_lock():
    take, give = ev.LockAcquired("mmu_lock", "read"), ev.LockReleased("mmu_lock", "read")
    run = [
        Record(0, "vcpu0", take, ()),
        Record(1, "vcpu1", take, ()),
        Record(2, "vcpu1", ROOT, ()),
        Record(3, "vcpu0", give, ()),
        Record(4, "vcpu1", FLUSH, ()),
    ]
    found = Story(FakeView(), run, Choices())
    assert found.steps[1].locks == {"mmu_lock": "read: vcpu0, vcpu1"}
    assert found.steps[2].locks == {"mmu_lock": "read: vcpu1"}


def test_counters_belong_to_the_step_that_moved_them():
    found = story(LOCK, ROOT, FLUSH)
    assert found.steps[1].counters == {"lock.mmu_lock.write": (0, 1)}
    assert found.steps[2].counters == {
        "vm.remote_tlb_flush": (0, 1),
        "vm.remote_tlb_flush_requests": (0, 1),
    }


def test_statistics_of_what_was_linked_belong_to_the_link():
    found = story(ROOT, ev.PageStatsUpdated(1, 512), FLUSH)
    assert found.steps[1].counters == {"vm.pages_4k": (0, 512)}


def test_what_ends_an_operation_belongs_to_its_last_step():
    found = story(ev.OperationBegin(1, "x"), ROOT, LOCK, UNLOCK, ev.OperationEnd(1), FLUSH)
    assert "lock.mmu_lock.write" in found.steps[2].counters


def test_earlier_records_count_and_are_not_shown():
    before = records(LOCK, FLUSH)
    found = Story(FakeView(), records(FLUSH, first=2), Choices(), before)
    assert kinds(found) == ["FlushRemoteTlbs"]
    assert found.steps[1].counters["vm.remote_tlb_flush"] == (1, 2)
    assert found.steps[1].locks == {}


def test_ftrace_of_all_that_belongs_to_a_step():
    swap = ev.SwapActiveMemslots(0, 1, 1 << 63)
    found = story(ev.OperationBegin(1, "x"), swap, FLUSH)
    assert found.steps[1].ftrace == []
    assert found.steps[2].ftrace == [
        "swap_slots: (kvm_swap_active_memslots+0x0) as_id=0x0",
        "kvm_flush_remote_tlbs <-f",
    ]


def test_invariants_are_evaluated_where_the_lock_is_free():
    found = story(LOCK, ROOT, FLUSH, UNLOCK, ev.GuestEntered(0), FLUSH)
    assert [step.checks for step in found.steps] == [
        {"it holds": True},
        {},
        {"it holds": True},
        {"it holds": True},
    ]


def test_a_run_without_its_beginning_has_no_invariants():
    found = Story(FakeView(), records(ROOT, FLUSH, first=7), Choices())
    assert not any(step.checks for step in found.steps)


def test_checks_from_outside_are_added():
    found = story(ROOT, FLUSH, checks={1: {"no stale TLB": False}})
    assert found.steps[2].checks == {"no stale TLB": False, "it holds": True}


def test_too_many_steps_are_refused(monkeypatch):
    monkeypatch.setattr(steps, "MAX_STEPS", 3)
    with pytest.raises(UsageError, match="more than 3 steps"):
        story(*[ROOT] * 5)


def test_all_counters_of_a_real_run_are_accounted_for(dirty_log_vm):
    from kvmmu_widgets.views.page_table_scenes import PageTableScenes

    run = dirty_log_vm.trace.records
    events = [record.event for record in run]
    found = Story(PageTableScenes(events, Choices()), run, Choices())
    moved = {}
    for step in found.steps:
        for name, (before, after) in step.counters.items():
            assert moved.get(name, 0) == before
            moved[name] = after
    truth = {name: n for name, n in dirty_log_vm.counters.flat().items() if n}
    assert {name: n for name, n in moved.items() if n} == truth


def test_invariants_hold_in_a_real_run(dirty_log_vm, slots_vm):
    from kvmmu_widgets.views.memslot_scenes import MemslotScenes
    from kvmmu_widgets.views.page_table_scenes import PageTableScenes

    for vm, view in ((dirty_log_vm, PageTableScenes), (slots_vm, MemslotScenes)):
        run = vm.trace.records
        found = Story(view([record.event for record in run], Choices()), run, Choices())
        checks = [step.checks for step in found.steps if step.checks]
        assert len(checks) > 8
        assert all(all(names.values()) for names in checks)
