"""Making a VM, and looking at the whole of it.

Ours.
"""

from collections.abc import Callable, Iterator

from kvmmu_edu.bench.machines import guest
from kvmmu_edu.bench.meter import Figure, Meter, Work
from kvmmu_edu.vm import Vm

_SMALL_PAGES = 256


def creation(meter: Meter) -> Iterator[Figure]:
    """Measure the making of VMs, and what a step through a small one needs."""
    times = meter.size(20, 1)
    small = guest(_SMALL_PAGES).vm
    yield meter.figure("creation.vm", "making of an empty VM", _repeated(Vm, times))
    yield meter.figure(
        "creation.guest",
        f"making of a guest of {_SMALL_PAGES} pages, which reads one",
        _repeated(lambda: guest(_SMALL_PAGES), times),
    )
    yield meter.figure("creation.snapshot", "snapshot of it", _repeated(small.snapshot, times))
    yield meter.figure("creation.hash", "hash of its state", _repeated(small.state_hash, times))
    yield meter.figure("creation.check", "check of all invariants", _repeated(small.check, times))


def _repeated(once: Callable[[], object], times: int) -> Callable[[], Work]:
    def work() -> int:
        for _ in range(times):
            once()
        return times

    return lambda: work
