"""The gate of the shadow MMU: every change of an entry of a shadow page, told and counted.

All but the fast page fault and the CPU itself hold mmu_lock for writing here, so an entry is
stored plainly, or exchanged where those two may have changed it.  The kernel traces none of
these changes; they have an event of their own.

==================================  =====================================================
:func:`mmu_spte_set`                an empty entry gets a table, a page, or an MMIO SPTE
:func:`mmu_spte_update`             a present one changes, but maps the same page
:func:`mmu_spte_clear_track_bits`   a page is not mapped any more
:func:`mmu_spte_clear_no_track`     a table or an MMIO SPTE is gone
==================================  =====================================================

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
"""

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import Cause, ShadowSpteChanged
from kvmmu_edu.units import PAGES_PER_HPAGE, SPTE_ENT_PER_PAGE, Gfn, Level
from kvmmu_edu.x86.mmu_page import role_as_id, role_level
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.pte_list import Sptep
from kvmmu_edu.x86.spte import (
    clear_bits,
    is_accessed_spte,
    is_dirty_spte,
    is_mmu_writable_spte,
    is_shadow_present_leaf,
    is_shadow_present_pte,
    is_writable_pte,
    spte_to_pfn,
)


def sptep_of(table: int, index: int) -> Sptep:
    """Return the pointer to an entry.

    Ours: an address in the kernel.
    """
    return table * SPTE_ENT_PER_PAGE + index


def table_and_index(sptep: Sptep) -> tuple[int, int]:
    """Return the table that an entry is in, and its column.

    Ours as a name.
    Kernel: sptep_to_sp(), arch/x86/kvm/mmu/spte.h; spte_index(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return divmod(sptep, SPTE_ENT_PER_PAGE)


def sptep_level(mmu: MmuState, sptep: Sptep) -> Level:
    """Return the level of an entry.

    Ours: ``sptep_to_sp(sptep)->role.level``.
    """
    return role_level(mmu.arena.roles[sptep // SPTE_ENT_PER_PAGE])


def mmu_page_get_gfn(mmu: MmuState, sptep: Sptep) -> Gfn:
    """Return the first frame that an entry translates.

    Kernel: kvm_mmu_page_get_gfn(), arch/x86/kvm/mmu/mmu.c (v6.12)
    Simplified: all pages are direct: nothing but their position says what entries translate.
    """
    table, index = table_and_index(sptep)
    return mmu.arena.gfns[table] + index * PAGES_PER_HPAGE[role_level(mmu.arena.roles[table])]


def read_spte(mmu: MmuState, sptep: Sptep) -> int:
    """Return an entry.

    Ours: ``*sptep``.
    """
    return mmu.arena.words[sptep]


def _store(mmu: MmuState, sptep: Sptep, new: int, cause: Cause) -> int:
    """Exchange an entry; return what it was."""
    old = mmu.arena.words[sptep]
    mmu.arena.words[sptep] = new
    if old != new:
        table, index = table_and_index(sptep)
        role = mmu.arena.roles[table]
        level = role_level(role)
        leaves = is_shadow_present_leaf(new, level) - is_shadow_present_leaf(old, level)
        where = (role_as_id(role), level, mmu_page_get_gfn(mmu, sptep), table, index)
        mmu.kvm.trace.emit(ShadowSpteChanged, *where, old, new, cause, leaves)
    return old


def mmu_spte_set(mmu: MmuState, sptep: Sptep, new: int, cause: Cause) -> None:
    """Fill an entry in which nothing is present.

    :raises KernelBug: something is
    Locks: mmu_lock for writing.
    Kernel: mmu_spte_set(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if is_shadow_present_pte(read_spte(mmu, sptep)):
        raise KernelBug(f"entry {table_and_index(sptep)} would be overwritten by {new:#x}")
    _store(mmu, sptep, new, cause)


def mmu_spte_update(mmu: MmuState, sptep: Sptep, new: int, cause: Cause) -> bool:
    """Change an entry but not the page it maps; return whether a flush is owed.

    One is owed where access was taken away that a CPU may still have in its TLB.  An entry
    that may be made writable without a lock counts as writable: it may just have been.

    :raises KernelBug: another page would be mapped
    Locks: mmu_lock for writing.
    Kernel: mmu_spte_update(), arch/x86/kvm/mmu/mmu.c (v6.12)
    Simplified: no reporting of accessed and dirty pages to the host.
    """
    fmt = mmu.fmt
    old = _store(mmu, sptep, new, cause)
    if not is_shadow_present_pte(old):
        return False
    if spte_to_pfn(old) != spte_to_pfn(new):
        raise KernelBug(f"entry {table_and_index(sptep)} maps another page: {old:#x} -> {new:#x}")
    return bool(
        (is_mmu_writable_spte(old, fmt) and not is_writable_pte(new))
        or (is_accessed_spte(old, fmt) and not is_accessed_spte(new, fmt))
        or (is_dirty_spte(old, fmt) and not is_dirty_spte(new, fmt))
    )


def mmu_spte_clear_track_bits(mmu: MmuState, sptep: Sptep, cause: Cause) -> int:
    """Empty an entry that may map a page; return what it held.

    Locks: mmu_lock for writing.
    Kernel: mmu_spte_clear_track_bits(), arch/x86/kvm/mmu/mmu.c (v6.12)
    Simplified: no reporting of accessed and dirty pages to the host.
    """
    return _store(mmu, sptep, mmu.fmt.SHADOW_NONPRESENT_VALUE, cause)


def mmu_spte_clear_no_track(mmu: MmuState, sptep: Sptep, cause: Cause) -> None:
    """Empty an entry that maps no page.

    Locks: mmu_lock for writing.
    Kernel: mmu_spte_clear_no_track(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    _store(mmu, sptep, mmu.fmt.SHADOW_NONPRESENT_VALUE, cause)


def spte_clear_accessed(mmu: MmuState, sptep: Sptep) -> None:
    """Clear the accessed bit of an entry; the caller decides about a flush.

    Locks: mmu_lock for writing.
    Ours as a function: clear_bit() in the kernel.
    """
    cleared = clear_bits(read_spte(mmu, sptep), mmu.fmt.shadow_accessed_mask)
    _store(mmu, sptep, cleared, Cause.AGE)
