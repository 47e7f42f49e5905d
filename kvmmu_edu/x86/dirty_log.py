"""Dirty logging on the x86 side: what happens to mappings when it starts, stops, is cleared.

Starting: split huge pages if that is wanted, take write access from all pages, flush once.
Clearing: take write access from the pages whose bits were cleared.
Stopping: remove the tables that stand where huge pages could be.

Kernel: arch/x86/kvm/x86.c, arch/x86/kvm/mmu/mmu.c (v6.12)
Simplified: no page-modification logging; the modelled CPU reports writes by faults.
"""

from typing import TYPE_CHECKING

from kvmmu_edu.units import PG_LEVEL_2M, PG_LEVEL_4K, Gfn, Level, gfn_round_for_level
from kvmmu_edu.virt.dirty_bitmap import dirty_log_manual_protect_and_init_set
from kvmmu_edu.virt.memory_slot import MEM_LOG_DIRTY_PAGES, MEM_READONLY, Change
from kvmmu_edu.virt.requests import flush_remote_tlbs_memslot
from kvmmu_edu.x86.mmu_state import mmu_of
from kvmmu_edu.x86.rmap import memslots_have_rmaps
from kvmmu_edu.x86.rmap_walk import (
    rmap_remove_write_access,
    rmap_write_protect_gfn,
    rmap_write_protect_pt_masked,
    rmap_zap_collapsible_sptes,
)
from kvmmu_edu.x86.tdp_dirty import (
    tdp_mmu_clear_dirty_pt_masked,
    tdp_mmu_write_protect_gfn,
    tdp_mmu_wrprot_slot,
    tdp_mmu_zap_collapsible_sptes,
)
from kvmmu_edu.x86.tdp_split import tdp_mmu_try_split_huge_pages

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.memory_slot import MemorySlot


async def mmu_slot_apply_flags(
    kvm: "Kvm", old: "MemorySlot | None", new: "MemorySlot | None", change: Change
) -> None:
    """Start or stop dirty logging of a slot, if that is what changed.

    Read-only slots need nothing: they cannot be dirtied.

    Locks: slots_lock.
    Kernel: kvm_mmu_slot_apply_flags(), arch/x86/kvm/x86.c (v6.12)
    """
    if change != Change.FLAGS_ONLY or new is None or old is None or new.flags & MEM_READONLY:
        return
    if not new.flags & MEM_LOG_DIRTY_PAGES:
        await mmu_zap_collapsible_sptes(kvm, new)
        return
    # with everything dirty from the start nothing needs to be caught yet
    if dirty_log_manual_protect_and_init_set(kvm):
        return
    if kvm.params.eager_page_split:
        await mmu_slot_try_split_huge_pages(kvm, new, PG_LEVEL_4K)
    await mmu_slot_remove_write_access(kvm, new, PG_LEVEL_4K)
    # outside mmu_lock: the slot has to be protected before user space reads the log, not sooner
    flush_remote_tlbs_memslot(kvm, new, "kvm_mmu_slot_apply_flags")


async def mmu_slot_try_split_huge_pages(
    kvm: "Kvm", slot: "MemorySlot", target_level: Level
) -> None:
    """Split the huge pages of a slot, so that vCPUs need not do it one fault at a time.

    The shadow MMU does not do so for guests that are not nested.

    Locks: slots_lock; takes mmu_lock for reading.
    Kernel: kvm_mmu_slot_try_split_huge_pages(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if not mmu_of(kvm).tdp_mmu_enabled:
        return
    async with kvm.mmu_lock.read:
        await tdp_mmu_try_split_huge_pages(
            mmu_of(kvm),
            slot,
            slot.base_gfn,
            slot.base_gfn + slot.npages,
            target_level,
            shared=True,
        )


async def mmu_slot_remove_write_access(kvm: "Kvm", slot: "MemorySlot", start_level: Level) -> None:
    """Take write access from all pages of a slot of at least *start_level*.

    Locks: slots_lock; takes mmu_lock, for writing where there are reverse maps.
    Kernel: kvm_mmu_slot_remove_write_access(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    mmu = mmu_of(kvm)
    if memslots_have_rmaps(mmu):
        async with kvm.mmu_lock.write:
            await rmap_remove_write_access(mmu, slot, start_level)
    if mmu.tdp_mmu_enabled:
        async with kvm.mmu_lock.read:
            await tdp_mmu_wrprot_slot(mmu, slot, start_level)


async def mmu_zap_collapsible_sptes(kvm: "Kvm", slot: "MemorySlot") -> None:
    """Remove tables of a slot that is no longer logged, where huge pages could be.

    Locks: slots_lock; takes mmu_lock, for writing where there are reverse maps.
    Kernel: kvm_mmu_zap_collapsible_sptes(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    mmu = mmu_of(kvm)
    if memslots_have_rmaps(mmu):
        async with kvm.mmu_lock.write:
            await rmap_zap_collapsible_sptes(mmu, slot)
    if mmu.tdp_mmu_enabled:
        async with kvm.mmu_lock.read:
            await tdp_mmu_zap_collapsible_sptes(mmu, slot)


async def mmu_enable_log_dirty_pt_masked(
    kvm: "Kvm", slot: "MemorySlot", gfn_offset: Gfn, mask: int
) -> None:
    """Arrange that the next write to each of up to 64 pages is seen.

    Where everything was dirty from the start, huge pages are only met now: they are split,
    or at least write-protected so that a write splits them.

    :param gfn_offset: the page of bit 0, counted from the start of the slot
    Locks: slots_lock; mmu_lock for writing.
    Kernel: kvm_arch_mmu_enable_log_dirty_pt_masked(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: the last page of the mask is left out of the range to split.
    """
    mmu = mmu_of(kvm)
    base = slot.base_gfn + gfn_offset
    if dirty_log_manual_protect_and_init_set(kvm):
        start = base + (mask & -mask).bit_length() - 1
        end = base + mask.bit_length() - 1
        if kvm.params.eager_page_split and mmu.tdp_mmu_enabled:
            past = end if kvm.choices.is_6_1 else end + 1
            await tdp_mmu_try_split_huge_pages(mmu, slot, start, past, PG_LEVEL_4K, shared=False)
        await mmu_slot_gfn_write_protect(kvm, slot, start, PG_LEVEL_2M)
        if _rounded_up(start) != _rounded_up(end):
            await mmu_slot_gfn_write_protect(kvm, slot, end, PG_LEVEL_2M)
    if mmu.tdp_mmu_enabled:
        await tdp_mmu_clear_dirty_pt_masked(mmu, slot, base, mask)
    if memslots_have_rmaps(mmu):
        rmap_write_protect_pt_masked(mmu, slot, base, mask)


async def mmu_slot_gfn_write_protect(
    kvm: "Kvm", slot: "MemorySlot", gfn: Gfn, min_level: Level
) -> bool:
    """Take write access from the page of at least *min_level* that maps *gfn*, for good.

    :returns: whether a flush is owed
    Locks: mmu_lock for writing.
    Kernel: kvm_mmu_slot_gfn_write_protect(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    mmu, write_protected = mmu_of(kvm), False
    if memslots_have_rmaps(mmu):
        write_protected = rmap_write_protect_gfn(mmu, slot, gfn, min_level)
    if mmu.tdp_mmu_enabled:
        write_protected |= await tdp_mmu_write_protect_gfn(mmu, slot, gfn, min_level)
    return write_protected


def _rounded_up(gfn: Gfn) -> Gfn:
    return gfn_round_for_level(gfn + 511, PG_LEVEL_2M)
