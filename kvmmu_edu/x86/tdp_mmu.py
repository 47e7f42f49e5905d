"""Mapping a page for a fault: walk down, make the tables that are missing, install the leaf.

Kernel: kvm_tdp_mmu_map(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.trace.events import (
    Cause,
    MarkMmioSpte,
    SetSpte,
    SpteRequested,
)
from kvmmu_edu.units import PAGES_PER_HPAGE
from kvmmu_edu.virt.gfn_tree import vcpu_memslots
from kvmmu_edu.virt.requests import flush_remote_tlbs_range
from kvmmu_edu.x86.make_spte import make_mmio_spte, make_spte
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.nx_huge_pages import track_possible_nx_huge_page
from kvmmu_edu.x86.page_fault import (
    PageFault,
    RetPf,
    disallowed_hugepage_adjust,
    mmu_hugepage_adjust,
    requested_pfn,
)
from kvmmu_edu.x86.spte import (
    ACC_ALL,
    is_frozen_spte,
    is_large_pte,
    is_mmio_spte,
    is_shadow_present_pte,
)
from kvmmu_edu.x86.spte_gate import tdp_mmu_set_spte_atomic, tdp_mmu_zap_spte_atomic
from kvmmu_edu.x86.tdp_iter import TdpIter, for_each_tdp_pte
from kvmmu_edu.x86.tdp_split import (
    tdp_mmu_free_sp,
    tdp_mmu_init_child_sp,
    tdp_mmu_link_sp,
    tdp_mmu_split_huge_page,
)

if TYPE_CHECKING:
    from kvmmu_edu.virt.vcpu import KvmVcpu

# reading a member of an Enum costs as much as a call, and each fault would do it
_MAP: Final = Cause.MAP


async def tdp_mmu_map(mmu: MmuState, vcpu: "KvmVcpu", fault: PageFault) -> int:
    """Install what *fault* asks for in the tree of the vCPU's root; return a RetPf.

    Any number of vCPUs may do this at once: each entry is set by compare and exchange, and
    who comes too late lets the guest try again.

    Locks: mmu_lock for reading; takes RCU.
    Kernel: kvm_tdp_mmu_map(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    kvm = mmu.kvm
    mmu_hugepage_adjust(mmu, fault)
    if kvm.trace.keeps_events:
        kvm.trace.emit(SpteRequested, fault.gfn, requested_pfn(fault), fault.goal_level)
    kvm.rcu.read_lock()
    ret = RetPf.RETRY
    frozen, nx = mmu.fmt.FROZEN_SPTE, fault.nx_huge_page_workaround_enabled
    # above the goal, entries that lead on need no look
    for it in for_each_tdp_pte(mmu, vcpu.arch.root, fault.gfn, fault.goal_level):
        if nx:
            disallowed_hugepage_adjust(mmu, fault, it.old_spte, it.level)
        if it.old_spte == frozen:
            break
        if it.level == fault.goal_level:
            ret = await tdp_mmu_map_handle_target_level(mmu, vcpu, fault, it)
            break
        if not it.child and not await _make_way(mmu, fault, it):
            break
    kvm.rcu.read_unlock()
    return ret


async def _make_way(mmu: MmuState, fault: PageFault, it: TdpIter) -> bool:
    """Put a table where there is nothing, or a huge page; false if another was quicker."""
    if mmu.kvm.choices.is_6_1:
        return await _make_way_6_1(mmu, fault, it)
    spte = it.old_spte
    sp = tdp_mmu_init_child_sp(mmu, it)
    # before the table can be reached: whoever removes it must see the flag
    mmu.arena.nx_huge_page_disallowed[sp] = fault.huge_page_disallowed
    if is_shadow_present_pte(spte) and is_large_pte(spte):
        linked = await tdp_mmu_split_huge_page(mmu, it, sp, shared=True)
    else:
        linked = await tdp_mmu_link_sp(mmu, it, sp, shared=True)
    if not linked:
        tdp_mmu_free_sp(mmu, sp)
        return False
    if fault.huge_page_disallowed and fault.req_level >= it.level:
        async with mmu.tdp_mmu_pages_lock:
            # another task may have removed the table already, and cleared the flag
            if mmu.arena.nx_huge_page_disallowed[sp]:
                track_possible_nx_huge_page(mmu, sp)
    return True


async def _make_way_6_1(mmu: MmuState, fault: PageFault, it: TdpIter) -> bool:
    """Do the same as 6.1 does.

    In v6.1: a huge page is not split here but zapped, with a flush, and an empty table takes
        its place: the rest of it has to be faulted in again.  A table is flagged only if nothing
        but the rule about NX huge pages stands in the way of a huge page.
    """
    spte = it.old_spte
    if is_shadow_present_pte(spte) and is_large_pte(spte):
        if not await tdp_mmu_zap_spte_atomic(mmu, it):
            return False
        it.refresh()
        if is_frozen_spte(it.old_spte, mmu.fmt):
            return False
    sp = tdp_mmu_init_child_sp(mmu, it)
    account_nx = fault.huge_page_disallowed and fault.req_level >= it.level
    if await tdp_mmu_link_sp(mmu, it, sp, shared=True, account_nx=account_nx):
        return True
    tdp_mmu_free_sp(mmu, sp)
    return False


async def tdp_mmu_map_handle_target_level(
    mmu: MmuState, vcpu: "KvmVcpu", fault: PageFault, it: TdpIter
) -> int:
    """Install the leaf; return a RetPf.

    Where a leaf takes the place of a table, CPUs may still have that table cached: flush.
    (Before Linux 5.18 the removal of the table had flushed already.)

    Locks: mmu_lock for reading; RCU read section.
    Kernel: tdp_mmu_map_handle_target_level(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    In v6.1: flushes the range of the whole table that the entry is in; the TLB flush is a full
        one all the same.
    """
    old, table, index = it.old_spte, it.table, it.index
    trace = mmu.kvm.trace
    if fault.slot is None:
        new = make_mmio_spte(mmu, vcpu_memslots(vcpu).generation.read_once(), it.gfn, ACC_ALL)
    else:
        new = make_spte(
            mmu,
            mmu.arena.roles[table],
            fault.slot,
            it.gfn,
            fault.pfn,
            old_spte=old,
            prefetch=fault.prefetch,
            host_writable=fault.map_writable,
        )
    ret = RetPf.FIXED
    if new == old:
        ret = RetPf.SPURIOUS
    else:
        await mmu.kvm.sched.checkpoint("spte", table, index)
        if not await tdp_mmu_set_spte_atomic(mmu, it, new, _MAP):
            return RetPf.RETRY
        if it.child and mmu.kvm.choices.flush_on_zap == "batched":
            _flush_replaced_table(mmu, it, table)
    if is_mmio_spte(new, mmu.fmt):
        generation = vcpu_memslots(vcpu).generation.read_once()
        trace.emit(MarkMmioSpte, vcpu.vcpu_id, table, index, it.gfn, ACC_ALL, generation)
        return RetPf.EMULATE
    if trace.keeps_events:
        trace.emit(SetSpte, it.gfn, new, it.level, table, index)
    return ret


def _flush_replaced_table(mmu: MmuState, it: TdpIter, table: int) -> None:
    caller = "tdp_mmu_map_handle_target_level"
    if mmu.kvm.choices.is_6_1:
        gfn = mmu.arena.gfns[table]
        flush_remote_tlbs_range(mmu.kvm, gfn, PAGES_PER_HPAGE[it.level + 1], caller)
    else:
        flush_remote_tlbs_range(mmu.kvm, it.gfn, PAGES_PER_HPAGE[it.level], caller)
