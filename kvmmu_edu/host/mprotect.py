"""Changing what the process may do with its memory.

The entries get the rights of the mapping; a page that only this process has becomes writable
at once where the mapping is, other pages wait for the write fault that may copy them.

Kernel: mm/mprotect.c (v6.12)
"""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.host.hugetlb import hugetlb_addresses
from kvmmu_edu.host.modify import vma_modify
from kvmmu_edu.host.page_table import (
    ANON_EXCLUSIVE,
    PAGE_PRESENT,
    PAGE_PROTNONE,
    PAGE_RW,
    PMD_SHIFT,
    PUD_SHIFT,
    entries_of,
)
from kvmmu_edu.host.vma import (
    VM_ACCESS_FLAGS,
    VM_HUGETLB,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
    Vma,
)
from kvmmu_edu.trace.events import HostProtected
from kvmmu_edu.units import PAGE_SIZE, Hva

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm

_ACCESS: Final = {"none": 0, "r": VM_READ, "rw": VM_READ | VM_WRITE}
#: 512 GiB, what one entry of the top-level table spans
_P4D_SIZE: Final = 1 << 39


async def do_mprotect(mm: "Mm", start: Hva, nbytes: int, access: str) -> None:
    """Give [*start*, *start* + *nbytes*) the rights *access*: ``r``, ``rw`` or ``none``.

    :raises KvmError: EINVAL if it does not begin with a page, or cuts one of hugetlbfs; ENOMEM
        if something of it is not mapped (what lies before has its new rights)
    Kernel: do_mprotect_pkey(), mm/mprotect.c (v6.12)
    """
    if access not in _ACCESS:
        raise UsageError(f"the access is {access!r}; expected one of {', '.join(_ACCESS)}")
    if start % PAGE_SIZE:
        raise KvmError("EINVAL", f"mprotect at {start:#x}, which is inside a page")
    if nbytes < 0:
        raise KvmError("ENOMEM", f"mprotect of {nbytes} bytes ends before it begins")
    end = start + -(-nbytes // PAGE_SIZE) * PAGE_SIZE
    async with mm.mmap_lock.write:
        here = start
        while here < end:
            vma = mm.vmas.lookup(here)
            if vma is None:
                raise KvmError("ENOMEM", f"nothing is mapped at {here:#x}")
            until = min(vma.end, end)
            await _mprotect_fixup(mm, vma, here, until, _ACCESS[access])
            here = until


async def _mprotect_fixup(mm: "Mm", vma: Vma, start: Hva, end: Hva, access: int) -> None:
    """Change the rights of a part of one VMA.

    Kernel: mprotect_fixup(), mm/mprotect.c (v6.12)
    """
    vm_flags = vma.vm_flags & ~VM_ACCESS_FLAGS | access
    if vm_flags == vma.vm_flags:
        return
    vma = await vma_modify(mm, vma, start, end, vm_flags)
    mm.trace.emit(HostProtected, start, end, vma.access(), "mprotect")
    await change_protection(mm, vma, start, end)


async def change_protection(mm: "Mm", vma: Vma, start: Hva, end: Hva) -> None:
    """Give the entries of a part of *vma* the rights of *vma*.

    Listeners hear of it unless there is no table that could have entries.

    Kernel: change_protection(), change_pud_range(), mm/mprotect.c; hugetlb_change_protection(),
    mm/hugetlb.c (v6.12)
    In v6.1: change_pmd_range() tells the listeners, once for each 1G of addresses and from the
    first table of small entries on.
    """
    if vma.vm_flags & VM_HUGETLB:
        async with mm.invalidate(start, end):
            _hugetlb_change_protection(mm, vma, start, end)
        return
    span = 1 << PUD_SHIFT if mm.is_6_1 else _P4D_SIZE
    for base in range(start & -span, end, span):
        chunk_end = min(end, base + span)
        first = _first_table(mm, max(start, base), chunk_end)
        if first is not None:
            async with mm.invalidate(first, chunk_end):
                _change_pmd_range(mm, vma, first, chunk_end)


def _first_table(mm: "Mm", start: Hva, end: Hva) -> Hva | None:
    """Return from where on there are tables in the range, as far as this kernel looks."""
    if mm.is_6_1:
        blocks = mm.page_table.blocks_in(start, end)
        return max(start, blocks[0] << PMD_SHIFT) if blocks else None
    gigas = [
        g for g in mm.page_table.pmd_pages if start >> PUD_SHIFT <= g <= (end - 1) >> PUD_SHIFT
    ]
    return max(start, min(gigas) << PUD_SHIFT) if gigas else None


def _change_pmd_range(mm: "Mm", vma: Vma, start: Hva, end: Hva) -> None:
    """Change block by block; a huge entry lies wholly in the range, the cut of the VMA saw to it.

    Kernel: change_pmd_range(), mm/mprotect.c (v6.12)
    """
    for number in mm.page_table.blocks_in(start, end):
        block = mm.page_table.blocks[number]
        if isinstance(block, int):
            keep_ro = mm.is_6_1
            mm.page_table.blocks[number] = _change_huge_pmd(block, vma, keep_ro=keep_ro)
            continue
        first, last = mm.page_table.indexes(number, start, end)
        _change_pte_range(entries_of(block)[first:last], vma)


def _change_huge_pmd(entry: int, vma: Vma, *, keep_ro: bool) -> int:
    """Return a huge *entry* with the rights of *vma*.

    Kernel: change_huge_pmd(), mm/huge_memory.c (v6.12)
    In v6.1: it never becomes writable here, the next write fault makes it so.
    """
    one = np.array([entry], dtype=np.int64)
    _change_pte_range(one, vma)
    entry = int(one[0])
    return entry & ~PAGE_RW if keep_ro else entry


def _change_pte_range(entries: NDArray[np.int64], vma: Vma) -> None:
    """Change small entries in place.

    Kernel: change_pte_range(), can_change_pte_writable(), mm/mprotect.c (v6.12)
    """
    there = entries != 0
    entries[there] &= ~(PAGE_PRESENT | PAGE_RW | PAGE_PROTNONE)
    entries[there] |= PAGE_PRESENT if vma.vm_flags & VM_READ else PAGE_PROTNONE
    if vma.vm_flags & VM_WRITE:
        ours = there if vma.vm_flags & VM_SHARED else (entries & ANON_EXCLUSIVE) != 0
        entries[ours] |= PAGE_RW


def _hugetlb_change_protection(mm: "Mm", vma: Vma, start: Hva, end: Hva) -> None:
    """Change pages of hugetlbfs; they become writable by the next write fault only.

    Kernel: hugetlb_change_protection(), mm/hugetlb.c (v6.12)
    """
    for haddr in hugetlb_addresses(mm.page_table, vma, start, end):
        entry, level = mm.page_table.walk(haddr)
        entry = entry & ~(PAGE_PRESENT | PAGE_RW | PAGE_PROTNONE)
        entry |= PAGE_PRESENT if vma.vm_flags & VM_READ else PAGE_PROTNONE
        mm.page_table.set_huge(haddr, level, entry)
