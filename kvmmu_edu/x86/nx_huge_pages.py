"""NX huge pages: which tables exist only because a huge page may not be executed.

A CPU with the iTLB multihit bug may not execute from huge pages; KVM then maps huge pages
without execute permission and gives an instruction fetch small pages.  The table that holds
them is flagged, and listed if nothing but this rule stands in the way of a huge page.

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
"""

from typing import TYPE_CHECKING

from kvmmu_edu.trace.events import NxHugePageTracked
from kvmmu_edu.x86.mmu_state import MmuState, mmu_of

if TYPE_CHECKING:
    from kvmmu_edu.choices import ModuleParams
    from kvmmu_edu.virt.kvm import Kvm

#: the values of the parameter that switch the rule on, on a CPU without the bug
_ON = ("force", "1", "Y", "y")


def is_nx_huge_page_enabled(kvm: "Kvm") -> bool:
    """Return whether huge pages are mapped without execute permission.

    Kernel: is_nx_huge_page_enabled(), arch/x86/kvm/mmu/mmu_internal.h (v6.12)
    Simplified: the modelled CPU does not have the bug, so "auto" means off.
    """
    return kvm.params.nx_huge_pages in _ON and not mmu_of(kvm).disable_nx_huge_pages


def nx_huge_pages_on(params: "ModuleParams") -> bool:
    """Return whether the rule is on for VMs that have not switched it off for themselves.

    Ours as a function: the variable nx_huge_pages.
    """
    return params.nx_huge_pages in _ON


def nx_hugepage_mitigation_hard_disabled(params: "ModuleParams") -> bool:
    """Return whether the rule can never be switched on any more.

    Ours as a function: a variable of that name.
    """
    return params.nx_huge_pages == "never"


def track_possible_nx_huge_page(mmu: MmuState, sp: int) -> None:
    """Put a table on the list of those that could be a huge page again.

    Locks: tdp_mmu_pages_lock.
    Kernel: track_possible_nx_huge_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: account_huge_nx_page().
    """
    if sp not in mmu.possible_nx_huge_pages:
        mmu.possible_nx_huge_pages[sp] = None
        mmu.kvm.trace.emit(NxHugePageTracked, sp, True)  # noqa: FBT003 - an event's field


def untrack_possible_nx_huge_page(mmu: MmuState, sp: int) -> None:
    """Take a table from that list, if it is there.

    Locks: tdp_mmu_pages_lock.
    Kernel: untrack_possible_nx_huge_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: unaccount_huge_nx_page().
    """
    if sp in mmu.possible_nx_huge_pages:
        del mmu.possible_nx_huge_pages[sp]
        mmu.kvm.trace.emit(NxHugePageTracked, sp, False)  # noqa: FBT003 - an event's field


def unaccount_nx_huge_page(mmu: MmuState, sp: int) -> None:
    """Forget that a table stands in for an NX huge page; it stays where it is.

    Locks: mmu_lock for writing.
    Kernel: unaccount_nx_huge_page(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    mmu.arena.nx_huge_page_disallowed[sp] = False
    untrack_possible_nx_huge_page(mmu, sp)
