"""The MMU of a vCPU and of the VM: loading roots, leaving them, throwing all away.

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
"""

from typing import TYPE_CHECKING

from kvmmu_edu.trace.events import VcpuTlbFlush, ZapAllFast
from kvmmu_edu.virt.requests import check_request, make_all_cpus_request
from kvmmu_edu.virt.vcpu import REQ_MMU_FREE_OBSOLETE_ROOTS
from kvmmu_edu.x86.cpu import Cpu
from kvmmu_edu.x86.guest import Guest
from kvmmu_edu.x86.mmu_page import calc_tdp_mmu_root_page_role
from kvmmu_edu.x86.mmu_state import MmuState, mmu_of
from kvmmu_edu.x86.shadow_page import is_obsolete_sp
from kvmmu_edu.x86.shadow_roots import mmu_alloc_direct_roots, mmu_free_shadow_root
from kvmmu_edu.x86.shadow_zap import zap_obsolete_pages
from kvmmu_edu.x86.spte import MMIO_SPTE_GEN_MASK
from kvmmu_edu.x86.tdp_roots import (
    tdp_mmu_alloc_root,
    tdp_mmu_invalidate_all_roots,
    tdp_mmu_put_root,
)
from kvmmu_edu.x86.tdp_zap import tdp_mmu_zap_invalidated_roots
from kvmmu_edu.x86.tlb import Tlb

if TYPE_CHECKING:
    from kvmmu_edu.units import Gfn, Gpa
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.vcpu import KvmVcpu


class VcpuArch:
    """What the x86 half keeps for a vCPU; only its own task uses it.

    :ivar root: the row of the root in use, 0 for none
    :ivar root_role: the role that a root must have
    :ivar mmio_gfn: the frame of the last MMIO access, -1 for none
    :ivar mmio_gen: the slot generation at that time
    :ivar last_retry: 6.1 only: instruction and gpa of the last retry before emulation

    Kernel: struct kvm_vcpu_arch, arch/x86/include/asm/kvm_host.h (v6.12)
    """

    __slots__ = ("cpu", "last_retry", "mmio_gen", "mmio_gfn", "root", "root_role")

    def __init__(self, vcpu: "KvmVcpu", guest: Guest, *, tlb_empty_at_entry: bool) -> None:
        """Make the state of a vCPU that has no root yet."""
        self.root = 0
        self.root_role = calc_tdp_mmu_root_page_role()
        self.cpu = Cpu(vcpu, mmu_of(vcpu.kvm), guest, Tlb(empty_at_entry=tlb_empty_at_entry))
        self.mmio_gfn: Gfn = -1
        self.mmio_gen = -1
        self.last_retry: tuple[int | None, Gpa] | None = None


async def mmu_reload(vcpu: "KvmVcpu") -> None:
    """Make sure that the vCPU has a valid root.

    Kernel: kvm_mmu_reload(), arch/x86/kvm/mmu.h (v6.12)
    """
    if check_request(vcpu, REQ_MMU_FREE_OBSOLETE_ROOTS):
        await mmu_free_obsolete_roots(vcpu)
    if not vcpu.arch.root:
        await mmu_load(vcpu)


async def mmu_load(vcpu: "KvmVcpu") -> None:
    """Take a root, and flush: what the TLB may hold of an earlier one is unknown.

    That flush is why freeing a root needs none.

    Kernel: kvm_mmu_load(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    alloc = tdp_mmu_alloc_root if mmu_of(vcpu.kvm).tdp_mmu_enabled else mmu_alloc_direct_roots
    vcpu.arch.root = await alloc(vcpu, vcpu.arch.root_role)
    vcpu.arch.cpu.tlb.flush()
    vcpu.kvm.trace.emit(VcpuTlbFlush, vcpu.vcpu_id, "a new root", False)  # noqa: FBT003


async def mmu_free_obsolete_roots(vcpu: "KvmVcpu") -> None:
    """Leave a root that was invalidated.

    Locks: takes mmu_lock.
    Kernel: kvm_mmu_free_obsolete_roots(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    mmu = mmu_of(vcpu.kvm)
    root = vcpu.arch.root
    if root and is_obsolete_sp(mmu, root):
        await mmu_free_roots(vcpu)


async def mmu_free_roots(vcpu: "KvmVcpu") -> None:
    """Drop the vCPU's reference to its root.

    Locks: takes mmu_lock for reading; without the TDP MMU, for writing.
    Kernel: kvm_mmu_free_roots(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    root = vcpu.arch.root
    if not root:
        return
    vcpu.arch.root = 0
    if mmu_of(vcpu.kvm).tdp_mmu_enabled:
        async with vcpu.kvm.mmu_lock.read:
            tdp_mmu_put_root(mmu_of(vcpu.kvm), root)
    else:
        await mmu_free_shadow_root(vcpu, root)


async def mmu_zap_all_fast_front_half(mmu: MmuState) -> None:
    """Invalidate all roots and ask all vCPUs to leave them, in one critical section.

    Shadow pages become obsolete by the change of the generation, and are zapped here.

    Locks: slots_lock; mmu_lock for writing, dropped to give way while shadow pages are zapped.
    Kernel: __kvm_mmu_zap_all_fast_front_half(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    mmu.kvm.trace.emit(ZapAllFast, mmu.mmu_valid_gen, mmu.n_used_mmu_pages)
    mmu.mmu_valid_gen ^= 1
    if mmu.tdp_mmu_enabled:
        tdp_mmu_invalidate_all_roots(mmu)
    make_all_cpus_request(mmu.kvm, REQ_MMU_FREE_OBSOLETE_ROOTS)
    await zap_obsolete_pages(mmu)


async def mmu_zap_all_fast_back_half(mmu: MmuState) -> None:
    """Zap the TDP roots that were invalidated.

    Locks: slots_lock; takes mmu_lock for reading.
    Kernel: __kvm_mmu_zap_all_fast_back_half(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if mmu.tdp_mmu_enabled:
        await tdp_mmu_zap_invalidated_roots(mmu)


async def mmu_zap_all_fast(mmu: MmuState) -> None:
    """Throw away every mapping of the VM.

    Locks: slots_lock; takes mmu_lock for writing, then for reading.
    Kernel: kvm_mmu_zap_all_fast(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    async with mmu.kvm.mmu_lock.write:
        await mmu_zap_all_fast_front_half(mmu)
    await mmu_zap_all_fast_back_half(mmu)


async def mmu_invalidate_mmio_sptes(kvm: "Kvm", generation: int) -> None:
    """Throw everything away in the rare case that the generation in MMIO SPTEs has wrapped.

    Kernel: kvm_mmu_invalidate_mmio_sptes(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    address_space_bit = 1
    if not generation & MMIO_SPTE_GEN_MASK & ~address_space_bit:
        await mmu_zap_all_fast(mmu_of(kvm))
