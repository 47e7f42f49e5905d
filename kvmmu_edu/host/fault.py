"""Page faults of the process: how memory that was only promised comes to be.

================  ======================================================================
what is there     what a fault does
================  ======================================================================
nothing           a read maps the zero page, a write a page of zeros; 2M where allowed
the zero page     a write gets a page of its own, after KVM was told
a shared page     after fork(): used again if nobody else has it, else copied
no permission     nothing: :class:`~kvmmu_edu.host.gup.HostFault`
================  ======================================================================

Kernel: mm/memory.c (v6.12)
Simplified: no swap, no userfaultfd, no NUMA balancing; all faults take mmap_lock, where the
kernel since 6.4 handles most of the process's own ones under a lock of the VMA.
"""

from typing import TYPE_CHECKING

from kvmmu_edu.host.frames import ZERO_PFN, is_zero_pfn
from kvmmu_edu.host.gup import HostFault
from kvmmu_edu.host.huge_memory import (
    do_huge_pmd_anonymous_page,
    do_huge_pmd_wp_page,
    maybe_mkwrite,
    thp_vma_allowable_order,
)
from kvmmu_edu.host.hugetlb import hugetlb_fault
from kvmmu_edu.host.page_table import (
    ANON_EXCLUSIVE,
    LARGE_FOLIO,
    PAGE_PRESENT,
    PAGE_RW,
    PMD_SHIFT,
    pte_pfn,
)
from kvmmu_edu.host.shmem import do_shared_fault
from kvmmu_edu.host.vma import VM_HUGETLB, VM_READ, VM_WRITE, Vma
from kvmmu_edu.trace.events import HostMapped
from kvmmu_edu.units import PAGE_SHIFT, PAGE_SIZE, PG_LEVEL_4K, Hva

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm


async def handle_mm_fault(mm: "Mm", hva: Hva, *, write: bool) -> None:
    """Handle a fault at *hva*; the access may have to be tried again.

    :raises HostFault: if there is no mapping or it forbids the access
    Locks: mmap_lock for reading.
    Kernel: handle_mm_fault(), mm/memory.c (v6.12)
    """
    vma = mm.vmas.lookup(hva)
    if vma is None:
        raise HostFault(hva, "nothing is mapped there")
    if not vma.vm_flags & (VM_WRITE if write else VM_READ):
        raise HostFault(hva, f"a {'write' if write else 'read'} to {vma}")
    if vma.vm_flags & VM_HUGETLB:
        await hugetlb_fault(mm, vma, hva, write=write)
    else:
        await _handle_mm_fault(mm, vma, hva, write=write)


async def _handle_mm_fault(mm: "Mm", vma: Vma, hva: Hva, *, write: bool) -> None:
    """Handle a fault in memory of small or transparent huge pages.

    Kernel: __handle_mm_fault(), mm/memory.c (v6.12)
    """
    block = mm.page_table.blocks.get(hva >> PMD_SHIFT)
    if (
        block is None
        and thp_vma_allowable_order(mm, vma)
        and do_huge_pmd_anonymous_page(mm, vma, hva, write=write)
    ):
        return
    if isinstance(block, int) and (
        not write or block & PAGE_RW or await do_huge_pmd_wp_page(mm, vma, hva)
    ):
        return
    await _handle_pte_fault(mm, vma, hva, write=write)


async def _handle_pte_fault(mm: "Mm", vma: Vma, hva: Hva, *, write: bool) -> None:
    """Handle a fault in a table of small entries.

    Kernel: handle_pte_fault(), mm/memory.c (v6.12)
    """
    entry, _ = mm.page_table.walk(hva)
    if not entry:
        if vma.file is not None:
            do_shared_fault(mm, vma, hva, write=write)
        else:
            do_anonymous_page(mm, vma, hva, write=write)
    elif write and not entry & PAGE_RW:
        await do_wp_page(mm, vma, hva, entry)


def do_anonymous_page(mm: "Mm", vma: Vma, hva: Hva, *, write: bool) -> None:
    """Map a page of zeros: one of its own for a write, the shared one for a read.

    Kernel: do_anonymous_page(), mm/memory.c (v6.12)
    """
    if write:
        mm.anon_vma_prepare(vma)
        pfn = mm.frames.alloc()
        entry = maybe_mkwrite(pfn << PAGE_SHIFT | PAGE_PRESENT | ANON_EXCLUSIVE, vma)
        why = "a write"
    else:
        pfn = ZERO_PFN
        entry = pfn << PAGE_SHIFT | PAGE_PRESENT
        why = "a read: the zero page"
    mm.page_table.set_pte(hva, entry)
    mm.trace.emit(HostMapped, hva & -PAGE_SIZE, pfn, PG_LEVEL_4K, 1, why)


async def do_wp_page(mm: "Mm", vma: Vma, hva: Hva, entry: int) -> None:
    """Handle a write through a read-only *entry* of a writable mapping.

    A page that nobody else has is made writable, and KVM need not know.  A piece of a huge
    page is never used again: the kernel prefers to give the huge page back.

    Kernel: do_wp_page(), mm/memory.c (v6.12)
    """
    if vma.file is not None:
        mm.page_table.set_pte(hva, entry | PAGE_RW)
    elif is_zero_pfn(pte_pfn(entry)) or entry & (LARGE_FOLIO | ANON_EXCLUSIVE) == LARGE_FOLIO:
        await wp_page_copy(mm, vma, hva, entry)
    else:
        mm.page_table.set_pte(hva, entry | ANON_EXCLUSIVE | PAGE_RW)


async def wp_page_copy(mm: "Mm", vma: Vma, hva: Hva, orig_pte: int) -> None:
    """Give the page of *hva* a copy of its own.

    The copy is made before KVM is told and the entry changed after; whoever was quicker in
    between wins, and the copy is thrown away.

    Kernel: wp_page_copy(), mm/memory.c (v6.12)
    """
    mm.anon_vma_prepare(vma)
    old_pfn = pte_pfn(orig_pte)
    new_pfn = mm.frames.alloc()
    if not is_zero_pfn(old_pfn):
        mm.frames.contents.copy(old_pfn, new_pfn)
    start = hva & -PAGE_SIZE
    async with mm.invalidate(start, start + PAGE_SIZE):
        entry, _ = mm.page_table.walk(hva)
        if entry == orig_pte:
            flags = PAGE_PRESENT | ANON_EXCLUSIVE
            mm.page_table.set_pte(hva, maybe_mkwrite(new_pfn << PAGE_SHIFT | flags, vma))
            mm.trace.emit(HostMapped, start, new_pfn, PG_LEVEL_4K, 1, "copy on write")
            unused = old_pfn
        else:
            unused = new_pfn
    if not is_zero_pfn(unused):
        mm.frames.free(unused)
