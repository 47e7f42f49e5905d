"""Roots of the direct shadow MMU: pages like all others, counted by the vCPUs that use them.

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
"""

from typing import TYPE_CHECKING

from kvmmu_edu.x86.mmu_page import role_is_invalid
from kvmmu_edu.x86.mmu_state import mmu_of
from kvmmu_edu.x86.shadow_page import mmu_get_shadow_page
from kvmmu_edu.x86.shadow_zap import (
    make_mmu_pages_available,
    mmu_commit_zap_page,
    mmu_prepare_zap_page,
)

if TYPE_CHECKING:
    from kvmmu_edu.virt.vcpu import KvmVcpu


async def mmu_alloc_direct_roots(vcpu: "KvmVcpu", role: int) -> int:
    """Return the root of that role, with a reference for *vcpu*.

    :raises KvmError: ENOSPC, no shadow page may be made
    Locks: takes mmu_lock for writing.
    Kernel: mmu_alloc_direct_roots(), arch/x86/kvm/mmu/mmu.c; mmu_alloc_root(),
        arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    mmu = mmu_of(vcpu.kvm)
    async with vcpu.kvm.mmu_lock.write:
        make_mmu_pages_available(mmu)
        root = mmu_get_shadow_page(mmu, 0, role)
        mmu.shadow.pages[root].root_count += 1
    return root


async def mmu_free_shadow_root(vcpu: "KvmVcpu", root: int) -> None:
    """Drop the reference of *vcpu* to its root; free it if it was invalid and this the last.

    Locks: takes mmu_lock for writing.
    Ours as a name.
    Kernel: mmu_free_root_page(), arch/x86/kvm/mmu/mmu.c; kvm_mmu_free_roots(),
        arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    mmu = mmu_of(vcpu.kvm)
    invalid_list: list[int] = []
    async with vcpu.kvm.mmu_lock.write:
        page = mmu.shadow.pages[root]
        page.root_count -= 1
        if not page.root_count and role_is_invalid(mmu.arena.roles[root]):
            mmu_prepare_zap_page(mmu, root, invalid_list)
        mmu_commit_zap_page(mmu, invalid_list)
