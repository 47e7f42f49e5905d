"""Operations of the host process on its own memory.

Ours.
"""

from typing import Final

from kvmmu_edu.host.mm import Mm
from kvmmu_edu.scenario.driver import Driver, Outcome, attempt, performs
from kvmmu_edu.scenario.operations import (
    Fork,
    HostAccesses,
    HostPeek,
    Madvise,
    Mem,
    Mprotect,
    Munmap,
    Shell,
    Smaps,
)
from kvmmu_edu.units import GIB, PAGE_SIZE, PAGES_PER_HPAGE, PG_LEVEL_4K, Hva

#: what the host stores at each address
HOST_VALUE: Final = 0xA5
#: where a mapping is that could not be made: what mmap() returns then
MAP_FAILED: Final = (1 << 64) - 1
#: how long the recorded machine takes to clear a huge page; a worker's period may end meanwhile
MS_PER_GIB: Final = 1100


@performs(Mem)
def perform_mem(driver: Driver, operation: Mem, _vcpu: int) -> Outcome:
    """Map memory."""

    def mmap() -> int:
        align = operation.align or None
        return driver.vm.host.mmap(
            operation.name, operation.kind, operation.size, align, operation.skew
        )

    outcome = attempt(mmap)
    failed = outcome["rc"] < 0
    driver.memories[operation.name] = MAP_FAILED if failed else outcome["rc"]
    return outcome if failed else {"rc": 0, "hva": hex(outcome["rc"])}


@performs(HostAccesses)
def perform_host_accesses(driver: Driver, operation: HostAccesses, _vcpu: int) -> Outcome:
    """Load or store 8 bytes at each address."""
    start, write = driver.hva(operation.hva), operation.kind == "write"
    cleared = 0

    async def touch_all() -> None:
        nonlocal cleared
        for hva in (start + n * operation.stride for n in range(operation.count)):
            cleared += await _touch(driver.vm.kvm.mm, hva, write=write)

    driver.vm.run(touch_all())
    driver.vm.advance(cleared * MS_PER_GIB // GIB)
    return {"rc": 0}


async def _touch(mm: Mm, hva: Hva, *, write: bool) -> int:
    """Load or store; return how many bytes of a huge page had to be cleared for it."""
    missing = mm.page_for(hva, write=False) is None
    if not write:
        await mm.read(hva)
        return 0
    await mm.write(hva, HOST_VALUE)
    page = mm.page_for(hva, write=False) if missing else None
    return PAGES_PER_HPAGE[page.level] * PAGE_SIZE if page and page.level > PG_LEVEL_4K else 0


@performs(HostPeek)
def perform_host_peek(driver: Driver, operation: HostPeek, _vcpu: int) -> Outcome:
    """Load 8 bytes and show them."""
    return {"rc": 0, "value": hex(driver.vm.host.read(driver.hva(operation.hva)))}


@performs(Madvise)
def perform_madvise(driver: Driver, operation: Madvise, _vcpu: int) -> Outcome:
    """Advise about a range."""
    hva = driver.hva(operation.hva)
    return attempt(lambda: driver.vm.host.madvise(hva, operation.size, operation.advice))


@performs(Mprotect)
def perform_mprotect(driver: Driver, operation: Mprotect, _vcpu: int) -> Outcome:
    """Change the protection of a range."""
    hva = driver.hva(operation.hva)
    return attempt(lambda: driver.vm.host.mprotect(hva, operation.size, operation.protection))


@performs(Munmap)
def perform_munmap(driver: Driver, operation: Munmap, _vcpu: int) -> Outcome:
    """Give a range back."""
    hva = driver.hva(operation.hva)
    return attempt(lambda: driver.vm.host.munmap(hva, operation.size))


@performs(Fork)
def perform_fork(driver: Driver, _operation: Fork, _vcpu: int) -> Outcome:
    """Fork; the child exits at once."""
    return attempt(driver.vm.host.fork) | {"note": "fork+exit"}


@performs(Smaps)
def perform_smaps(_driver: Driver, _operation: Smaps, _vcpu: int) -> Outcome:
    """Do nothing: what the host's files show concerns no KVM."""
    return {"rc": 0}


@performs(Shell)
def perform_shell(_driver: Driver, _operation: Shell, _vcpu: int) -> Outcome:
    """Do nothing: there is no machine to run the command on."""
    return {"rc": 0}
