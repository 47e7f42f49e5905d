"""The x86 half's answers to what the generic half asks.

Kernel: arch/x86/kvm/x86.c, arch/x86/kvm/mmu/mmu.c (v6.12)
"""

from typing import TYPE_CHECKING

from kvmmu_edu.errors import KvmError
from kvmmu_edu.virt.arch import GfnRange
from kvmmu_edu.virt.memory_slot import Change
from kvmmu_edu.virt.requests import flush_remote_tlbs
from kvmmu_edu.x86 import dirty_log
from kvmmu_edu.x86.lpage_info import LpageInfo
from kvmmu_edu.x86.mmu import mmu_invalidate_mmio_sptes, mmu_zap_all_fast
from kvmmu_edu.x86.mmu_state import X86_QUIRK_SLOT_ZAP_ALL, mmu_of
from kvmmu_edu.x86.rmap import memslot_rmap_alloc, memslot_rmap_free, memslots_have_rmaps
from kvmmu_edu.x86.rmap_walk import rmap_age_gfn_range, rmap_zap_gfn_range
from kvmmu_edu.x86.shadow_zap import MIN_ALLOC_MMU_PAGES, mmu_change_mmu_pages, shadow_zap_all
from kvmmu_edu.x86.slot_arch import SlotArch, arch_of
from kvmmu_edu.x86.tdp_dirty import tdp_mmu_age_gfn_range, tdp_mmu_test_age_gfn
from kvmmu_edu.x86.tdp_zap import (
    tdp_mmu_unmap_gfn_range,
    tdp_mmu_zap_all,
)

if TYPE_CHECKING:
    from kvmmu_edu.units import Gfn
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.memory_slot import MemorySlot

_PAGES_TO_MMU_PAGES_RATIO = 50


