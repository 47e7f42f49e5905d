"""The road of a page fault, from the CPU's exit to an installed page.

    mmu_page_fault       an MMIO SPTE?  Then emulate at once, if it is still valid
    tdp_page_fault       fast path; else look up the page and map it under mmu_lock
      fast_page_fault    no lock: give write access back where only the dirty log took it
      faultin_pfn        slot -> hva -> pfn; may sleep, may be overtaken by a notifier
      is_page_fault_stale   overtaken?  Then try again
      tdp_mmu_map        install; direct_map without the TDP MMU

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
"""

import errno
from typing import TYPE_CHECKING

from kvmmu_edu.errors import KvmError
from kvmmu_edu.host.gup import HostFault
from kvmmu_edu.trace.events import Cause, FastPageFault, PageFaultDone
from kvmmu_edu.units import PG_LEVEL_4K, Gpa
from kvmmu_edu.virt.dirty_log import mark_page_dirty_in_slot
from kvmmu_edu.virt.gfn_tree import vcpu_gfn_to_memslot, vcpu_memslots
from kvmmu_edu.virt.memory_slot import (
    MEM_READONLY,
    MEMSLOT_INVALID,
    slot_dirty_track_enabled,
)
from kvmmu_edu.virt.mmu_invalidate import (
    mmu_invalidate_retry_gfn,
    mmu_invalidate_retry_gfn_unsafe,
)
from kvmmu_edu.x86.direct_map import direct_map
from kvmmu_edu.x86.mmu_state import MmuState, mmu_of
from kvmmu_edu.x86.nx_huge_pages import is_nx_huge_page_enabled
from kvmmu_edu.x86.page_fault import PFERR_RSVD_MASK, PFN_NOSLOT, PageFault, RetPf
from kvmmu_edu.x86.shadow_page import is_obsolete_sp
from kvmmu_edu.x86.shadow_zap import make_mmu_pages_available
from kvmmu_edu.x86.spte import (
    MMIO_SPTE_GEN_MASK,
    PT_PRESENT_MASK,
    PT_WRITABLE_MASK,
    get_mmio_spte_generation,
    is_executable_pte,
    is_mmio_spte,
    is_mmu_writable_spte,
    is_shadow_present_leaf,
    is_writable_pte,
)
from kvmmu_edu.x86.spte_gate import change_quietly
from kvmmu_edu.x86.tdp_iter import TdpIter, for_each_tdp_pte
from kvmmu_edu.x86.tdp_mmu import tdp_mmu_map

if TYPE_CHECKING:
    from kvmmu_edu.virt.vcpu import KvmVcpu

_GEN_UPDATE_IN_PROGRESS = 1 << 63
_MAX_FAST_RETRIES = 4


