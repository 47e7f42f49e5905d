"""Single faults through the facade: one page each, no two handled together.

Ours.
"""

from typing import Final

from kvmmu_edu.bench.reference import seconds
from kvmmu_edu.units import PAGE_SIZE
from kvmmu_edu.vcpu import Vcpu
from kvmmu_edu.vm import Vm
from kvmmu_edu.x86.guest import touch

_GPA: Final = 1 << 30
#: the first fault makes a root and loads modules; it is left out
_WARM: Final = 64


def faults_by_call(npages: int, trace: str) -> float:
    """Return faults a second when each is a call of ``vcpu.read``.

    :param npages: how many pages to touch, each for the first time
    :param trace: ``none``, ``events`` or ``steps``

    >>> faults_by_call(10, "none") > 0
    True
    """
    vcpu = _machine(npages, trace)

    def read_all() -> None:
        for gpa in range(_GPA + _WARM * PAGE_SIZE, _GPA + (npages + _WARM) * PAGE_SIZE, PAGE_SIZE):
            vcpu.read(gpa)

    return _rate(vcpu, npages, seconds(read_all))


def faults_by_program(npages: int, trace: str) -> float:
    """Return faults a second when a guest program touches one page after the other.

    >>> faults_by_program(10, "events") > 0
    True
    """
    vcpu = _machine(npages, trace)
    program = [
        touch("read", gpa)
        for gpa in range(_GPA + _WARM * PAGE_SIZE, _GPA + (npages + _WARM) * PAGE_SIZE, PAGE_SIZE)
    ]
    return _rate(vcpu, npages, seconds(lambda: vcpu.run(program, [])))


def _machine(npages: int, trace: str) -> Vcpu:
    """Return a vCPU whose guest has memory that the host has populated, but KVM not mapped."""
    vm = Vm(trace=trace)
    nbytes = (npages + _WARM) * PAGE_SIZE
    hva = vm.host.mmap("ram", "anon4k", nbytes)
    vm.host.populate(hva, nbytes)
    vm.set_user_memory_region(0, 0, _GPA, nbytes, hva)
    vcpu = vm.create_vcpu()
    for page in range(_WARM):
        vcpu.read(_GPA + page * PAGE_SIZE)
    return vcpu


def _rate(vcpu: Vcpu, npages: int, took: float) -> float:
    """Return faults a second, after a look whether there was one fault for each page."""
    assert vcpu.stats["pf_fixed"] == npages + _WARM
    vcpu.vm.check()
    return npages / took
