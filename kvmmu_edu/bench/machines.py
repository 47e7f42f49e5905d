"""The VMs that are measured.

Ours.
"""

from typing import Final

from kvmmu_edu.units import PAGE_SIZE, Gpa
from kvmmu_edu.vcpu import Vcpu
from kvmmu_edu.vm import Vm

#: where the memory of these guests begins
BASE: Final[Gpa] = 0x40_0000


def guest(npages: int, trace: str = "none") -> Vcpu:
    """Return a vCPU of a guest with *npages* pages of 4K, all of which the host has mapped.

    The vCPU has a root and its page tables down to the first page.
    """
    vm = Vm(trace=trace)
    nbytes = npages * PAGE_SIZE
    hva = vm.host.mmap("A", "anon4k", nbytes)
    vm.host.populate(hva, nbytes)
    vm.set_user_memory_region(0, 0, BASE, nbytes, hva)
    vcpu = vm.create_vcpu()
    vcpu.read(BASE)
    return vcpu


def addresses(npages: int) -> range:
    """Return the first address of each page of such a guest but of the first page."""
    return range(BASE + PAGE_SIZE, BASE + npages * PAGE_SIZE, PAGE_SIZE)
