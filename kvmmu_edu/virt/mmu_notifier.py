"""What KVM does when the host changes the memory behind the guest.

The host's memory management calls before and after it changes page tables of the process
(``host/notifier.py``).  KVM finds the slots there and removes its own mappings, or looks at
their accessed marks.

A call has a start and an end that must find the same slots, so a swap of the slot sets waits
until no call is between the two.

Kernel: kvm_mmu_notifier_*, virt/kvm/kvm_main.c (v6.12)
Simplified: no caches of host frames outside page tables (pfn caches) to invalidate.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from kvmmu_edu.errors import KernelBug, ensure
from kvmmu_edu.trace.events import (
    NotifierAge,
    NotifierInvalidateEnd,
    NotifierInvalidateStart,
)
from kvmmu_edu.units import Hva
from kvmmu_edu.virt.arch import GfnRange
from kvmmu_edu.virt.hva_tree import for_each_memslot_in_hva_range, gfns_in_hva_range
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.virt.mmu_invalidate import (
    mmu_invalidate_begin,
    mmu_invalidate_end,
    mmu_invalidate_range_add,
)
from kvmmu_edu.virt.requests import flush_remote_tlbs

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm

Handler: TypeAlias = Callable[["Kvm", GfnRange], Awaitable[bool]]
OnLock: TypeAlias = Callable[["Kvm"], None]


class MmuNotifierRange(NamedTuple):
    """A range of host addresses and what is to be done there.

    :ivar start: first hva, bytes
    :ivar end: first hva behind it, bytes
    :ivar handler: called for the frames of each slot found; returns whether there were any
        mappings, or marks
    :ivar on_lock: called once, when the first slot is found and mmu_lock is taken
    :ivar flush_on_ret: whether to flush TLBs if a handler returned true
    :ivar may_block: whether the handler may give way

    Kernel: struct kvm_mmu_notifier_range, virt/kvm/kvm_main.c (v6.12)
    """

    start: Hva
    end: Hva
    handler: Handler | None = None
    on_lock: OnLock | None = None
    flush_on_ret: bool = False
    may_block: bool = False


async def handle_hva_range(kvm: "Kvm", hva_range: MmuNotifierRange) -> bool:
    """Do what *hva_range* says in all slots of all address spaces that it touches.

    mmu_lock is taken only if there is such a slot: most of what a process does to its memory
    does not concern the guest.  TLBs are flushed once, before mmu_lock is dropped: after that
    the host believes that nobody uses the pages.

    Return whether any handler returned true.

    Cost: O(log n) for each slot found.
    Locks: takes srcu and mmu_lock for writing.
    Kernel: __kvm_handle_hva_range(), virt/kvm/kvm_main.c (v6.12)
    """
    if hva_range.end <= hva_range.start:
        raise KernelBug(f"an empty range of hva: [{hva_range.start:#x}, {hva_range.end:#x})")
    kvm.srcu.read_lock()
    locked = False
    result = False
    try:
        for gfn_range in _gfn_ranges(kvm, hva_range):
            if not locked:
                await kvm.mmu_lock.take("write")
                locked = True
                if hva_range.on_lock is not None:
                    hva_range.on_lock(kvm)
            if hva_range.handler is None:
                break
            result |= await hva_range.handler(kvm, gfn_range)
        if result and hva_range.flush_on_ret:
            flush_remote_tlbs(kvm, "__kvm_handle_hva_range")
    finally:
        if locked:
            kvm.mmu_lock.release("write")
        kvm.srcu.read_unlock()
    return result


def _gfn_ranges(kvm: "Kvm", hva_range: MmuNotifierRange) -> Iterator[GfnRange]:
    """Yield the guest frames behind a range of host addresses, slot by slot."""
    start, end = hva_range.start, hva_range.end
    for as_id in range(len(kvm.memslots)):
        for slot in for_each_memslot_in_hva_range(memslots(kvm, as_id), start, end - 1):
            yield GfnRange(slot, *gfns_in_hva_range(slot, start, end), hva_range.may_block)


async def mmu_unmap_gfn_range(kvm: "Kvm", gfn_range: GfnRange) -> bool:
    """Remember the range for faults that are under way, and unmap it.

    Locks: mmu_lock for writing.
    Kernel: kvm_mmu_unmap_gfn_range(), virt/kvm/kvm_main.c (v6.12)
    """
    mmu_invalidate_range_add(kvm, gfn_range.start, gfn_range.end)
    return await kvm.arch.unmap_gfn_range(kvm, gfn_range)


class MmuNotifier:
    """A VM as a listener to the host's memory management; ranges are half-open, bytes.

    Kernel: kvm_mmu_notifier_ops, virt/kvm/kvm_main.c (v6.12)
    """

    __slots__ = ("kvm",)

    def __init__(self, kvm: "Kvm") -> None:
        """Listen for *kvm*."""
        self.kvm = kvm

    async def invalidate_range_start(self, start_hva: Hva, end_hva: Hva) -> None:
        """Unmap the range, and make faults that know it from before try again.

        Locks: takes mn_invalidate_lock, then srcu and mmu_lock for writing.
        Kernel: kvm_mmu_notifier_invalidate_range_start(), virt/kvm/kvm_main.c (v6.12)
        """
        kvm = self.kvm
        kvm.trace.emit(NotifierInvalidateStart, start_hva, end_hva)
        async with kvm.mn_invalidate_lock:
            kvm.mn_active_invalidate_count += 1
        await handle_hva_range(
            kvm,
            MmuNotifierRange(
                start_hva,
                end_hva,
                handler=mmu_unmap_gfn_range,
                on_lock=mmu_invalidate_begin,
                flush_on_ret=True,
                may_block=True,
            ),
        )

    async def invalidate_range_end(self, start_hva: Hva, end_hva: Hva) -> None:
        """Let faults map the range again, and let a waiting swap of slots go on.

        Locks: takes srcu and mmu_lock for writing, then mn_invalidate_lock.
        Kernel: kvm_mmu_notifier_invalidate_range_end(), virt/kvm/kvm_main.c (v6.12)
        """
        kvm = self.kvm
        await handle_hva_range(
            kvm, MmuNotifierRange(start_hva, end_hva, on_lock=mmu_invalidate_end)
        )
        async with kvm.mn_invalidate_lock:
            if kvm.mn_active_invalidate_count == 0:
                raise KernelBug(f"the end of a notifier call without start, at {start_hva:#x}")
            kvm.mn_active_invalidate_count -= 1
        kvm.trace.emit(NotifierInvalidateEnd, start_hva, end_hva)

    async def clear_flush_young(self, start_hva: Hva, end_hva: Hva) -> bool:
        """Clear the accessed marks, flush if there were any; return whether there were.

        Locks: takes srcu and mmu_lock for writing.
        Kernel: kvm_mmu_notifier_clear_flush_young(), virt/kvm/kvm_main.c (v6.12)
        """
        return await self._age(start_hva, end_hva, flush=True)

    async def clear_young(self, start_hva: Hva, end_hva: Hva) -> bool:
        """Clear the accessed marks without a flush; return whether there were any.

        A page that is used through a TLB entry from before then looks idle: cheap, and good
        enough for a guess.

        Locks: takes srcu and mmu_lock for writing.
        Kernel: kvm_mmu_notifier_clear_young(), virt/kvm/kvm_main.c (v6.12)
        """
        return await self._age(start_hva, end_hva, flush=False)

    async def _age(self, start_hva: Hva, end_hva: Hva, *, flush: bool) -> bool:
        kvm = self.kvm
        kvm.trace.emit(NotifierAge, start_hva, end_hva)
        return await handle_hva_range(
            kvm,
            MmuNotifierRange(start_hva, end_hva, handler=kvm.arch.age_gfn, flush_on_ret=flush),
        )

    async def test_young(self, hva: Hva) -> bool:
        """Return whether the page of *hva* has an accessed mark.

        Locks: takes srcu and mmu_lock for writing.
        Kernel: kvm_mmu_notifier_test_young(), virt/kvm/kvm_main.c (v6.12)
        """
        kvm = self.kvm
        return await handle_hva_range(
            kvm, MmuNotifierRange(hva, hva + 1, handler=kvm.arch.test_age_gfn)
        )

    async def release(self) -> None:
        """Unmap everything: the process is about to lose its memory.

        Locks: takes srcu.
        Kernel: kvm_mmu_notifier_release(), virt/kvm/kvm_main.c (v6.12)
        """
        self.kvm.srcu.read_lock()
        try:
            await self.kvm.arch.flush_shadow_all(self.kvm)
        finally:
            self.kvm.srcu.read_unlock()


def init_mmu_notifier(kvm: "Kvm") -> MmuNotifier:
    """Have *kvm* hear of every change of its process's memory.

    Kernel: kvm_init_mmu_notifier(), virt/kvm/kvm_main.c (v6.12)
    """
    notifier = MmuNotifier(kvm)
    kvm.mm.notifiers.append(notifier)
    return notifier


async def mmu_notifier_unregister(kvm: "Kvm", notifier: MmuNotifier) -> None:
    """Stop listening: unmap everything first, for nobody would hear of it afterwards.

    Kernel: mmu_notifier_unregister(), mm/mmu_notifier.c (v6.12)
    """
    await notifier.release()
    kvm.mm.notifiers.remove(notifier)


def check(kvm: "Kvm") -> None:
    """Raise unless no invalidation is under way.

    Ours: for use at rest, when no task runs.

    :raises InvariantError: names the count that is not zero
    """
    active = kvm.mn_active_invalidate_count
    ensure(active == 0, f"mn_active_invalidate_count is {active} but no task runs")
    in_progress = kvm.mmu_invalidate_in_progress.read_once()
    ensure(
        in_progress == active,
        f"mmu_invalidate_in_progress is {in_progress} but mn_active_invalidate_count is {active}",
    )


def snapshot(kvm: "Kvm") -> dict[str, int]:
    """Return the state of invalidations as plain values.

    Ours.
    """
    return {
        "mn_active_invalidate_count": kvm.mn_active_invalidate_count,
        "mmu_invalidate_in_progress": kvm.mmu_invalidate_in_progress.read_once(),
        "mmu_invalidate_seq": kvm.mmu_invalidate_seq.read_once(),
        "mmu_invalidate_range_start": kvm.mmu_invalidate_range_start,
        "mmu_invalidate_range_end": kvm.mmu_invalidate_range_end,
    }
