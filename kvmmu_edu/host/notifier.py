"""How the host tells KVM, before it changes entries, that it will.

    async with mm.invalidate(start, end):
        ... change the entries of [start, end) ...

KVM must drop its own entries for the range when it hears of the start, and must not make new
ones until it hears of the end.  Whoever made one from an older answer finds out by KVM's
sequence number, which is why the pair is two calls and not one.

Kernel: include/linux/mmu_notifier.h, mm/mmu_notifier.c (v6.12)
"""

from typing import TYPE_CHECKING, Protocol

from kvmmu_edu.units import Hva

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm


class MmuNotifier(Protocol):
    """What a listener offers; ranges are half-open, hva in bytes.

    Kernel: struct mmu_notifier_ops, include/linux/mmu_notifier.h (v6.12)
    In v6.1: also invalidate_range and change_pte, which found nothing left to do.
    """

    async def invalidate_range_start(self, start_hva: Hva, end_hva: Hva) -> None:
        """Drop what maps the range, and map nothing of it until the end."""
        ...

    async def invalidate_range_end(self, start_hva: Hva, end_hva: Hva) -> None:
        """Learn that the range may be mapped again."""
        ...

    async def clear_flush_young(self, start_hva: Hva, end_hva: Hva) -> bool:
        """Clear the accessed marks, flush if there were any; return whether there were."""
        ...

    async def clear_young(self, start_hva: Hva, end_hva: Hva) -> bool:
        """Clear the accessed marks without a flush; return whether there were any."""
        ...

    async def test_young(self, hva: Hva) -> bool:
        """Return whether the page of *hva* has an accessed mark."""
        ...


class Invalidation:
    """The time in which a range of addresses changes, for ``async with``.

    Kernel: struct mmu_notifier_range, include/linux/mmu_notifier.h (v6.12)
    """

    __slots__ = ("end", "mm", "start")

    def __init__(self, mm: "Mm", start: Hva, end: Hva) -> None:
        """Prepare for a change of [*start*, *end*), bytes."""
        self.mm = mm
        self.start = start
        self.end = end

    async def __aenter__(self) -> None:
        """Tell every listener that the range is about to change.

        Kernel: mmu_notifier_invalidate_range_start(), include/linux/mmu_notifier.h (v6.12)
        """
        for notifier in self.mm.notifiers:
            await notifier.invalidate_range_start(self.start, self.end)
        # a page fault on another CPU may still read the old entries here
        await self.mm.sched.checkpoint(("host page table", self.start, self.end))

    async def __aexit__(self, *_exc: object) -> None:
        """Tell every listener that the change is over.

        Kernel: mmu_notifier_invalidate_range_end(), include/linux/mmu_notifier.h (v6.12)
        """
        for notifier in self.mm.notifiers:
            await notifier.invalidate_range_end(self.start, self.end)
