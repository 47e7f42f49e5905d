"""Shadow pages: page tables that are found by what they translate.

A shadow page is named by its first frame and its role.  A hash of 4096 lists leads from that
name to the page, so a page that was unlinked is found and linked again, and two entries may
point to one page; each page therefore knows all entries that point to it.  There may not be
arbitrarily many; the oldest give way.
Pages of another generation than ``mmu_valid_gen`` are obsolete: nobody finds them.

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
Simplified: all pages are direct (no guest page tables are shadowed), so none is ever out of
    step with the guest.
"""

from collections.abc import Iterator
from typing import Final

from kvmmu_edu.trace.events import GetShadowPage, MmuPageFreed, ShadowPageLookup
from kvmmu_edu.units import Gfn
from kvmmu_edu.x86.mmu_page import role_as_id, role_is_invalid, role_level
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.pte_list import Sptep, pte_list_add, pte_list_remove
from kvmmu_edu.x86.shadow_state import ShadowPage

_MMU_HASH_SHIFT: Final = 12
#: 2**64 divided by the golden ratio
_GOLDEN_RATIO_64: Final = 0x61C8864680B583EB


def page_table_hashfn(gfn: Gfn) -> int:
    """Return in which of 4096 lists pages for *gfn* are.

    >>> [page_table_hashfn(gfn) for gfn in (0, 1, 0x400)]
    [0, 1564, 545]

    Kernel: kvm_page_table_hashfn(), arch/x86/kvm/mmu/mmu.c; hash_64(), include/linux/hash.h
        (v6.12)
    """
    return (gfn * _GOLDEN_RATIO_64 & (1 << 64) - 1) >> (64 - _MMU_HASH_SHIFT)


def is_obsolete_sp(mmu: MmuState, row: int) -> bool:
    """Return whether a table is not to be used any more.

    Kernel: is_obsolete_sp(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if role_is_invalid(mmu.arena.roles[row]):
        return True
    page = mmu.shadow.pages.get(row)
    return page is not None and page.mmu_valid_gen != mmu.mmu_valid_gen


def for_each_valid_sp(mmu: MmuState, bucket: int) -> Iterator[int]:
    """Yield the pages of a list of the hash that may be used.

    Kernel: for_each_valid_sp, arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    for row in mmu.shadow.hash.get(bucket, ()):
        if not is_obsolete_sp(mmu, row):
            yield row


def mmu_get_shadow_page(mmu: MmuState, gfn: Gfn, role: int) -> int:
    """Return the page for *gfn* of that role; make it if there is none.

    Locks: mmu_lock for writing.
    Kernel: __kvm_mmu_get_shadow_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    found = mmu_find_shadow_page(mmu, gfn, role)
    row = found or mmu_alloc_shadow_page(mmu, gfn, role)
    what = (row, role_as_id(role), gfn, role_level(role), role)
    mmu.kvm.trace.emit(GetShadowPage, *what, not found, mmu.shadow.pages[row].mmu_valid_gen)
    return row


def mmu_find_shadow_page(mmu: MmuState, gfn: Gfn, role: int) -> int:
    """Return the valid page for *gfn* of that role, or 0.

    Kernel: kvm_mmu_find_shadow_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    collisions = found = 0
    for row in for_each_valid_sp(mmu, page_table_hashfn(gfn)):
        if mmu.arena.gfns[row] != gfn:
            collisions += 1
        elif mmu.arena.roles[row] == role:
            found = row
            break
    mmu.kvm.trace.emit(ShadowPageLookup, gfn, role, bool(found), collisions)
    return found


def mmu_alloc_shadow_page(mmu: MmuState, gfn: Gfn, role: int) -> int:
    """Make a page; nothing points to it yet.

    Kernel: kvm_mmu_alloc_shadow_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    Simplified: memory is not taken from caches that were filled before the lock was taken.
    """
    shadow = mmu.shadow
    row = mmu.arena.alloc(gfn, role)
    shadow.pages[row] = ShadowPage(mmu.mmu_valid_gen)
    shadow.hash.setdefault(page_table_hashfn(gfn), []).insert(0, row)
    shadow.active_mmu_pages[row] = None
    mmu.n_used_mmu_pages += 1
    return row


def mmu_free_shadow_page(mmu: MmuState, row: int) -> None:
    """Forget a zapped page; its memory is free when no lockless walk can be in it.

    Kernel: kvm_mmu_free_shadow_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    Simplified: the kernel frees at once, because the flush before has waited for those that
        walk page tables with interrupts off; here they are RCU readers, and a grace period
        passes.
    """
    shadow = mmu.shadow
    bucket = page_table_hashfn(mmu.arena.gfns[row])
    shadow.hash[bucket].remove(row)
    if not shadow.hash[bucket]:
        del shadow.hash[bucket]
    del shadow.pages[row]
    mmu.kvm.rcu.call(lambda: _free(mmu, row))


def _free(mmu: MmuState, row: int) -> None:
    mmu.arena.free(row)
    mmu.kvm.trace.emit(MmuPageFreed, row)


def mmu_page_add_parent_pte(mmu: MmuState, row: int, parent_pte: Sptep) -> None:
    """Remember that an entry points to page *row*.

    Kernel: mmu_page_add_parent_pte(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    head = mmu.shadow.pages[row].parent_ptes
    pte_list_add(head, parent_pte, is_6_1=mmu.kvm.choices.is_6_1)


def mmu_page_remove_parent_pte(mmu: MmuState, row: int, parent_pte: Sptep) -> None:
    """Forget that an entry points to page *row*.

    Kernel: mmu_page_remove_parent_pte(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    head = mmu.shadow.pages[row].parent_ptes
    pte_list_remove(head, parent_pte, is_6_1=mmu.kvm.choices.is_6_1)
