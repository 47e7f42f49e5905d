"""Was this page used lately?  Reclaim asks the CPU's entries and, through KVM, the guest's.

Kernel: mm/rmap.c (v6.12)
Simplified: the process's own entries carry no accessed bit here; what counts is the answer of
the listeners.
"""

from typing import TYPE_CHECKING

from kvmmu_edu.units import PAGE_SIZE, PAGES_PER_HPAGE, Hva

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm


async def folio_referenced(mm: "Mm", start: Hva, nbytes: int, *, flush: bool = True) -> int:
    """Ask for each page that is mapped in a range whether the guest used it, and forget it.

    Return how many pages were used.

    :param flush: whether a TLB flush is worth it: reclaim says yes, idle page tracking no
    Kernel: folio_referenced_one(), mm/rmap.c (v6.12)
    """
    used = 0
    hva = start
    while hva < start + nbytes:
        entry, level = mm.page_table.walk(hva)
        size = PAGES_PER_HPAGE[level] * PAGE_SIZE
        first = hva & -size
        if entry:
            used += await _clear_young(mm, first, first + size, flush=flush)
        hva = first + size
    return used


async def _clear_young(mm: "Mm", start: Hva, end: Hva, *, flush: bool) -> bool:
    young = False
    for notifier in mm.notifiers:
        ask = notifier.clear_flush_young if flush else notifier.clear_young
        young = await ask(start, end) or young
    return young
