"""Making SPTEs: for a page, a table, a hole, and the pieces of a split page.

Kernel: arch/x86/kvm/mmu/spte.c (v6.12)
"""

from typing import TYPE_CHECKING

import numpy as np

from kvmmu_edu.units import (
    PAGES_PER_HPAGE,
    PG_LEVEL_4K,
    SPTE_ENT_PER_PAGE,
    Gfn,
    Level,
    Pfn,
)
from kvmmu_edu.virt.dirty_log import mark_page_dirty_in_slot
from kvmmu_edu.virt.memory_slot import slot_dirty_track_enabled
from kvmmu_edu.x86.arena import TABLE_PFN_BASE
from kvmmu_edu.x86.mmu_page import role_access, role_level
from kvmmu_edu.x86.nx_huge_pages import is_nx_huge_page_enabled
from kvmmu_edu.x86.spte import (
    ACC_EXEC_MASK,
    ACC_WRITE_MASK,
    MMIO_SPTE_GEN_MASK,
    PT_PAGE_SIZE_MASK,
    PT_WRITABLE_MASK,
    SPTE_MMU_PRESENT_MASK,
    SpteArray,
    clear_bits,
    generation_mmio_spte_mask,
    is_last_spte,
    is_writable_pte,
)

if TYPE_CHECKING:
    from kvmmu_edu.virt.memory_slot import MemorySlot
    from kvmmu_edu.x86.mmu_state import MmuState


def make_spte(
    mmu: "MmuState",
    role: int,
    slot: "MemorySlot",
    gfn: Gfn,
    pfn: Pfn,
    *,
    old_spte: int,
    prefetch: bool,
    host_writable: bool,
) -> int:
    """Return the SPTE that maps *gfn* to *pfn* in a table of that role.

    A writable page of a slot that is being logged is marked dirty here: the write that
    follows will not be seen.

    :param old_spte: what the entry holds now; if it is writable, the new one is not marked
        dirty, because the old one will be asked
    :param prefetch: the guest did not touch the page: leave the accessed bit clear
    :param host_writable: whether the host process may write to the page
    Kernel: make_spte(), arch/x86/kvm/mmu/spte.c (v6.12)
    Simplified: no memory encryption and no guest PAT; they do not change what is mapped.
    """
    fmt = mmu.fmt
    level = role_level(role)
    access = role_access(role)
    spte = fmt.every_page | pfn << 12
    if not prefetch:
        spte |= fmt.shadow_accessed_mask
    if level > PG_LEVEL_4K:
        spte |= PT_PAGE_SIZE_MASK
        if is_nx_huge_page_enabled(mmu.kvm):
            access &= ~ACC_EXEC_MASK
    spte |= fmt.exec_and_user[access]
    if not host_writable:
        return spte
    spte |= fmt.shadow_host_writable_mask
    if access & ACC_WRITE_MASK:
        spte |= PT_WRITABLE_MASK | fmt.shadow_mmu_writable_mask
        if not (is_writable_pte(old_spte) and is_last_spte(old_spte, level)):
            spte |= fmt.shadow_dirty_mask
        if slot_dirty_track_enabled(slot):
            mark_page_dirty_in_slot(mmu.kvm, slot, gfn)
    return spte


def make_nonleaf_spte(mmu: "MmuState", child: int) -> int:
    """Return the SPTE that points to table *child*.

    Kernel: make_nonleaf_spte(), arch/x86/kvm/mmu/spte.c (v6.12)
    """
    fmt = mmu.fmt
    return (
        SPTE_MMU_PRESENT_MASK
        | ((TABLE_PFN_BASE + child) << 12)
        | fmt.shadow_present_mask
        | PT_WRITABLE_MASK
        | fmt.shadow_user_mask
        | fmt.shadow_x_mask
        | fmt.shadow_accessed_mask
    )


def make_mmio_spte(mmu: "MmuState", generation: int, gfn: Gfn, access: int) -> int:
    """Return the SPTE that says: no memory at *gfn*, as of this slot generation.

    Kernel: make_mmio_spte(), arch/x86/kvm/mmu/spte.c (v6.12)
    """
    fmt = mmu.fmt
    spte = generation_mmio_spte_mask(generation & MMIO_SPTE_GEN_MASK)
    return spte | fmt.shadow_mmio_value | (access & fmt.shadow_mmio_access_mask) | (gfn << 12)


def make_huge_page_split_spte(mmu: "MmuState", huge_spte: int, child_level: Level) -> SpteArray:
    """Return the 512 SPTEs of *child_level* that together map what *huge_spte* maps.

    4K pieces become executable where NX huge pages are on: the rule is about huge pages.

    :returns: uint64[512]
    Kernel: make_huge_page_split_spte(), arch/x86/kvm/mmu/spte.c (v6.12)
    """
    child = huge_spte
    if child_level == PG_LEVEL_4K:
        child = clear_bits(child, PT_PAGE_SIZE_MASK)
        if is_nx_huge_page_enabled(mmu.kvm):
            child = clear_bits(child, mmu.fmt.shadow_nx_mask) | mmu.fmt.shadow_x_mask
    step = np.uint64(PAGES_PER_HPAGE[child_level] << 12)
    return np.uint64(child) + np.arange(SPTE_ENT_PER_PAGE, dtype=np.uint64) * step
