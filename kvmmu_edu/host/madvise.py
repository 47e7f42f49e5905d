"""madvise(): what the process says about its memory, and what the host does about it.

==================  =====================================================================
advice              effect
==================  =====================================================================
dontneed            the pages are freed, of shared memory only the entries
free                they may be freed when memory is short: here, never
remove              a hole in shared memory
hugepage            transparent huge pages from the next fault on; nohugepage: no more
collapse            make huge pages of small ones, now
populate-read       fault everything in, as reads or as writes (populate-write)
cold, pageout       only that a huge page is split of which a part is meant
dontfork, dofork    whether a child gets it: what is not copied, fork() need not protect
mergeable           noted for KSM, which is left out: pages are never merged
the others          noted, or nothing
==================  =====================================================================

Kernel: mm/madvise.c (v6.12)
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.host.frames import is_zero_pfn
from kvmmu_edu.host.gup import HostFault, fault_in
from kvmmu_edu.host.huge_memory import split_folio
from kvmmu_edu.host.khugepaged import madvise_collapse
from kvmmu_edu.host.modify import vma_modify
from kvmmu_edu.host.page_table import LARGE_FOLIO, PMD_SHIFT, PMD_SIZE, Table, entries_of, pte_pfn
from kvmmu_edu.host.vma import (
    VM_DONTCOPY,
    VM_DONTDUMP,
    VM_HUGEPAGE,
    VM_HUGETLB,
    VM_MERGEABLE,
    VM_NOHUGEPAGE,
    VM_RAND_READ,
    VM_SEQ_READ,
    VM_SHARED,
    VM_WIPEONFORK,
    VM_WRITE,
    Vma,
)
from kvmmu_edu.host.zap import zap_page_range_single
from kvmmu_edu.units import PAGE_SHIFT, PAGE_SIZE, PAGES_PER_HPAGE, Hva

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm

#: names and numbers of the advice, as in the C interface
ADVICE: Final = {
    "normal": 0,
    "random": 1,
    "sequential": 2,
    "willneed": 3,
    "dontneed": 4,
    "free": 8,
    "remove": 9,
    "dontfork": 10,
    "dofork": 11,
    "mergeable": 12,
    "unmergeable": 13,
    "hugepage": 14,
    "nohugepage": 15,
    "dontdump": 16,
    "dodump": 17,
    "wipeonfork": 18,
    "keeponfork": 19,
    "cold": 20,
    "pageout": 21,
    "populate-read": 22,
    "populate-write": 23,
    "dontneed-locked": 24,
    "collapse": 25,
}

#: advice that only changes flags: bits to clear, bits to set
_FLAGS: Final = {
    "normal": (VM_RAND_READ | VM_SEQ_READ, 0),
    "random": (VM_SEQ_READ, VM_RAND_READ),
    "sequential": (VM_RAND_READ, VM_SEQ_READ),
    "dontfork": (0, VM_DONTCOPY),
    "dofork": (VM_DONTCOPY, 0),
    "mergeable": (0, VM_MERGEABLE),
    "unmergeable": (VM_MERGEABLE, 0),
    "hugepage": (VM_NOHUGEPAGE, VM_HUGEPAGE),
    "nohugepage": (VM_HUGEPAGE, VM_NOHUGEPAGE),
    "dontdump": (0, VM_DONTDUMP),
    "dodump": (VM_DONTDUMP, 0),
    "wipeonfork": (0, VM_WIPEONFORK),
    "keeponfork": (VM_WIPEONFORK, 0),
}


def advice_named(advice: str | int) -> str:
    """Return the name of an advice given by name or number.

    :raises UsageError: for a name that is not known
    :raises KvmError: EINVAL for a number that the kernel does not know
    Ours: the system call takes the number.
    """
    text = str(advice).lower().replace("_", "-").removeprefix("madv-")
    if text in ADVICE:
        return text
    try:
        number = int(text, 0)
    except ValueError:
        raise UsageError(f"the advice is {advice!r}; expected one of {', '.join(ADVICE)}") from None
    for name, value in ADVICE.items():
        if value == number:
            return name
    raise KvmError("EINVAL", f"there is no advice number {number}")


async def do_madvise(mm: "Mm", start: Hva, nbytes: int, advice: str | int) -> None:
    """Act upon an advice about a range of addresses.

    :raises KvmError: EINVAL for a range or memory that it does not suit; ENOMEM if something
        of it is not mapped (what is mapped was done)
    Kernel: do_madvise(), mm/madvise.c (v6.12)
    """
    name = advice_named(advice)
    if start % PAGE_SIZE or nbytes < 0:
        what = f"madvise of {nbytes} bytes at {start:#x}"
        raise KvmError("EINVAL", f"{what}; expected the beginning of a page, and no negative size")
    end = start + -(-nbytes // PAGE_SIZE) * PAGE_SIZE
    if name.startswith("populate"):
        await _madvise_populate(mm, start, end, write=name == "populate-write")
    elif name in _FLAGS:
        async with mm.mmap_lock.write:
            await _walk_vmas(mm, start, end, name)
    elif name == "collapse":
        await _walk_vmas(mm, start, end, name)
    else:
        async with mm.mmap_lock.read:
            await _walk_vmas(mm, start, end, name)


async def _walk_vmas(mm: "Mm", start: Hva, end: Hva, name: str) -> None:
    """Act on one VMA after the other, ascending; holes are reported at the end.

    Kernel: madvise_walk_vmas(), mm/madvise.c (v6.12)
    """
    here = start
    hole: Hva | None = None
    for vma in mm.vmas.intersecting(start, end):
        if vma.start > here:
            hole = here
        part = max(start, vma.start), min(end, vma.end)
        await _vma_behavior(mm, vma, *part, name)
        here = part[1]
    if here < end:
        hole = here
    if hole is not None:
        raise KvmError("ENOMEM", f"nothing is mapped at {hole:#x}")


async def _vma_behavior(mm: "Mm", vma: Vma, start: Hva, end: Hva, name: str) -> None:
    """Act on a part of one VMA.

    Kernel: madvise_vma_behavior(), mm/madvise.c (v6.12)
    """
    if name in _FLAGS:
        await _update_flags(mm, vma, start, end, name)
    elif name in {"dontneed", "dontneed-locked"}:
        await _dontneed(mm, vma, start, end, name)
    elif name == "free":
        await _free_single_vma(mm, vma, start, end)
    elif name == "remove":
        await _remove(mm, vma, start, end)
    elif name in {"cold", "pageout"} and vma.is_anonymous():
        await _split_partial_folios(mm, vma, start, end)
    elif name == "collapse":
        await madvise_collapse(mm, vma, start, end)


async def _update_flags(mm: "Mm", vma: Vma, start: Hva, end: Hva, name: str) -> None:
    """Change flags; a part that differs becomes a VMA of its own, which may split huge pages.

    Kernel: madvise_update_vma(), mm/madvise.c (v6.12)
    """
    if name == "wipeonfork" and not vma.is_anonymous():
        raise KvmError("EINVAL", f"wipeonfork is for private memory, not for {vma}")
    clear, add = _FLAGS[name]
    vm_flags = vma.vm_flags & ~clear | add
    if vm_flags != vma.vm_flags:
        await vma_modify(mm, vma, start, end, vm_flags)


async def _dontneed(mm: "Mm", vma: Vma, start: Hva, end: Hva, name: str) -> None:
    """Take the pages away; of hugetlbfs only whole pages.

    Kernel: madvise_dontneed_free(), madvise_dontneed_free_valid_vma(), mm/madvise.c (v6.12)
    """
    if vma.vm_flags & VM_HUGETLB:
        if start % vma.page_size:
            raise KvmError("EINVAL", f"{start:#x} is inside a huge page of {vma}")
        end -= end % vma.page_size
    if start < end:
        await zap_page_range_single(mm, vma, start, end, f"madvise {name}")


async def _free_single_vma(mm: "Mm", vma: Vma, start: Hva, end: Hva) -> None:
    """Tell the listeners; the pages stay, for memory is never short here.

    Kernel: madvise_free_single_vma(), mm/madvise.c (v6.12)
    """
    if not vma.is_anonymous():
        raise KvmError("EINVAL", f"free is for private memory, not for {vma}")
    async with mm.invalidate(start, end):
        await _split_partial_folios(mm, vma, start, end)


async def _split_partial_folios(mm: "Mm", vma: Vma, start: Hva, end: Hva) -> None:
    """Split the huge pages of which only a part lies in the range.

    Kernel: madvise_free_pte_range(), madvise_free_huge_pmd(), mm/madvise.c (v6.12)
    In v6.1: one that is mapped by small entries is split even if all of it is meant.
    """
    for number in mm.page_table.blocks_in(start, end):
        block = mm.page_table.blocks.get(number)
        first = max(start, number << PMD_SHIFT)
        last = min(end, (number + 1) << PMD_SHIFT)
        whole = last - first == PMD_SIZE
        if isinstance(block, int):
            partial = not whole and not is_zero_pfn(pte_pfn(block))
        else:
            partial = block is not None and _cuts_folio(block, first, last, always=mm.is_6_1)
        if partial:
            await split_folio(mm, vma, first)


def _cuts_folio(table: Table, first: Hva, last: Hva, *, always: bool) -> bool:
    """Return whether a huge page that *table* maps lies only partly in the range."""
    entries = entries_of(table)
    index = (first >> PAGE_SHIFT) & 511
    large = (entries & LARGE_FOLIO) != 0
    inside = large[index : index + ((last - first) >> PAGE_SHIFT)]
    return bool(inside.any()) and (always or not inside.all() or len(inside) < len(large))


async def _remove(mm: "Mm", vma: Vma, start: Hva, end: Hva) -> None:
    """Make a hole in the file behind shared memory.

    Kernel: madvise_remove(), mm/madvise.c; shmem_fallocate(), mm/shmem.c (v6.12)
    """
    if vma.file is None or not vma.vm_flags & VM_SHARED:
        raise KvmError("EINVAL", f"remove is for shared memory, not for {vma}")
    if not vma.vm_flags & VM_WRITE:
        raise KvmError("EACCES", f"a hole in {vma}")
    await zap_page_range_single(mm, vma, start, end, "madvise remove")
    first = vma.pgoff + (start - vma.start) // PAGE_SIZE
    vma.file.truncate_range(first, first + (end - start) // PAGE_SIZE)


async def _madvise_populate(mm: "Mm", start: Hva, end: Hva, *, write: bool) -> None:
    """Fault every page of the range in.

    :raises KvmError: ENOMEM where nothing is mapped, EINVAL where the access is not allowed
    Kernel: madvise_populate(), mm/madvise.c (v6.12)
    """
    here = start
    while here < end:
        if mm.vmas.lookup(here) is None:
            raise KvmError("ENOMEM", f"nothing is mapped at {here:#x}")
        try:
            page = await fault_in(mm, here, write=write)
        except HostFault as fault:
            raise KvmError("EINVAL", fault.why) from None
        size = PAGES_PER_HPAGE[page.level] * PAGE_SIZE
        here = (here & -size) + size