class X86:
    """The x86 half of KVM.

    Kernel: arch/x86/kvm/x86.c (v6.12)
    """

    async def prepare_memory_region(
        self, kvm: "Kvm", old: "MemorySlot | None", new: "MemorySlot | None", change: Change
    ) -> None:
        """Make the arrays of a new slot, or let it have those of the old one.

        :raises KvmError: EINVAL, the slot reaches beyond what the tables can map
        Kernel: kvm_arch_prepare_memory_region(), arch/x86/kvm/x86.c (v6.12)
        """
        if new is None:
            return
        if change == Change.FLAGS_ONLY and old is not None:
            new.arch = arch_of(old).copy()
            return
        last = new.base_gfn + new.npages - 1
        if last > mmu_of(kvm).max_gfn:
            why = (
                f"{new} reaches beyond gfn {mmu_of(kvm).max_gfn:#x}, the last one the host can map"
            )
            raise KvmError("EINVAL", why)
        new.arch = SlotArch(LpageInfo(new.base_gfn, new.npages, new.userspace_addr))
        if memslots_have_rmaps(mmu_of(kvm)):
            memslot_rmap_alloc(mmu_of(kvm), new)

    async def flush_shadow_memslot(self, kvm: "Kvm", slot: "MemorySlot") -> None:
        """Remove the mappings of a slot that goes away: by default, all mappings of all slots.

        Kernel: kvm_arch_flush_shadow_memslot(), arch/x86/kvm/mmu/mmu.c (v6.12)
        In v6.1: always everything; there is no quirk to switch that off.
        """
        mmu = mmu_of(kvm)
        if mmu.check_has_quirk(X86_QUIRK_SLOT_ZAP_ALL) or kvm.choices.is_6_1:
            await mmu_zap_all_fast(mmu)
            return
        async with kvm.mmu_lock.write:
            whole = GfnRange(slot, slot.base_gfn, slot.base_gfn + slot.npages)
            if await self.unmap_gfn_range(kvm, whole):
                flush_remote_tlbs(kvm, "kvm_arch_flush_shadow_memslot")

    async def commit_memory_region(
        self, kvm: "Kvm", old: "MemorySlot | None", new: "MemorySlot | None", change: Change
    ) -> None:
        """Adapt the quota of shadow pages, start or stop dirty logging, free old arrays.

        Kernel: kvm_arch_commit_memory_region(), arch/x86/kvm/x86.c (v6.12)
        """
        mmu = mmu_of(kvm)
        if not mmu.n_requested_mmu_pages and change in (Change.CREATE, Change.DELETE):
            wanted = kvm.nr_memslot_pages // _PAGES_TO_MMU_PAGES_RATIO
            await mmu_change_mmu_pages(mmu, max(wanted, MIN_ALLOC_MMU_PAGES))
        await dirty_log.mmu_slot_apply_flags(kvm, old, new, change)
        if change == Change.MOVE and old is not None:
            self.free_memslot(kvm, old)

    async def memslots_updated(self, kvm: "Kvm", generation: int) -> None:
        """Throw everything away if the generation that MMIO SPTEs hold has wrapped.

        Kernel: kvm_arch_memslots_updated(), arch/x86/kvm/x86.c (v6.12)
        """
        await mmu_invalidate_mmio_sptes(kvm, generation)

    def free_memslot(self, kvm: "Kvm", slot: "MemorySlot") -> None:
        """Free the arrays of a slot.

        Kernel: kvm_arch_free_memslot(), arch/x86/kvm/x86.c (v6.12)
        """
        if slot.arch is not None:
            memslot_rmap_free(mmu_of(kvm), slot)
        slot.arch = None

    async def flush_shadow_all(self, kvm: "Kvm") -> None:
        """Remove every mapping: the host process is about to go away.

        Locks: takes mmu_lock for writing.
        Kernel: kvm_arch_flush_shadow_all(), arch/x86/kvm/mmu/mmu.c; kvm_mmu_zap_all(),
            arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        async with kvm.mmu_lock.write:
            await shadow_zap_all(mmu_of(kvm))
            await tdp_mmu_zap_all(mmu_of(kvm))

    async def sync_dirty_log(self, kvm: "Kvm", slot: "MemorySlot") -> None:
        """Do nothing: no CPU logs writes by itself.

        Kernel: kvm_arch_sync_dirty_log(), arch/x86/kvm/x86.c (v6.12)
        Simplified: the modelled CPU has no page-modification logging.
        """

    async def unmap_gfn_range(self, kvm: "Kvm", gfn_range: GfnRange) -> bool:
        """Zap the pages of a range; return whether a flush is owed.

        Locks: mmu_lock for writing.
        Kernel: kvm_unmap_gfn_range(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        mmu, flush = mmu_of(kvm), False
        if memslots_have_rmaps(mmu):
            flush = await rmap_zap_gfn_range(mmu, gfn_range)
        if mmu.tdp_mmu_enabled:
            flush = await tdp_mmu_unmap_gfn_range(mmu, gfn_range, flush=flush)
        return flush

    async def age_gfn(self, kvm: "Kvm", gfn_range: GfnRange) -> bool:
        """Clear the accessed bits of a range; return whether there were any.

        Locks: mmu_lock for writing.
        Kernel: kvm_age_gfn(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        mmu, young = mmu_of(kvm), False
        if memslots_have_rmaps(mmu):
            young = rmap_age_gfn_range(mmu, gfn_range, test_only=False)
        if mmu.tdp_mmu_enabled:
            slot, start, end = gfn_range.slot, gfn_range.start, gfn_range.end
            young |= await tdp_mmu_age_gfn_range(mmu, slot, start, end)
        return young

    async def test_age_gfn(self, kvm: "Kvm", gfn_range: GfnRange) -> bool:
        """Return whether a range has accessed bits.

        Locks: mmu_lock for writing.
        Kernel: kvm_test_age_gfn(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        mmu, young = mmu_of(kvm), False
        if memslots_have_rmaps(mmu):
            young = rmap_age_gfn_range(mmu, gfn_range, test_only=True)
        if mmu.tdp_mmu_enabled:
            slot, start, end = gfn_range.slot, gfn_range.start, gfn_range.end
            young |= tdp_mmu_test_age_gfn(mmu, slot, start, end)
        return young

    async def mmu_enable_log_dirty_pt_masked(
        self, kvm: "Kvm", slot: "MemorySlot", gfn_offset: "Gfn", mask: int
    ) -> None:
        """Arrange that the next write to each page of *mask* is seen.

        Kernel: kvm_arch_mmu_enable_log_dirty_pt_masked(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        await dirty_log.mmu_enable_log_dirty_pt_masked(kvm, slot, gfn_offset, mask)
