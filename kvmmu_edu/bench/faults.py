"""Single page faults: a 4K page each, which the host has mapped already.

Ours.
"""

from collections.abc import Iterator
from functools import partial

from kvmmu_edu.bench.machines import addresses, guest
from kvmmu_edu.bench.meter import Figure, Meter, Work
from kvmmu_edu.x86.guest import touch

_TRACES = (("none", "counters only"), ("events", "events kept"), ("steps", "steps kept"))


def faults(meter: Meter) -> Iterator[Figure]:
    """Measure faults by one call each, and by one KVM_RUN for all, with each kind of trace."""
    for trace, how in _TRACES:
        npages = meter.size(512 if trace == "steps" else 4096, 32)
        reads = partial(by_reads, npages, trace)
        yield meter.figure(f"faults.read.{trace}", f"fault, a vcpu.read() each, {how}", reads)
        one_run = partial(by_one_run, npages, trace)
        yield meter.figure(f"faults.run.{trace}", f"fault, all in one vcpu.run(), {how}", one_run)


def by_reads(npages: int, trace: str) -> Work:
    """Return work that reads each page of a new guest for the first time, a call for each."""
    vcpu, where = guest(npages, trace), addresses(npages)

    def work() -> int:
        for gpa in where:
            vcpu.read(gpa)
        return len(where)

    return work


def by_one_run(npages: int, trace: str) -> Work:
    """Return work that reads each page of a new guest for the first time, in one KVM_RUN."""
    vcpu = guest(npages, trace)
    program = [touch("read", gpa) for gpa in addresses(npages)]

    def work() -> int:
        vcpu.run(program, [])
        return len(program)

    return work
