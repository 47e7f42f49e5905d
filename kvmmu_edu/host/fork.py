"""fork(): from here on each page has two owners, and a write needs a copy.

The child ends at once.  What stays is what matters to KVM: every private page became
read-only, so the SPTEs went, and the next write comes through a fault.  By then the page has
one owner again and is made writable without a copy, but for pieces of huge pages.

Kernel: kernel/fork.c, mm/memory.c (v6.12)
"""

from typing import TYPE_CHECKING

from kvmmu_edu.host.hugetlb import hugetlb_addresses
from kvmmu_edu.host.page_table import ANON_EXCLUSIVE, PAGE_RW, entries_of
from kvmmu_edu.host.vma import VM_DONTCOPY, VM_HUGETLB, VM_SHARED, VM_WIPEONFORK, Vma
from kvmmu_edu.trace.events import HostProtected

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm


async def dup_mmap(mm: "Mm") -> None:
    """Do to the process's memory what a fork does; the child is gone when it returns.

    Locks: mmap_lock for writing.
    Kernel: dup_mmap(), kernel/fork.c (v6.12)
    """
    async with mm.mmap_lock.write:
        for vma in mm.vmas:
            if not vma.vm_flags & (VM_DONTCOPY | VM_WIPEONFORK):
                await copy_page_range(mm, vma)


async def copy_page_range(mm: "Mm", vma: Vma) -> None:
    """Write-protect a VMA whose pages a child shares now.

    Shared memory stays as it is, and a VMA without a page of its own has nothing to copy: of
    neither KVM hears.

    Kernel: copy_page_range(), vma_needs_copy(), mm/memory.c (v6.12)
    """
    if not vma.anon_vma or vma.vm_flags & VM_SHARED:
        return
    async with mm.invalidate(vma.start, vma.end):
        _write_protect(mm, vma)
        mm.trace.emit(HostProtected, vma.start, vma.end, "r", "fork")


def _write_protect(mm: "Mm", vma: Vma) -> None:
    """Make every page of *vma* read-only and shared.

    Kernel: copy_present_ptes(), mm/memory.c; copy_huge_pmd(), mm/huge_memory.c;
    copy_hugetlb_page_range(), mm/hugetlb.c (v6.12)
    """
    keep = ~(PAGE_RW | ANON_EXCLUSIVE)
    table = mm.page_table
    if vma.vm_flags & VM_HUGETLB:
        for haddr in hugetlb_addresses(table, vma, vma.start, vma.end):
            entry, level = table.walk(haddr)
            table.set_huge(haddr, level, entry & keep)
        return
    for number in table.blocks_in(vma.start, vma.end):
        block = table.blocks[number]
        if isinstance(block, int):
            table.blocks[number] = block & keep
        else:
            first, last = table.indexes(number, vma.start, vma.end)
            entries_of(block)[first:last] &= keep