async def mmu_page_fault(vcpu: "KvmVcpu", gpa: Gpa, error_code: int) -> int:
    """Handle a fault that made the CPU leave the guest; return a RetPf.

    :raises KvmError: EFAULT, the host has no page for the guest; ENOSPC, no shadow page may be
        made
    Kernel: kvm_mmu_page_fault(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if error_code & PFERR_RSVD_MASK:
        ret = handle_mmio_page_fault(vcpu, gpa)
        if ret != RetPf.INVALID:
            return ret
    try:
        ret, _ = await mmu_do_page_fault(vcpu, gpa, error_code, prefetch=False)
    except KvmError as error:
        result = -getattr(errno, error.name)
        vcpu.kvm.trace.emit(PageFaultDone, vcpu.vcpu_id, gpa >> 12, result)
        raise
    vcpu.kvm.trace.emit(PageFaultDone, vcpu.vcpu_id, gpa >> 12, ret)
    return ret


async def mmu_do_page_fault(
    vcpu: "KvmVcpu", gpa: Gpa, error_code: int, *, prefetch: bool
) -> tuple[int, int]:
    """Handle a fault, or a wish to map a page before it is touched.

    :returns: a RetPf, and the level that was mapped
    Kernel: kvm_mmu_do_page_fault(), arch/x86/kvm/mmu/mmu_internal.h (v6.12)
    """
    slot = vcpu_gfn_to_memslot(vcpu, gpa >> 12)
    nx = is_nx_huge_page_enabled(vcpu.kvm)
    fault = PageFault(gpa, error_code, slot, prefetch=prefetch, nx=nx)
    ret = await tdp_page_fault(vcpu, fault)
    return ret, fault.goal_level


async def tdp_page_fault(vcpu: "KvmVcpu", fault: PageFault) -> int:
    """Handle a fault of a guest whose physical addresses the CPU translates.

    Locks: takes mmu_lock for reading; without the TDP MMU, for writing.
    Kernel: kvm_tdp_page_fault(), arch/x86/kvm/mmu/mmu.c; kvm_tdp_mmu_page_fault(),
        arch/x86/kvm/mmu/mmu.c; direct_page_fault(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: direct_page_fault().
    """
    kvm = vcpu.kvm
    if page_fault_can_be_fast(fault):
        ret = await fast_page_fault(vcpu, fault)
        if ret != RetPf.INVALID:
            return ret
    ret = await faultin_pfn(vcpu, fault)
    if ret != RetPf.CONTINUE:
        return ret
    mmu = mmu_of(kvm)
    if mmu.tdp_mmu_enabled:
        async with kvm.mmu_lock.read:
            if is_page_fault_stale(mmu, vcpu, fault):
                return RetPf.RETRY
            return await tdp_mmu_map(mmu, vcpu, fault)
    async with kvm.mmu_lock.write:
        make_mmu_pages_available(mmu)
        if is_page_fault_stale(mmu, vcpu, fault):
            return RetPf.RETRY
        return await direct_map(mmu, vcpu, fault)


async def faultin_pfn(vcpu: "KvmVcpu", fault: PageFault) -> int:
    """Find the host page behind a fault; CONTINUE, or what to do instead.

    The sequence number is read first: if a notifier takes the page away later, the fault is
    found to be stale once mmu_lock is held.

    :raises KvmError: EFAULT, the host has no page here
    Kernel: kvm_faultin_pfn(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: does not look for a running invalidation before mmu_lock is held.
    Simplified: no private memory, no asynchronous faults, no poisoned pages.
    """
    kvm, slot, gfn = vcpu.kvm, fault.slot, fault.gfn
    await kvm.sched.checkpoint("mmu_invalidate_seq")
    mmu_seq = fault.mmu_seq = kvm.mmu_invalidate_seq.load_acquire()
    if slot is None:
        return _handle_noslot_fault(vcpu, fault)
    if slot.flags & MEMSLOT_INVALID:
        return RetPf.RETRY
    early = not kvm.choices.is_6_1
    if early and mmu_invalidate_retry_gfn_unsafe(kvm, mmu_seq, gfn):
        return RetPf.RETRY
    read_only = slot.flags & MEM_READONLY
    if read_only and fault.write:
        return RetPf.EMULATE
    hva = fault.hva = slot.userspace_addr + ((gfn - slot.base_gfn) << 12)
    page = kvm.mm.page_for(hva, write=fault.write)
    if page is None:
        try:
            page = await kvm.mm.fault_in(hva, write=fault.write)
        except HostFault as error:
            raise KvmError("EFAULT", f"gfn {gfn:#x}: {error}") from error
    fault.pfn, _, writable = page
    fault.map_writable = writable and not read_only
    if early and mmu_invalidate_retry_gfn_unsafe(kvm, mmu_seq, gfn):
        return RetPf.RETRY
    return RetPf.CONTINUE


def _handle_noslot_fault(vcpu: "KvmVcpu", fault: PageFault) -> int:
    """Remember that there is no memory; map an MMIO SPTE if those are in use.

    Kernel: kvm_handle_noslot_fault(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: handle_abnormal_pfn().
    """
    vcpu_cache_mmio_info(vcpu, fault.gfn)
    fault.pfn = PFN_NOSLOT
    fault.map_writable = False
    mmu = mmu_of(vcpu.kvm)
    if not vcpu.kvm.params.mmio_caching or fault.gfn > mmu.max_gfn:
        return RetPf.EMULATE
    return RetPf.CONTINUE


def is_page_fault_stale(mmu: MmuState, vcpu: "KvmVcpu", fault: PageFault) -> bool:
    """Return whether the fault was overtaken: by a new root, or by a notifier.

    Locks: mmu_lock.
    Kernel: is_page_fault_stale(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if is_obsolete_sp(mmu, vcpu.arch.root):
        return True
    return fault.slot is not None and mmu_invalidate_retry_gfn(vcpu.kvm, fault.mmu_seq, fault.gfn)


def page_fault_can_be_fast(fault: PageFault) -> bool:
    """Return whether a missing write permission may be all that is wrong.

    Kernel: page_fault_can_be_fast(), arch/x86/kvm/mmu/mmu.c (v6.12)
    Simplified: no access-tracked SPTEs; the modelled CPU has accessed bits.
    """
    return fault.present and fault.write and not fault.rsvd


async def fast_page_fault(vcpu: "KvmVcpu", fault: PageFault) -> int:
    """Handle a fault without mmu_lock, if a present page only lacks write access.

    :returns: FIXED, SPURIOUS, or INVALID if the slow path has to do it
    Locks: RCU read section.
    Kernel: fast_page_fault(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    kvm = vcpu.kvm
    mmu = mmu_of(kvm)
    ret = RetPf.INVALID
    kvm.rcu.read_lock()
    for _ in range(_MAX_FAST_RETRIES):
        it = _last_spte(mmu, vcpu.arch.root, fault)
        spte = it.old_spte
        if not is_shadow_present_leaf(spte, it.level):
            break
        if is_access_allowed(mmu, fault, spte):
            ret = RetPf.SPURIOUS
            break
        new = _with_write_access(mmu, fault, it, spte)
        if new == spte:
            break
        await kvm.sched.checkpoint("spte", it.table, it.index)
        if fast_pf_fix_direct_spte(mmu, fault, it, new):
            ret = RetPf.FIXED
            break
    now = mmu.arena.read(it.table, it.index)
    kvm.trace.emit(
        FastPageFault,
        vcpu.vcpu_id,
        fault.addr,
        fault.error_code,
        it.table,
        it.index,
        spte,
        now,
        ret == RetPf.SPURIOUS,
        ret == RetPf.FIXED,
    )
    kvm.rcu.read_unlock()
    return ret


def _last_spte(mmu: MmuState, root: int, fault: PageFault) -> TdpIter:
    """Return a walk that stands on the lowest entry for the faulting frame.

    Kernel: kvm_tdp_mmu_fast_pf_get_last_sptep(), arch/x86/kvm/mmu/tdp_mmu.c;
        fast_pf_get_last_sptep(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    for it in for_each_tdp_pte(mmu, root, fault.gfn, 1):
        last = it
    return last


def _with_write_access(mmu: MmuState, fault: PageFault, it: TdpIter, spte: int) -> int:
    """Return the entry with write access, or as it is if that takes the slow path.

    A huge page of a logged slot must be split first: the log counts small pages.
    """
    if not is_mmu_writable_spte(spte, mmu.fmt):
        return spte
    logged = fault.slot is not None and slot_dirty_track_enabled(fault.slot)
    if it.level > PG_LEVEL_4K and logged:
        return spte
    return spte | PT_WRITABLE_MASK


def fast_pf_fix_direct_spte(mmu: MmuState, fault: PageFault, it: TdpIter, new: int) -> bool:
    """Set the entry unless it changed meanwhile; mark the page dirty if it became writable.

    Kernel: fast_pf_fix_direct_spte(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    old, table, index = it.old_spte, it.table, it.index
    if mmu.arena.read(table, index) != old:
        return False
    change_quietly(mmu, it, old=old, new=new, cause=Cause.FAST_FAULT)
    if is_writable_pte(new) and not is_writable_pte(old):
        mark_page_dirty_in_slot(mmu.kvm, fault.slot, fault.gfn)
    return True


def is_access_allowed(mmu: MmuState, fault: PageFault, spte: int) -> bool:
    """Return whether the access would succeed with this entry.

    Kernel: is_access_allowed(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if fault.exec:
        return bool(is_executable_pte(spte, mmu.fmt))
    if fault.write:
        return bool(is_writable_pte(spte))
    return bool(spte & PT_PRESENT_MASK)


def handle_mmio_page_fault(vcpu: "KvmVcpu", gpa: Gpa) -> int:
    """Handle a fault on an MMIO SPTE.

    :returns: EMULATE if there is still no memory, INVALID if slots changed since the SPTE was
        made, RETRY if it is gone
    Kernel: handle_mmio_page_fault(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if vcpu_match_mmio_gpa(vcpu, gpa):
        return RetPf.EMULATE
    mmu = mmu_of(vcpu.kvm)
    spte = 0
    for it in for_each_tdp_pte(mmu, vcpu.arch.root, gpa >> 12, 1):
        spte = it.old_spte
    if not is_mmio_spte(spte, mmu.fmt):
        return RetPf.RETRY
    if not check_mmio_spte(vcpu, spte):
        return RetPf.INVALID
    vcpu_cache_mmio_info(vcpu, gpa >> 12)
    return RetPf.EMULATE


def check_mmio_spte(vcpu: "KvmVcpu", spte: int) -> bool:
    """Return whether an MMIO SPTE is as new as the memory slots.

    Kernel: check_mmio_spte(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    generation = vcpu_memslots(vcpu).generation.read_once()
    if generation & _GEN_UPDATE_IN_PROGRESS:
        return False
    return bool(get_mmio_spte_generation(spte) == generation & MMIO_SPTE_GEN_MASK)


def vcpu_cache_mmio_info(vcpu: "KvmVcpu", gfn: int) -> None:
    """Remember that the vCPU found no memory at *gfn*.

    Kernel: vcpu_cache_mmio_info(), arch/x86/kvm/x86.h (v6.12)
    """
    generation = vcpu_memslots(vcpu).generation.read_once()
    if not generation & _GEN_UPDATE_IN_PROGRESS:
        vcpu.arch.mmio_gfn, vcpu.arch.mmio_gen = gfn, generation


def vcpu_match_mmio_gpa(vcpu: "KvmVcpu", gpa: Gpa) -> bool:
    """Return whether the vCPU knows, of the present slots, that *gpa* has no memory.

    Kernel: vcpu_match_mmio_gpa(), arch/x86/kvm/x86.h (v6.12)
    """
    if vcpu.arch.mmio_gfn != gpa >> 12 or not vcpu.arch.mmio_gfn:
        return False
    return bool(vcpu.arch.mmio_gen == vcpu_memslots(vcpu).generation.read_once())
