"""Removing shadow pages: prepared one by one, then freed together after one flush.

::

    prepare   empty the page, take it out of the entries that point to it, put it on a list
    commit    flush once, then free all pages on the list

A page that is a root in use is emptied and marked, and freed when the last vCPU has left it.
What a removed page pointed to stays, without parents: it may be found and linked again.

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
Simplified: without guest page tables a removed page takes no other page with it, so the walks
    over the list of pages need not start again.
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KvmError
from kvmmu_edu.trace.events import Cause, PrepareZapShadowPage, RootInvalidated, ShadowPagesRecycled
from kvmmu_edu.units import SPTE_ENT_PER_PAGE
from kvmmu_edu.virt.requests import flush_remote_tlbs, make_all_cpus_request
from kvmmu_edu.virt.vcpu import REQ_MMU_FREE_OBSOLETE_ROOTS
from kvmmu_edu.x86.arena import table_of
from kvmmu_edu.x86.mmu_page import role_as_id, role_invalidated, role_is_invalid, role_level
from kvmmu_edu.x86.mmu_state import MmuState, mmu_of
from kvmmu_edu.x86.nx_huge_pages import unaccount_nx_huge_page
from kvmmu_edu.x86.pte_list import Sptep, for_each_rmap_spte
from kvmmu_edu.x86.resched import cond_resched_rwlock_write
from kvmmu_edu.x86.rmap import rmap_remove
from kvmmu_edu.x86.shadow_gate import (
    mmu_spte_clear_no_track,
    mmu_spte_clear_track_bits,
    read_spte,
    sptep_level,
    sptep_of,
)
from kvmmu_edu.x86.shadow_page import (
    is_obsolete_sp,
    mmu_free_shadow_page,
    mmu_page_remove_parent_pte,
)
from kvmmu_edu.x86.spte import is_last_spte, is_shadow_present_pte

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm

MIN_ALLOC_MMU_PAGES: Final = 64
_MIN_FREE_MMU_PAGES: Final = 5
_REFILL_PAGES: Final = 25
_BATCH_ZAP_PAGES: Final = 10


# --- entries --------------------------------------------------------------------------------------


def drop_spte(mmu: MmuState, sptep: Sptep) -> None:
    """Unmap the page that an entry maps.

    Kernel: drop_spte(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if is_shadow_present_pte(mmu_spte_clear_track_bits(mmu, sptep, Cause.ZAP)):
        rmap_remove(mmu, sptep)


def drop_parent_pte(mmu: MmuState, row: int, parent_pte: Sptep) -> None:
    """Unlink page *row* from one of the entries that point to it.

    Kernel: drop_parent_pte(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    mmu_page_remove_parent_pte(mmu, row, parent_pte)
    mmu_spte_clear_no_track(mmu, parent_pte, Cause.ZAP)


def mmu_page_zap_pte(mmu: MmuState, sptep: Sptep) -> None:
    """Empty an entry, whatever it holds.

    Kernel: mmu_page_zap_pte(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    spte = read_spte(mmu, sptep)
    if not is_shadow_present_pte(spte):
        mmu_spte_clear_no_track(mmu, sptep, Cause.ZAP)
    elif is_last_spte(spte, sptep_level(mmu, sptep)):
        drop_spte(mmu, sptep)
    else:
        drop_parent_pte(mmu, table_of(spte), sptep)


# --- pages ----------------------------------------------------------------------------------------


def mmu_prepare_zap_page(mmu: MmuState, row: int, invalid_list: list[int]) -> int:
    """Empty and unlink a page; put it on *invalid_list* unless it is a root in use.

    :returns: how many pages were put there
    Locks: mmu_lock for writing.
    Kernel: __kvm_mmu_prepare_zap_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    arena, page, active = mmu.arena, mmu.shadow.pages[row], mmu.shadow.active_mmu_pages
    role = arena.roles[row]
    what = (row, role_as_id(role), arena.gfns[row], role_level(role), role)
    mmu.kvm.trace.emit(PrepareZapShadowPage, *what, page.mmu_valid_gen, page.root_count)
    _unlink_children(mmu, row)
    for parent_pte in list(for_each_rmap_spte(page.parent_ptes)):
        drop_parent_pte(mmu, row, parent_pte)
    active.pop(row, None)
    zapped_root = False
    if not page.root_count:
        invalid_list.append(row)
        mmu.n_used_mmu_pages -= 1
    else:
        zapped_root = not is_obsolete_sp(mmu, row)
    if arena.nx_huge_page_disallowed[row]:
        unaccount_nx_huge_page(mmu, row)
    if not role_is_invalid(role):
        arena.roles[row] = role_invalidated(role)
        if page.root_count:
            mmu.kvm.trace.emit(RootInvalidated, row)
    # after the mark, so that a vCPU that heeds the request sees it
    if zapped_root:
        make_all_cpus_request(mmu.kvm, REQ_MMU_FREE_OBSOLETE_ROOTS)
    return int(not page.root_count)


def _unlink_children(mmu: MmuState, row: int) -> None:
    """Empty all entries of a page.

    Kernel: kvm_mmu_page_unlink_children(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    used = mmu.arena.spt[row] != mmu.arena.nonpresent
    for index in range(SPTE_ENT_PER_PAGE):
        if used[index]:
            mmu_page_zap_pte(mmu, sptep_of(row, index))


def mmu_commit_zap_page(mmu: MmuState, invalid_list: list[int]) -> None:
    """Flush once, and free the pages on a list; nothing if there are none.

    Locks: mmu_lock for writing.
    Kernel: kvm_mmu_commit_zap_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if not invalid_list:
        return
    flush_remote_tlbs(mmu.kvm, "kvm_mmu_commit_zap_page")
    for row in invalid_list:
        mmu_free_shadow_page(mmu, row)
    invalid_list.clear()


def mmu_remote_flush_or_zap(mmu: MmuState, invalid_list: list[int], *, remote_flush: bool) -> None:
    """Free the pages on a list, or at least do the flush that is owed otherwise.

    Kernel: kvm_mmu_remote_flush_or_zap(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if invalid_list:
        mmu_commit_zap_page(mmu, invalid_list)
    elif remote_flush:
        flush_remote_tlbs(mmu.kvm, "kvm_mmu_remote_flush_or_zap")


# --- quotas ---------------------------------------------------------------------------------------


def mmu_zap_oldest_mmu_pages(mmu: MmuState, nr_to_zap: int) -> int:
    """Zap the oldest pages that are no roots in use; return how many.

    Locks: mmu_lock for writing.
    Kernel: kvm_mmu_zap_oldest_mmu_pages(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    shadow = mmu.shadow
    if not shadow.active_mmu_pages:
        return 0
    total_zapped = 0
    invalid_list: list[int] = []
    for row in list(shadow.active_mmu_pages):
        if shadow.pages[row].root_count:
            continue
        total_zapped += mmu_prepare_zap_page(mmu, row, invalid_list)
        if total_zapped >= nr_to_zap:
            break
    mmu_commit_zap_page(mmu, invalid_list)
    mmu.kvm.trace.emit(ShadowPagesRecycled, total_zapped)
    return total_zapped


def mmu_available_pages(mmu: MmuState) -> int:
    """Return how many pages may still be made.

    Kernel: kvm_mmu_available_pages(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    return max(mmu.n_max_mmu_pages - mmu.n_used_mmu_pages, 0)


def make_mmu_pages_available(mmu: MmuState) -> None:
    """Zap old pages if there is hardly room for the ones that a fault may need.

    :raises KvmError: ENOSPC, there is no room at all
    Locks: mmu_lock for writing.
    Kernel: make_mmu_pages_available(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    available = mmu_available_pages(mmu)
    if available >= _MIN_FREE_MMU_PAGES:
        return
    mmu_zap_oldest_mmu_pages(mmu, _REFILL_PAGES - available)
    if not mmu_available_pages(mmu):
        why = f"{mmu.n_used_mmu_pages} shadow pages are in use, {mmu.n_max_mmu_pages} are allowed"
        raise KvmError("ENOSPC", why)


async def mmu_change_mmu_pages(mmu: MmuState, goal_nr_mmu_pages: int) -> None:
    """Change how many pages there may be; zap those that are too many.

    Locks: takes mmu_lock for writing.
    Kernel: kvm_mmu_change_mmu_pages(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    async with mmu.kvm.mmu_lock.write:
        if mmu.n_used_mmu_pages > goal_nr_mmu_pages:
            mmu_zap_oldest_mmu_pages(mmu, mmu.n_used_mmu_pages - goal_nr_mmu_pages)
            goal_nr_mmu_pages = mmu.n_used_mmu_pages
        mmu.n_max_mmu_pages = goal_nr_mmu_pages


async def vm_ioctl_set_nr_mmu_pages(kvm: "Kvm", npages: int) -> None:
    """Let user space say how many shadow pages there may be.

    :raises KvmError: EINVAL, fewer than 64
    Locks: takes slots_lock, then mmu_lock for writing.
    Kernel: kvm_vm_ioctl_set_nr_mmu_pages(), arch/x86/kvm/x86.c (v6.12)
    """
    if npages < MIN_ALLOC_MMU_PAGES:
        raise KvmError("EINVAL", f"{npages} MMU pages are fewer than {MIN_ALLOC_MMU_PAGES}")
    mmu = mmu_of(kvm)
    async with kvm.slots_lock:
        await mmu_change_mmu_pages(mmu, npages)
        mmu.n_requested_mmu_pages = npages


# --- everything -----------------------------------------------------------------------------------


async def zap_obsolete_pages(mmu: MmuState) -> None:
    """Zap the pages of the generation before, giving way after every ten.

    Pages made meanwhile are of the new generation and stand behind the old ones.

    Locks: slots_lock; mmu_lock for writing, dropped to give way.
    Kernel: kvm_zap_obsolete_pages(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    shadow, batch = mmu.shadow, 0
    while shadow.active_mmu_pages:
        row = next(iter(shadow.active_mmu_pages))
        if not is_obsolete_sp(mmu, row):
            break
        if batch >= _BATCH_ZAP_PAGES and await cond_resched_rwlock_write(mmu):
            batch = 0
            continue
        batch += mmu_prepare_zap_page(mmu, row, shadow.zapped_obsolete_pages)
    mmu_commit_zap_page(mmu, shadow.zapped_obsolete_pages)


async def shadow_zap_all(mmu: MmuState) -> None:
    """Zap every page, as the VM ends.

    Locks: mmu_lock for writing, dropped to give way.
    Ours as a name: the half of a kernel function that is about shadow pages.
    Kernel: kvm_mmu_zap_all(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    shadow = mmu.shadow
    invalid_list: list[int] = []
    while shadow.active_mmu_pages:
        newest = next(reversed(shadow.active_mmu_pages))
        mmu_prepare_zap_page(mmu, newest, invalid_list)
        await cond_resched_rwlock_write(mmu)
    mmu_commit_zap_page(mmu, invalid_list)
