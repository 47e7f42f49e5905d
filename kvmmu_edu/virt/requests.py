"""Requests to vCPUs, and the TLB flush, which is one of them.

A CPU may go on using an old entry of its TLB until it is told to forget it.  KVM cannot reach
into a CPU that runs a guest, so it leaves a note (the request), makes the CPU leave the guest
if it is there (a kick), and the vCPU reads its notes before it enters again::

    whoever changed SPTEs                     vCPU
    1  store the SPTEs                        a  mode = IN_GUEST_MODE
    2  set the request                        b  read the requests
    3  read the mode; kick if in the guest    c  run the guest with what is in the TLB

Either 3 sees the mode of a, or b sees the request of 2: a flush cannot be missed.

On bare metal a flush of a range is a flush of everything.  The kernel counts it as one
request, whatever was asked.

Kernel: kvm_flush_remote_tlbs(), virt/kvm/kvm_main.c (v6.12)
Simplified: there is no time between a kick and the moment when the vCPU has left.  A vCPU in
the guest looks at its mode before each access and leaves when it finds EXITING_GUEST_MODE, so
no access follows a flush with an entry from before it: what waiting for the interrupt's answer
ensures in the kernel.
"""

from typing import TYPE_CHECKING

from kvmmu_edu.trace.events import FlushRemoteTlbs, VcpuRequest
from kvmmu_edu.units import Gfn
from kvmmu_edu.virt.vcpu import (
    EXITING_GUEST_MODE,
    IN_GUEST_MODE,
    OUTSIDE_GUEST_MODE,
    REQ_TLB_FLUSH,
    KvmVcpu,
)

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.memory_slot import MemorySlot


def make_request(vcpu: KvmVcpu, request: str) -> None:
    """Ask *vcpu* to do something before it enters the guest again.

    Kernel: kvm_make_request(), include/linux/kvm_host.h (v6.12)
    """
    vcpu.requests.add(request)
    vcpu.kvm.trace.emit(VcpuRequest, vcpu.vcpu_id, request)


def check_request(vcpu: KvmVcpu, request: str) -> bool:
    """Return whether *vcpu* is asked for *request*, and take it as answered.

    Kernel: kvm_check_request(), include/linux/kvm_host.h (v6.12)
    """
    if request in vcpu.requests:
        vcpu.requests.remove(request)
        return True
    return False


def vcpu_exiting_guest_mode(vcpu: KvmVcpu) -> int:
    """Make *vcpu* leave the guest if it is there; return its mode of before.

    Kernel: kvm_vcpu_exiting_guest_mode(), include/linux/kvm_host.h (v6.12)
    """
    return vcpu.mode.cmpxchg(IN_GUEST_MODE, EXITING_GUEST_MODE)


def make_all_cpus_request(kvm: "Kvm", request: str) -> int:
    """Ask all vCPUs, kick those that are not outside; return how many were kicked.

    Kernel: kvm_make_all_cpus_request(), virt/kvm/kvm_main.c (v6.12)
    Simplified: every request that is made of all vCPUs is one to be waited for
    (KVM_REQUEST_WAIT), so also a vCPU that is on its way out gets an interrupt.
    """
    kicked = 0
    for vcpu in kvm.vcpus:
        make_request(vcpu, request)
        kicked += vcpu_exiting_guest_mode(vcpu) != OUTSIDE_GUEST_MODE
    return kicked


def flush_remote_tlbs(kvm: "Kvm", caller: str) -> None:
    """Have all vCPUs empty their TLBs before they touch guest memory again.

    :param caller: the kernel's function that asks, for the trace

    Kernel: kvm_flush_remote_tlbs(), virt/kvm/kvm_main.c (v6.12)
    """
    _flush(kvm, 0, 0, caller)


def flush_remote_tlbs_range(kvm: "Kvm", gfn: Gfn, nr_pages: int, caller: str) -> None:
    """Have all vCPUs forget ``[gfn, gfn + nr_pages)``; in fact they forget everything.

    Kernel: kvm_flush_remote_tlbs_range(), virt/kvm/kvm_main.c (v6.12)
    In v6.1: kvm_flush_remote_tlbs_with_address().
    """
    _flush(kvm, gfn, nr_pages, caller)


def flush_remote_tlbs_memslot(kvm: "Kvm", slot: "MemorySlot", caller: str) -> None:
    """Have all vCPUs forget the pages of *slot*; in fact they forget everything.

    It may run after mmu_lock was dropped, because who needs it done (dirty logging) is kept
    in order by slots_lock.

    Locks: slots_lock.
    Kernel: kvm_flush_remote_tlbs_memslot(), virt/kvm/kvm_main.c (v6.12)
    In v6.1: kvm_arch_flush_remote_tlbs_memslot().
    """
    kvm.slots_lock.assert_held()
    _flush(kvm, slot.base_gfn, slot.npages, caller)


def _flush(kvm: "Kvm", gfn: Gfn, npages: int, caller: str) -> None:
    to_kick = sum(vcpu.mode.read_once() != OUTSIDE_GUEST_MODE for vcpu in kvm.vcpus)
    kvm.trace.emit(FlushRemoteTlbs, caller, gfn, npages, to_kick)
    make_all_cpus_request(kvm, REQ_TLB_FLUSH)
