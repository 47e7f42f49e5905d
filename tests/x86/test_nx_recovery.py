"""The recovery worker: when it runs, how much it takes, whom it spares, and when it flushes."""

import pytest

from kvmmu_edu import ModuleParams, Vm
from kvmmu_edu.sync.task import Scheduler
from kvmmu_edu.trace.events import (
    FlushRemoteTlbs,
    LockAcquired,
    MmuPageFreed,
    NxHugePageTracked,
    RcuCallbackQueued,
)
from kvmmu_edu.x86.nx_recovery import (
    calc_nx_huge_pages_recovery_period,
)
from tests.x86.conftest import GPA

MIB2 = 2 << 20


def params(ratio=60, period_ms=0, mode="force"):
    return ModuleParams(
        nx_huge_pages=mode,
        nx_huge_pages_recovery_ratio=ratio,
        nx_huge_pages_recovery_period_ms=period_ms,
    )


def split(made, npages):
    """Let the guest execute from *npages* huge pages."""
    for page in range(npages):
        made.vcpu.exec(GPA + page * MIB2)
    assert made.stats["nx_lpage_splits"] == npages


# --- the period ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "period_ms", "expected"),
    [
        (60, 0, 60_000),
        (1, 0, 3_600_000),
        (3600, 0, 1000),
        (100_000, 0, 1000),
        (7, 0, 514_285),
        (60, 250, 250),
        (0, 250, None),
    ],
)
def test_period(ratio, period_ms, expected):
    assert calc_nx_huge_pages_recovery_period(params(ratio, period_ms)) == expected


@pytest.mark.parametrize("mode", ["off", "auto", "never"])
def test_no_period_without_nx_huge_pages(mode):
    assert calc_nx_huge_pages_recovery_period(params(mode=mode)) is None


@pytest.mark.parametrize(("kernel", "rounds"), [("6.12", 1), ("6.1", 2)])
def test_periods_begin_at_the_first_run_or_when_the_vm_is_made(machine, kernel, rounds):
    made = machine("huge2m", kernel=kernel, params=params(4, 1000))
    made.vm.advance(1000)
    split(made, 4)
    # 6.1: at 1024 and 2048 ms; 6.12: first at 2048 ms, a period after the first run
    made.vm.advance(1100)
    assert made.stats["nx_lpage_splits"] == 4 - rounds


def test_a_shorter_period_wakes_the_worker_and_a_longer_one_does_not(machine):
    made = machine("huge2m", params=params(1, 3_600_000))
    split(made, 1)
    made.vm.advance(5000)
    made.vm.set_module_param("nx_huge_pages_recovery_period_ms", 4_000_000)
    assert made.stats["nx_lpage_splits"] == 1
    # the time that has passed counts: it is late already
    made.vm.set_module_param("nx_huge_pages_recovery_period_ms", 5000)
    assert made.stats["nx_lpage_splits"] == 0


def test_a_worker_that_was_off_is_woken_when_it_has_work(machine):
    made = machine("huge2m", params=params(0, 100))
    split(made, 1)
    made.vm.advance(10_000)
    assert made.stats["nx_lpage_splits"] == 1
    made.vm.set_module_param("nx_huge_pages_recovery_ratio", 1)
    assert made.stats["nx_lpage_splits"] == 0


def test_no_worker_where_nx_huge_pages_are_ruled_out(machine):
    made = machine(params=params(mode="never"))
    made.vcpu.read(GPA)
    assert made.kvm.sched.tasks == []


@pytest.mark.parametrize("kernel", ["6.12", "6.1"])
def test_the_worker_ends_with_the_vm(machine, kernel):
    made = machine(kernel=kernel)
    made.vcpu.read(GPA)
    (worker,) = made.kvm.sched.tasks
    assert worker.name == "kvm-nx-lpage-re"
    made.vm.destroy()
    assert worker.done
    assert made.kvm.sched.tasks == []


# --- how much -------------------------------------------------------------------------------------


def test_each_period_takes_its_share_from_the_head_rounded_up(machine):
    made = machine("huge2m", 32 << 20, hugepages2m=16, params=params(4, 1000))
    split(made, 16)
    listed = list(made.mmu.possible_nx_huge_pages)
    left = []
    for _ in range(6):
        made.vm.advance(1024)
        left.append(made.stats["nx_lpage_splits"])
        assert list(made.mmu.possible_nx_huge_pages) == listed[-left[-1] :]
    assert left == [12, 9, 6, 4, 3, 2]
    assert made.stats["remote_tlb_flush_requests"] == 6


