"""KVM_RUN: enter the guest, leave it at a fault, handle the fault, enter again.

Kernel: vcpu_run(), arch/x86/kvm/x86.c; vcpu_enter_guest(), arch/x86/kvm/x86.c (v6.12)
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KvmError
from kvmmu_edu.trace.events import GuestEntered, GuestLeft, PageFaultTaken, VcpuTlbFlush
from kvmmu_edu.units import PAGE_SIZE, PAGES_PER_HPAGE, Gpa
from kvmmu_edu.virt.dirty_ring import dirty_ring_check_request
from kvmmu_edu.virt.requests import check_request
from kvmmu_edu.virt.vcpu import (
    IN_GUEST_MODE,
    OUTSIDE_GUEST_MODE,
    REQ_TLB_FLUSH,
    REQ_TLB_FLUSH_GUEST,
    vcpu_load,
    vcpu_put,
)
from kvmmu_edu.x86.emulate import retry_instruction, x86_emulate_instruction
from kvmmu_edu.x86.fault import mmu_do_page_fault, mmu_page_fault
from kvmmu_edu.x86.guest import Exit, Instruction
from kvmmu_edu.x86.mmu import mmu_reload
from kvmmu_edu.x86.nx_recovery import mmu_start_lpage_recovery
from kvmmu_edu.x86.page_fault import PFERR_GUEST_FINAL_MASK, RetPf

if TYPE_CHECKING:
    from kvmmu_edu.virt.vcpu import KvmVcpu

#: KVM_EXIT_DIRTY_RING_FULL, include/uapi/linux/kvm.h
EXIT_DIRTY_RING_FULL: Final = 31

#: a program that faults this often at one instruction will never get past it
_MAX_FAULTS = 1000


async def vcpu_run(vcpu: "KvmVcpu", instructions: Iterable[Instruction], exits: list[Exit]) -> None:
    """Run *instructions* in the guest; append what user space sees to *exits*.

    An SRCU section protects the memory slots that faults look up; in guest mode there is none,
    so a guest that runs keeps nobody from changing slots.

    :raises KvmError: EFAULT, the host has no page for the guest
    Kernel: vcpu_run(), arch/x86/kvm/x86.c; kvm_arch_vcpu_ioctl_run(), arch/x86/kvm/x86.c (v6.12)
    """
    kvm = vcpu.kvm
    mmu_start_lpage_recovery(kvm)
    vcpu_load(vcpu)
    kvm.srcu.read_lock()
    try:
        for instruction in instructions:
            seen = len(exits)
            if not await _run_instruction(vcpu, instruction, exits):
                break
            if len(exits) > seen:
                await _visit_user_space(vcpu)
    finally:
        leave_guest(vcpu)
        kvm.srcu.read_unlock()
        vcpu_put(vcpu)


async def _visit_user_space(vcpu: "KvmVcpu") -> None:
    """Let KVM_RUN return for an MMIO exit, and user space call it again."""
    vcpu.kvm.srcu.read_unlock()
    await vcpu.kvm.sched.checkpoint("user space", vcpu.vcpu_id)
    vcpu.kvm.srcu.read_lock()


async def _run_instruction(vcpu: "KvmVcpu", instruction: Instruction, exits: list[Exit]) -> bool:
    """Run one instruction to its end, faults included; false if the vCPU cannot go on."""
    kvm, cpu = vcpu.kvm, vcpu.arch.cpu
    rip, accesses, _ = instruction
    for _ in range(_MAX_FAULTS):
        await kvm.sched.checkpoint("guest", vcpu.vcpu_id)
        if vcpu.requests or vcpu.mode.read_once() != IN_GUEST_MODE:
            if vcpu.dirty_ring is not None and _must_collect(vcpu, instruction, exits):
                return False
            await vcpu_enter_guest(vcpu)
        fetched = rip is None or cpu.fetch(rip)
        if fetched:
            for access in accesses:
                if not cpu.access(access):
                    break
            else:
                return True
        leave_guest(vcpu)
        gpa, error_code = cpu.fault_gpa, cpu.fault_error_code
        if kvm.trace.keeps_events:
            kvm.trace.emit(PageFaultTaken, vcpu.vcpu_id, rip or 0, gpa, error_code)
        ret = await mmu_page_fault(vcpu, gpa, error_code)
        if ret == RetPf.EMULATE:
            if kvm.choices.is_6_1 and retry_instruction(vcpu, instruction, gpa):
                continue
            return await x86_emulate_instruction(vcpu, instruction, exits, fetched=fetched)
    msg = f"vCPU {vcpu.vcpu_id} faults at {gpa:#x} again and again"
    raise KvmError("EIO", msg)


def _must_collect(vcpu: "KvmVcpu", instruction: Instruction, exits: list[Exit]) -> bool:
    """Return whether the dirty ring is so full that user space has to collect it first."""
    if vcpu.requests:
        leave_guest(vcpu)
    full = dirty_ring_check_request(vcpu)
    if full:
        rip, rdi = instruction.rip or 0, instruction.rdi
        exits.append(Exit("DIRTY_RING_FULL", code=EXIT_DIRTY_RING_FULL, rip=rip, rdi=rdi))
    return full


async def vcpu_enter_guest(vcpu: "KvmVcpu") -> None:
    """Do what was requested of the vCPU, make sure it has a root, and enter the guest.

    Kernel: vcpu_enter_guest(), arch/x86/kvm/x86.c (v6.12)
    """
    kvm, arch, requests = vcpu.kvm, vcpu.arch, vcpu.requests
    if requests:
        leave_guest(vcpu)
    while True:
        if requests or not arch.root:
            await _serve_requests(vcpu)
        # who makes a request after this sees that we are in guest mode, and kicks us
        vcpu.mode.store_release(IN_GUEST_MODE)
        if not requests:
            break
        vcpu.mode.write_once(OUTSIDE_GUEST_MODE)
    if arch.cpu.tlb.empty_at_entry:
        arch.cpu.tlb.flush()
    kvm.srcu.read_unlock()
    if kvm.trace.keeps_events:
        kvm.trace.emit(GuestEntered, vcpu.vcpu_id)


async def _serve_requests(vcpu: "KvmVcpu") -> None:
    """Do what was requested, in the order that the kernel does it in."""
    await mmu_reload(vcpu)
    for request, why in ((REQ_TLB_FLUSH, "a remote flush"), (REQ_TLB_FLUSH_GUEST, "its guest")):
        if check_request(vcpu, request):
            vcpu.arch.cpu.tlb.flush()
            vcpu.kvm.trace.emit(VcpuTlbFlush, vcpu.vcpu_id, why, True)  # noqa: FBT003


def leave_guest(vcpu: "KvmVcpu") -> None:
    """Let the vCPU be outside of the guest, and read memory slots again.

    Ours: the hardware's exit and what follows at once.
    """
    if vcpu.mode.read_once() != OUTSIDE_GUEST_MODE:
        vcpu.mode.store_release(OUTSIDE_GUEST_MODE)
        kvm = vcpu.kvm
        kvm.srcu.read_lock()
        if kvm.trace.keeps_events:
            kvm.trace.emit(GuestLeft, vcpu.vcpu_id)


async def vcpu_pre_fault_memory(vcpu: "KvmVcpu", gpa: Gpa, size: int) -> int:
    """Map [*gpa*, *gpa* + *size*), bytes, before the guest touches it.

    :returns: how many bytes are left out: 0, unless something stopped it behind the first page
    :raises KvmError: EINVAL, gpa or size not in pages; ENOENT, no memory at *gpa*; EFAULT, the
        host has no page there
    Kernel: kvm_vcpu_pre_fault_memory(), virt/kvm/kvm_main.c (v6.12)
    In v6.1: there is no such ioctl.
    """
    if vcpu.kvm.choices.is_6_1:
        raise KvmError("EINVAL", "Linux 6.1 has no KVM_PRE_FAULT_MEMORY")
    if gpa % PAGE_SIZE or size % PAGE_SIZE or size <= 0:
        raise KvmError("EINVAL", f"gpa {gpa:#x} and size {size:#x} must be in whole pages")
    if gpa + size >= 1 << 64:
        raise KvmError("EINVAL", f"gpa {gpa:#x} + {size:#x} wraps around 2^64")
    vcpu_load(vcpu)
    vcpu.kvm.srcu.read_lock()
    end, here = gpa + size, gpa
    try:
        while here < end:
            here = min(end, await _tdp_map_page(vcpu, here))
    except KvmError as error:
        # what is mapped stays mapped, and counts as success
        if here == gpa:
            error.left = size
            raise
    finally:
        vcpu.kvm.srcu.read_unlock()
        vcpu_put(vcpu)
    return end - here


async def _tdp_map_page(vcpu: "KvmVcpu", gpa: Gpa) -> Gpa:
    """Map the page at *gpa*; return where it ends, which depends on how large it is.

    Kernel: kvm_arch_vcpu_pre_fault_memory(), arch/x86/kvm/mmu/mmu.c; kvm_tdp_map_page(),
        arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    await mmu_reload(vcpu)
    ret, level = RetPf.RETRY, 1
    while ret == RetPf.RETRY:
        ret, level = await mmu_do_page_fault(vcpu, gpa, PFERR_GUEST_FINAL_MASK, prefetch=True)
    if ret == RetPf.EMULATE:
        raise KvmError("ENOENT", f"there is no memory at gpa {gpa:#x}")
    return ((gpa >> 12 & -PAGES_PER_HPAGE[level]) + PAGES_PER_HPAGE[level]) << 12
