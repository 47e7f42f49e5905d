"""Operations on dirty pages: fetching and clearing bitmaps, collecting rings.

Ours.
"""

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.errors import KvmError
from kvmmu_edu.scenario.driver import Driver, Outcome, attempt, performs
from kvmmu_edu.scenario.operations import DirtyClear, DirtyGet, Prefault, Ring, RingReset
from kvmmu_edu.units import PAGE_SHIFT

_BITS = 64
#: how many pages the driver makes room for when it does not know the slot
_PAGES_OF_UNKNOWN_SLOT = 64


def ranges_of(words: NDArray[np.uint64], npages: int) -> list[list[int]]:
    """Return the set bits among the first *npages* as ranges ``[first, last]``.

    >>> ranges_of(np.array([0b1011], np.uint64), 64)
    [[0, 1], [3, 3]]
    """
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")[:npages]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], bits, [0])).astype(np.int8)))
    return [[int(a), int(b) - 1] for a, b in edges.reshape(-1, 2)]


@performs(DirtyGet)
def perform_dirty_get(driver: Driver, operation: DirtyGet, _vcpu: int) -> Outcome:
    """Fetch the bitmap of a slot."""
    region = driver.regions.get(operation.slot)
    known = region.size >> PAGE_SHIFT if region is not None else 0
    npages = operation.npages or known or _PAGES_OF_UNKNOWN_SLOT
    words = np.zeros(-(-npages // _BITS), np.uint64)
    outcome: Outcome = {"rc": 0}
    try:
        found = driver.vm.get_dirty_log(operation.slot)
        words = np.zeros(max(len(found), len(words)), np.uint64)
        words[: len(found)] = found
    except KvmError as error:
        outcome = {"rc": -1, "errno": error.name}
    driver.last_dirty = words
    dirty = ranges_of(words, npages)
    return outcome | {"dirty": dirty, "ndirty": sum(b - a + 1 for a, b in dirty)}


@performs(DirtyClear)
def perform_dirty_clear(driver: Driver, operation: DirtyClear, _vcpu: int) -> Outcome:
    """Clear bits of a bitmap, and protect the pages again."""
    words = np.full(-(-operation.npages // _BITS), ~np.uint64(0), np.uint64)
    if operation.which == "last":
        last = driver.last_dirty[operation.first_page // _BITS :][: len(words)]
        words[:] = 0
        words[: len(last)] = last
    return attempt(
        lambda: driver.vm.clear_dirty_log(
            operation.slot, operation.first_page, operation.npages, words
        )
    )


@performs(Ring)
def perform_ring(driver: Driver, operation: Ring, _vcpu: int) -> Outcome:
    """Take the new entries of a vCPU's dirty ring."""
    taken = driver.vcpu(operation.vcpu).collect_dirty_ring()
    return {"rc": 0, "ring": [list(entry) for entry in taken], "nring": len(taken)}


@performs(RingReset)
def perform_ring_reset(driver: Driver, _operation: RingReset, _vcpu: int) -> Outcome:
    """Give the entries back that were taken; the return code says how many."""
    return attempt(driver.vm.reset_dirty_rings)


@performs(Prefault)
def perform_prefault(driver: Driver, operation: Prefault, _vcpu: int) -> Outcome:
    """Map a range before the guest touches it, on vCPU 0; ``left`` counts bytes."""
    try:
        left = driver.vcpu(0).pre_fault_memory(operation.gpa, operation.size)
    except KvmError as error:
        # a call that was refused before it did anything left everything
        left = error.left or operation.size
        return {"rc": -1, "errno": error.name, "left": hex(left)}
    return {"rc": 0, "left": hex(left)}