def test_what_was_recovered_comes_back_as_a_huge_page(machine):
    made = machine("huge2m", params=params(1, 1000))
    made.vcpu.read(GPA)
    split(made, 1)
    assert made.pages() == (512, 0, 0)
    made.vm.advance(1024)
    assert made.pages() == (0, 0, 0)
    made.vcpu.read(GPA)
    assert made.pages() == (0, 1, 0)


def test_nothing_to_do_flushes_nothing(machine):
    made = machine("huge2m", params=params(1, 1000))
    made.vcpu.read(GPA)
    made.vm.advance(10_000)
    assert made.events(FlushRemoteTlbs) == []
    # mmu_lock is taken all the same; the first time was when the slot was made
    assert [e.mode for e in made.events(LockAcquired) if e.lock == "mmu_lock"].count("write") == 10


def test_a_minute_is_a_little_longer(machine):
    made = machine("huge2m", params=params(60))
    split(made, 2)
    made.vm.advance(61_439)
    assert made.stats["nx_lpage_splits"] == 2
    made.vm.advance(1)
    assert made.stats["nx_lpage_splits"] == 1


# --- dirty logging, and other ways to be off -----------------------------------------------------


@pytest.mark.parametrize(("kernel", "pages", "flushes"), [("6.12", 512, 0), ("6.1", 1, 1)])
def test_logged_pages_are_only_forgotten_in_6_12(machine, kernel, pages, flushes):
    made = machine("huge2m", kernel=kernel, params=params(1, 1000))
    made.vcpu.read(GPA)
    split(made, 1)
    before = made.pages()[0]
    made.flags(1)
    done = made.stats["remote_tlb_flush_requests"]
    made.vm.advance(1024)
    assert made.stats["nx_lpage_splits"] == 0
    assert made.stats["remote_tlb_flush_requests"] - done == flushes
    zapped = before - made.pages()[0]
    assert (before, zapped) == (pages, pages if flushes else 0)


def test_a_vm_can_do_without_the_rule():
    vm = Vm(params=params(1, 1000), hugepages2m=1)
    vm.enable_cap(220)
    hva = vm.host.mmap("A", "huge2m", MIB2)
    vm.set_user_memory_region(0, 0, GPA, MIB2, hva)
    vm.create_vcpu().exec(GPA)
    assert (vm.counters.vm["pages_2m"], vm.counters.vm["nx_lpage_splits"]) == (1, 0)


# --- when it flushes ----------------------------------------------------------------------------


class Impatient(Scheduler):
    """Wants every long walk to give way."""

    def need_resched(self):
        return True


def test_it_flushes_before_each_time_that_it_gives_way(machine):
    made = machine("huge2m", params=params(1, 1000), sched=Impatient())
    split(made, 3)
    made.vm.advance(1024)
    assert made.stats["nx_lpage_splits"] == 0
    # once each time, and nothing is left for the end
    assert made.stats["remote_tlb_flush_requests"] == 3
    after_split = [
        type(event)
        for event in made.vm.trace.events()
        if isinstance(event, RcuCallbackQueued | FlushRemoteTlbs | MmuPageFreed)
    ]
    assert after_split[:2] == [RcuCallbackQueued, FlushRemoteTlbs]


def test_tables_are_freed_only_after_the_flush(machine):
    made = machine("huge2m", params=params(1, 1000))
    split(made, 2)
    made.vm.advance(1024)
    story = [
        type(event)
        for event in made.vm.trace.events()
        if isinstance(event, RcuCallbackQueued | FlushRemoteTlbs | MmuPageFreed)
    ]
    assert story == [RcuCallbackQueued] * 2 + [FlushRemoteTlbs] + [MmuPageFreed] * 2


def test_tables_leave_the_list_when_they_go(machine):
    made = machine("huge2m", params=params(1, 1000))
    split(made, 1)
    made.vm.advance(1024)
    (joined, left) = made.events(NxHugePageTracked)
    assert (joined.table, joined.tracked, left.tracked) == (left.table, True, False)
    flagged = made.mmu.arena.nx_huge_page_disallowed
    assert not flagged[left.table]
    # the tables above it were made by the same fetch, but no huge page could take their place
    assert flagged.sum() == 2
