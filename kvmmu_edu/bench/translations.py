"""Accesses to pages that are mapped: nothing but the simulated CPU works.

Ours.
"""

from collections.abc import Iterator
from functools import partial

from kvmmu_edu.bench.machines import addresses, guest
from kvmmu_edu.bench.meter import Figure, Meter, Work
from kvmmu_edu.vcpu import Vcpu
from kvmmu_edu.x86.guest import touch


def translations(meter: Meter) -> Iterator[Figure]:
    """Measure accesses that the TLB knows, and those that need a walk."""
    npages = meter.size(4096, 32)
    vcpu, where = guest(npages), addresses(npages)
    program = [touch("read", gpa) for gpa in where]
    vcpu.run(program, [])

    def reads() -> int:
        for gpa in where:
            vcpu.read(gpa)
        return len(where)

    def run() -> int:
        vcpu.run(program, [])
        return len(program)

    yield meter.figure("translations.read", "access in the TLB, a vcpu.read() each", lambda: reads)
    yield meter.figure("translations.run", "access in the TLB, in one vcpu.run()", lambda: run)
    walks = partial(_flushed, vcpu, run)
    yield meter.figure("translations.walk", "access with a page walk, in one vcpu.run()", walks)


def _flushed(vcpu: Vcpu, work: Work) -> Work:
    vcpu.state.arch.cpu.tlb.flush()
    return work
