"""Making and removing mappings.

Each new mapping lies below the earlier ones, with a gap between them, so no two become one.

Kernel: mm/mmap.c, mm/vma.c (v6.12)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.host.hugetlb import hugetlb_addresses
from kvmmu_edu.host.modify import split_vma
from kvmmu_edu.host.page_table import PMD_SIZE, PUD_SIZE
from kvmmu_edu.host.shmem import ShmemFile
from kvmmu_edu.host.vma import (
    VM_HUGEPAGE,
    VM_HUGETLB,
    VM_NOHUGEPAGE,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
    Vma,
)
from kvmmu_edu.host.zap import MmuGather, unmap_single_vma
from kvmmu_edu.trace.events import HostUnmapped
from kvmmu_edu.units import (
    PAGE_SIZE,
    PAGES_PER_HPAGE,
    PG_LEVEL_1G,
    PG_LEVEL_2M,
    PG_LEVEL_4K,
    Hva,
    Level,
)

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm

#: where the first mapping ends
MMAP_TOP: Final = 0x7F80_0000_0000
_GAP: Final = PMD_SIZE


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of memory: its VMA flags, page size as a level, and alignment in bytes.  Ours."""

    vm_flags: int
    level: Level = PG_LEVEL_4K
    align: int = PMD_SIZE

    @property
    def page_size(self) -> int:
        """Return the size of its pages, bytes."""
        return PAGES_PER_HPAGE[self.level] * PAGE_SIZE


KINDS: Final = {
    "anon4k": Kind(VM_NOHUGEPAGE),
    "thp": Kind(VM_HUGEPAGE),
    "huge2m": Kind(VM_HUGETLB, PG_LEVEL_2M, PMD_SIZE),
    "huge1g": Kind(VM_HUGETLB, PG_LEVEL_1G, PUD_SIZE),
    "shm": Kind(VM_SHARED),
}


def kind_named(name: str) -> Kind:
    """Return the kind of memory called *name*.

    :raises UsageError: if there is none
    Ours.
    """
    if name not in KINDS:
        raise UsageError(f"the kind of memory is {name!r}; expected one of {', '.join(KINDS)}")
    return KINDS[name]


def do_mmap(mm: "Mm", name: str, kind: Kind, nbytes: int, *, align: int, skew: int) -> Vma:
    """Map *nbytes*, rounded up to whole pages, at a multiple of *align* plus *skew* bytes.

    :raises KvmError: EINVAL for no bytes or a place that is no whole page, ENOMEM if there is
        no room for so much or the pool of huge pages has not enough
    Kernel: do_mmap(), mm/mmap.c (v6.12)
    """
    vma = Vma(0, 0, kind.vm_flags | VM_READ | VM_WRITE, name, kind.level)
    size = kind.page_size
    if nbytes <= 0 or align <= 0 or align % size or skew % size:
        what = f"{nbytes} bytes at a multiple of {align} plus {skew}"
        raise KvmError("EINVAL", f"{what}; expected more than 0 bytes, and multiples of {size}")
    length = -(-nbytes // size) * size
    start = (mm.mmap_base - _GAP - length - skew) // align * align + skew
    if start < 0:
        raise KvmError("ENOMEM", f"no room for {length} bytes below {mm.mmap_base:#x}")
    if kind.vm_flags & VM_HUGETLB:
        mm.hstates[kind.level].reserve(length // size)
    if kind.vm_flags & VM_SHARED:
        vma.file = ShmemFile(mm.frames)
    vma.start, vma.end = start, start + length
    mm.mmap_base = vma.start
    mm.vmas.insert(vma)
    return vma


async def do_munmap(mm: "Mm", start: Hva, nbytes: int) -> None:
    """Remove what is mapped in a range; holes in it are no error.

    The VMAs go first, then the pages: a fault in between finds no mapping.

    :raises KvmError: EINVAL if the range is not whole pages, or cuts a page of hugetlbfs
    Kernel: do_vmi_munmap(), mm/vma.c (v6.12)
    """
    end = start + -(-nbytes // PAGE_SIZE) * PAGE_SIZE
    if start % PAGE_SIZE or nbytes <= 0:
        raise KvmError("EINVAL", f"munmap of {nbytes} bytes at {start:#x}; expected whole pages")
    async with mm.mmap_lock.write:
        gone = await _detach(mm, start, end)
    if not gone:
        return
    async with mm.mmap_lock.read:
        await _unmap_region(mm, gone, start, end)


async def _detach(mm: "Mm", start: Hva, end: Hva) -> list[Vma]:
    """Cut the VMAs at both ends of the range, and take those inside out.

    Kernel: vms_gather_munmap_vmas(), mm/vma.c (v6.12)
    """
    for vma in mm.vmas.intersecting(start, end):
        if vma.start < start:
            await split_vma(mm, vma, start, new_below=True)
        if vma.end > end:
            await split_vma(mm, vma, end, new_below=False)
    gone = mm.vmas.intersecting(start, end)
    for vma in gone:
        mm.vmas.remove(vma)
    return gone


async def _unmap_region(mm: "Mm", gone: list[Vma], start: Hva, end: Hva) -> None:
    """Unmap the pages of VMAs that are gone, under one notice for the whole range.

    Kernel: unmap_vmas(), mm/memory.c; vms_clear_ptes(), mm/vma.c (v6.12)
    Simplified: mmap_lock is given back and taken again where the kernel downgrades it; new
    mappings never use old addresses, so nobody can come between.
    """
    gather = MmuGather(mm)
    async with mm.invalidate(start, end):
        for vma in gone:
            await unmap_single_vma(mm, vma, vma.start, vma.end, gather)
        if gather.unmapped:
            mm.trace.emit(HostUnmapped, start, end, "munmap")
    gather.finish()
    for vma in gone:
        _close(mm, vma)
    below, above = mm.vmas.neighbours(start, end)
    mm.page_table.free_pgtables(below.end if below else 0, above.start if above else 1 << 47)


def _close(mm: "Mm", vma: Vma) -> None:
    """Give back what a VMA held besides its pages.

    Kernel: hugetlb_vm_op_close(), mm/hugetlb.c; shmem_evict_inode(), mm/shmem.c (v6.12)
    """
    if vma.vm_flags & VM_HUGETLB:
        mm.hstates[vma.level].unreserve((vma.end - vma.start) // vma.page_size)
    file = vma.file
    if file is not None and all(other.file is not file for other in mm.vmas):
        file.truncate_range(0, 1 << 52)


def hugetlb_pages(mm: "Mm", level: Level) -> tuple[int, int]:
    """Return how many pages of hugetlbfs of *level* are mapped, and how many mappings hold.

    Ours: for checks.
    """
    vmas = [vma for vma in mm.vmas if vma.vm_flags & VM_HUGETLB and vma.level == level]
    mapped = sum(len(hugetlb_addresses(mm.page_table, v, v.start, v.end)) for v in vmas)
    return mapped, sum((v.end - v.start) // v.page_size for v in vmas)
