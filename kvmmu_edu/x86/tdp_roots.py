"""Roots of the TDP MMU: made once for each role, shared by vCPUs, thrown away all at once.

A root has one reference from the TDP MMU itself and one from each vCPU that uses it.  It is
invalidated under mmu_lock for writing, zapped later under mmu_lock for reading, and freed
when the last vCPU has left it.

Kernel: arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import GetMmuPage, RcuCallbackQueued, RootInvalidated
from kvmmu_edu.x86.mmu_page import role_as_id, role_invalidated, role_is_invalid, role_level
from kvmmu_edu.x86.mmu_state import MmuState, mmu_of
from kvmmu_edu.x86.spte_gate import tdp_mmu_free_sp_rcu_callback

if TYPE_CHECKING:
    from kvmmu_edu.virt.vcpu import KvmVcpu


async def tdp_mmu_alloc_root(vcpu: "KvmVcpu", role: int) -> int:
    """Return the root of that role with a reference for *vcpu*; make it if there is none.

    Locks: takes mmu_lock for reading, and tdp_mmu_pages_lock to make a root.
    Kernel: kvm_tdp_mmu_alloc_root(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    In v6.1: kvm_tdp_mmu_get_vcpu_root_hpa(), under mmu_lock for writing.
    """
    kvm = vcpu.kvm
    mmu = mmu_of(kvm)
    if kvm.choices.is_6_1:
        async with kvm.mmu_lock.write:
            return _find_root(mmu, role) or await _make_root(mmu, role)
    async with kvm.mmu_lock.read:
        return _find_root(mmu, role) or await _make_root(mmu, role)


def _find_root(mmu: MmuState, role: int) -> int:
    """Return a valid root of that role with one reference more, or 0."""
    for root in mmu.roots:
        if mmu.arena.roles[root] == role and tdp_mmu_get_root(mmu, root):
            return root
    return 0


async def _make_root(mmu: MmuState, role: int) -> int:
    async with mmu.tdp_mmu_pages_lock:
        # another vCPU may have been quicker before we got the lock
        found = _find_root(mmu, role)
        if found:
            return found
        root = mmu.arena.alloc(0, role)
        mmu.kvm.trace.emit(GetMmuPage, root, role_as_id(role), 0, role_level(role), role, True)  # noqa: FBT003
        mmu.root_count[root] = 2
        mmu.roots.insert(0, root)
        return root


def tdp_mmu_get_root(mmu: MmuState, root: int) -> bool:
    """Take a reference, unless the last one is gone.

    Kernel: kvm_tdp_mmu_get_root(), arch/x86/kvm/mmu/tdp_mmu.h (v6.12)
    """
    if not mmu.root_count[root]:
        return False
    mmu.root_count[root] += 1
    return True


def tdp_mmu_put_root(mmu: MmuState, root: int) -> None:
    """Drop a reference; the last one frees the root after a grace period.

    :raises KernelBug: the last reference of a valid root was dropped
    Kernel: kvm_tdp_mmu_put_root(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    Simplified: tdp_mmu_pages_lock is not taken around the removal from the list; no task can
        find a root that has no references.
    """
    mmu.root_count[root] -= 1
    if mmu.root_count[root]:
        return
    if not role_is_invalid(mmu.arena.roles[root]):
        raise KernelBug(f"the last reference to root {root} was put although it is valid")
    mmu.roots.remove(root)
    del mmu.root_count[root]
    mmu.kvm.trace.emit(RcuCallbackQueued, root)
    mmu.kvm.rcu.call(lambda: tdp_mmu_free_sp_rcu_callback(mmu, root))


def for_each_tdp_mmu_root_yield_safe(
    mmu: MmuState, as_id: int = -1, *, only_valid: bool = False
) -> Iterator[int]:
    """Yield the roots, holding a reference to the one that the caller works on.

    So the caller may give way; it must run the loop to its end.

    :param as_id: only roots of this address space; -1 for all
    Locks: mmu_lock.
    Kernel: for_each_tdp_mmu_root_yield_safe, arch/x86/kvm/mmu/tdp_mmu.c; tdp_mmu_next_root(),
        arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    root = _next_root(mmu, 0, only_valid=only_valid)
    while root:
        if as_id < 0 or role_as_id(mmu.arena.roles[root]) == as_id:
            yield root
        following = _next_root(mmu, root, only_valid=only_valid)
        tdp_mmu_put_root(mmu, root)
        root = following


def _next_root(mmu: MmuState, previous: int, *, only_valid: bool) -> int:
    start = mmu.roots.index(previous) + 1 if previous else 0
    for root in mmu.roots[start:]:
        valid = not role_is_invalid(mmu.arena.roles[root])
        if (valid or not only_valid) and tdp_mmu_get_root(mmu, root):
            return root
    return 0


def tdp_mmu_invalidate_all_roots(mmu: MmuState) -> None:
    """Mark every root invalid and remember to zap it; vCPUs must then be asked to leave.

    Locks: mmu_lock for writing.
    Kernel: kvm_tdp_mmu_invalidate_all_roots(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    for root in mmu.roots:
        role = mmu.arena.roles[root]
        if not role_is_invalid(role):
            mmu.scheduled_roots_to_zap.add(root)
            mmu.arena.roles[root] = role_invalidated(role)
            mmu.kvm.trace.emit(RootInvalidated, root)
