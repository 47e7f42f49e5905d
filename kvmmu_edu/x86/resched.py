"""Giving way in the middle of a walk, without leaving anything half done.

Kernel: tdp_mmu_iter_cond_resched(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
"""

from typing import TYPE_CHECKING

from kvmmu_edu.virt.requests import flush_remote_tlbs
from kvmmu_edu.x86.mmu_state import MmuState

if TYPE_CHECKING:
    from kvmmu_edu.x86.tdp_iter import TdpIter


async def tdp_mmu_iter_cond_resched(
    mmu: MmuState, it: "TdpIter", *, flush: bool, shared: bool
) -> bool:
    """Give way if another task needs mmu_lock or the CPU; return whether that was done.

    A pending flush comes first: once the RCU section ends, tables that a vCPU may still have
    cached can be freed.  (Before Linux 5.18 it came after; then each removed table had been
    flushed for already.)  After that the caller starts from the root again (``continue``).
    A walk that has not moved since it last gave way does not give way again.

    Locks: drops and takes mmu_lock and the RCU section.
    Kernel: tdp_mmu_iter_cond_resched(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    sched = mmu.kvm.sched
    await sched.checkpoint("spte", it.table, it.index)
    if it.next_last_level_gfn == it.yielded_gfn or not sched.need_resched():
        return False
    kvm = mmu.kvm
    batched = kvm.choices.flush_on_zap == "batched"
    if flush and batched:
        flush_remote_tlbs(kvm, "tdp_mmu_iter_cond_resched")
    kvm.rcu.read_unlock()
    if flush and not batched:
        flush_remote_tlbs(kvm, "tdp_mmu_iter_cond_resched")
    guard = kvm.mmu_lock.read if shared else kvm.mmu_lock.write
    await guard.__aexit__()
    await sched.checkpoint("mmu_lock")
    await guard.__aenter__()
    kvm.rcu.read_lock()
    it.yielded = True
    return True


async def cond_resched_rwlock_write(mmu: MmuState) -> bool:
    """Give way if another task needs mmu_lock or the CPU; return whether that was done.

    Locks: mmu_lock for writing, dropped and taken.
    Kernel: cond_resched_rwlock_write, include/linux/sched.h (v6.12)
    """
    kvm = mmu.kvm
    if not kvm.sched.need_resched():
        return False
    await kvm.mmu_lock.write.__aexit__()
    await kvm.sched.checkpoint("mmu_lock")
    await kvm.mmu_lock.write.__aenter__()
    return True
