"""How many page tables there are: counted, or listed.

::

    "counter"   an atomic number: one more when a table is linked, one less when it is unlinked;
                at the end of the VM a number that is not zero says how many were lost
    "list"      each table on a list, under a spinlock that every vCPU needs which makes or
                removes a table; at the end the list says which were lost

Roots are not counted: a root is nobody's child.

Kernel: tdp_account_mmu_page(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
In v6.1: both; the list is what is looked at in the end.
"""

from kvmmu_edu.trace.events import Tables
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.nx_huge_pages import (
    track_possible_nx_huge_page,
    untrack_possible_nx_huge_page,
)


async def tdp_account_mmu_page(mmu: MmuState, sp: int, *, account_nx: bool) -> None:
    """Count table *sp*, which was just linked.

    :param account_nx: 6.1 only: note with it that the table stands in for an NX huge page;
        6.12 does that apart
    Locks: mmu_lock; takes tdp_mmu_pages_lock if there is more to do than to count.
    Kernel: tdp_account_mmu_page(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    In v6.1: tdp_mmu_link_sp() puts the table on the list.
    """
    listed = mmu.kvm.choices.lists_tdp_mmu_pages
    if listed or account_nx:
        async with mmu.tdp_mmu_pages_lock:
            if listed:
                mmu.listed_tdp_mmu_pages[sp] = None
            if account_nx:
                mmu.arena.nx_huge_page_disallowed[sp] = True
                track_possible_nx_huge_page(mmu, sp)
    mmu.tdp_mmu_pages.add_return(1)


async def tdp_mmu_unlink_sp(mmu: MmuState, tables: Tables, *, shared: bool) -> None:
    """Stop counting tables, and forget that they stand in for NX huge pages.

    :param shared: whether mmu_lock is held for reading, so that others do the same
    Locks: mmu_lock; takes tdp_mmu_pages_lock for a table made because of NX huge pages, or for
        each one if they are listed and *shared*.
    Kernel: tdp_mmu_unlink_sp(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    rows = [tables] if isinstance(tables, int) else tables.tolist()
    mmu.tdp_mmu_pages.add_return(-len(rows))
    listed, flagged = mmu.kvm.choices.lists_tdp_mmu_pages, mmu.arena.nx_huge_page_disallowed
    if not listed and not flagged[rows].any():
        return
    for row in rows:
        if shared or not listed:
            if listed or flagged[row]:
                async with mmu.tdp_mmu_pages_lock:
                    _unlink(mmu, row)
        else:
            _unlink(mmu, row)


def _unlink(mmu: MmuState, sp: int) -> None:
    mmu.listed_tdp_mmu_pages.pop(sp, None)
    mmu.arena.nx_huge_page_disallowed[sp] = False
    untrack_possible_nx_huge_page(mmu, sp)
