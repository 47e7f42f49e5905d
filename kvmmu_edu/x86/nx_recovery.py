"""The recovery worker: small pages that only NX huge pages required become huge again.

A guest that executed from a huge page once may never do so again.  So a worker looks at the
list of tables that stand in for NX huge pages, and every period zaps a part of it, the oldest
first.  What is still used for execution is split again by the next fetch, and joins the list
at its end.

::

    period        what the parameter says, or so that everything had one turn in an hour:
                  3,600,000 ms / min(ratio, 3600)
    each period   ceil(length of the list / ratio) tables

Since the number is rounded up, a short list is gone after as many periods as it has members;
a long one shrinks by a constant share: of 6000 tables 2168 are left after 60 periods.

Kernel: kvm_recover_nx_huge_pages(), arch/x86/kvm/mmu/mmu.c (v6.12)
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.sync.clock import MAX_SCHEDULE_TIMEOUT
from kvmmu_edu.sync.task import Suspend, Task
from kvmmu_edu.sync.timer_wheel import msecs_to_jiffies
from kvmmu_edu.virt.gfn_tree import _gfn_to_memslot
from kvmmu_edu.virt.memory_slot import slot_dirty_track_enabled
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.virt.requests import flush_remote_tlbs
from kvmmu_edu.x86.mmu_page import role_as_id
from kvmmu_edu.x86.mmu_state import MmuState, mmu_of
from kvmmu_edu.x86.nx_huge_pages import (
    nx_huge_pages_on,
    nx_hugepage_mitigation_hard_disabled,
    unaccount_nx_huge_page,
)
from kvmmu_edu.x86.shadow_zap import (
    mmu_commit_zap_page,
    mmu_prepare_zap_page,
    mmu_remote_flush_or_zap,
)
from kvmmu_edu.x86.tdp_zap import tdp_mmu_zap_sp

if TYPE_CHECKING:
    from kvmmu_edu.choices import ModuleParams
    from kvmmu_edu.virt.kvm import Kvm

#: as the kernel cuts names off: kvm-nx-lpage-recovery
TASK_NAME: Final = "kvm-nx-lpage-re"
_AN_HOUR_MS: Final = 60 * 60 * 1000
_SECONDS_IN_AN_HOUR: Final = 3600


class Ended:
    """The request of a task that waits for the end of another.

    Ours: the kernel waits for a completion.
    """

    __slots__ = ("task",)

    def __init__(self, task: Task) -> None:
        """Wait for the end of *task*."""
        self.task = task

    def ready(self) -> bool:
        """Return whether it has ended."""
        return self.task.done

    def describe(self) -> str:
        """Return whose end is waited for."""
        return f"the end of {self.task.name}"


def calc_nx_huge_pages_recovery_period(params: "ModuleParams") -> int | None:
    """Return the period in milliseconds, or None if nothing is to be recovered.

    Kernel: calc_nx_huge_pages_recovery_period(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    ratio = params.nx_huge_pages_recovery_ratio
    if not nx_huge_pages_on(params) or not ratio:
        return None
    period = params.nx_huge_pages_recovery_period_ms
    return period or _AN_HOUR_MS // min(ratio, _SECONDS_IN_AN_HOUR)


async def recover_nx_huge_pages(mmu: MmuState) -> None:
    """Zap the tables whose turn it is, so that the next access maps a huge page.

    TLBs are flushed before the RCU section ends: after it the tables can be freed, and a vCPU
    in the guest, which is no RCU reader, may still walk them.

    Locks: takes srcu, mmu_lock for writing, RCU.
    Kernel: kvm_recover_nx_huge_pages(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: kvm_recover_nx_lpages(); it zaps pages of logged slots as well, which are then
        faulted in as small pages again.
    """
    kvm = mmu.kvm
    splits, flush = len(mmu.possible_nx_huge_pages), False
    invalid_list: list[int] = []
    kvm.srcu.read_lock()
    async with kvm.mmu_lock.write:
        kvm.rcu.read_lock()
        ratio = kvm.params.nx_huge_pages_recovery_ratio
        for _ in range(-(-splits // ratio) if ratio else 0):
            if not mmu.possible_nx_huge_pages:
                break
            sp = next(iter(mmu.possible_nx_huge_pages))
            if _is_logged(mmu, sp):
                unaccount_nx_huge_page(mmu, sp)
            elif sp in mmu.shadow.pages:
                mmu_prepare_zap_page(mmu, sp, invalid_list)
            else:
                flush |= await tdp_mmu_zap_sp(mmu, sp)
            if kvm.sched.need_resched():
                # freeing shadow pages flushes for all
                flush = flush and not invalid_list
                mmu_commit_zap_page(mmu, invalid_list)
                await _give_way(kvm, flush=flush)
                flush = False
        mmu_remote_flush_or_zap(mmu, invalid_list, remote_flush=flush)
        kvm.rcu.read_unlock()
    kvm.srcu.read_unlock()


def _is_logged(mmu: MmuState, sp: int) -> bool:
    """Return whether the page of a table is being logged: then it must stay small anyhow."""
    kvm = mmu.kvm
    if kvm.choices.is_6_1 or not kvm.nr_memslots_dirty_logging.read_once():
        return False
    slots = memslots(kvm, role_as_id(mmu.arena.roles[sp]))
    slot = _gfn_to_memslot(slots, mmu.arena.gfns[sp])
    return slot is not None and slot_dirty_track_enabled(slot)


async def _give_way(kvm: "Kvm", *, flush: bool) -> None:
    """Let others have mmu_lock; what has to be flushed is flushed before."""
    if flush:
        flush_remote_tlbs(kvm, "kvm_nx_huge_page_recovery_worker")
    kvm.rcu.read_unlock()
    await kvm.mmu_lock.write.__aexit__()
    await kvm.sched.checkpoint("mmu_lock")
    await kvm.mmu_lock.write.__aenter__()
    kvm.rcu.read_lock()


async def nx_huge_page_recovery_worker(kvm: "Kvm") -> None:
    """Recover, sleep for a period, and so on until the VM ends.

    Kernel: kvm_nx_huge_page_recovery_worker(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: kvm_nx_lpage_recovery_worker().
    """
    mmu = mmu_of(kvm)
    worker = mmu.nx_recovery
    while not worker.stopping:
        period = calc_nx_huge_pages_recovery_period(kvm.params)
        remaining = MAX_SCHEDULE_TIMEOUT
        if period is not None:
            remaining = worker.last + msecs_to_jiffies(period) - kvm.clock.jiffies
        if remaining > 0:
            worker.alarm = kvm.clock.timeout(remaining)
            await Suspend((worker.alarm,))
            continue
        await recover_nx_huge_pages(mmu)
        worker.last = kvm.clock.jiffies


def mmu_start_lpage_recovery(kvm: "Kvm") -> None:
    """Start the worker, unless there is one or NX huge pages are ruled out for good.

    Its first act is to go to sleep.

    Kernel: kvm_mmu_start_lpage_recovery(), arch/x86/kvm/mmu/mmu.c; kvm_mmu_post_init_vm(),
        arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: done when the VM is made, not at the first KVM_RUN, so that periods begin earlier.
    """
    worker = mmu_of(kvm).nx_recovery
    if worker.task is None and not nx_hugepage_mitigation_hard_disabled(kvm.params):
        worker.last = kvm.clock.jiffies
        task = kvm.sched.spawn(TASK_NAME, nx_huge_page_recovery_worker(kvm), daemon=True)
        worker.task = task
        kvm.sched.step(task)


def wake_nx_recovery_thread(kvm: "Kvm") -> None:
    """Let the worker look at the parameters again.

    Kernel: kvm_wake_nx_recovery_thread(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    alarm = mmu_of(kvm).nx_recovery.alarm
    if alarm is not None:
        alarm.wake()


async def mmu_pre_destroy_vm(kvm: "Kvm") -> None:
    """End the worker, and wait until it has ended.

    Kernel: kvm_mmu_pre_destroy_vm(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    worker = mmu_of(kvm).nx_recovery
    if worker.task is not None and not worker.task.done:
        worker.stopping = True
        wake_nx_recovery_thread(kvm)
        await Suspend((Ended(worker.task),))
