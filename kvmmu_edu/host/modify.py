"""Cutting and joining VMAs, which cuts huge pages as well.

A mapping that shall have two kinds of rights becomes two.  If the cut goes through a block of
2M, the block is split, and KVM hears of all of it: mprotect() of one page drops the SPTEs of
the 511 around it too.

Kernel: mm/vma.c (v6.12)
Simplified: no accounting of committed memory, which can keep two VMAs from being joined.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from kvmmu_edu.errors import KvmError
from kvmmu_edu.host.huge_memory import split_huge_pmd_if_needed
from kvmmu_edu.host.vma import VM_ACCESS_FLAGS, VM_HUGETLB, Vma
from kvmmu_edu.units import PAGE_SIZE, Hva

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm


async def vma_modify(mm: "Mm", vma: Vma, start: Hva, end: Hva, vm_flags: int) -> Vma:
    """Return a VMA that begins or lies at [*start*, *end*) and may get *vm_flags*.

    It is joined with a neighbour that has these flags, or cut off its VMA.

    Locks: mmap_lock for writing.
    Kernel: vma_modify(), mm/vma.c (v6.12)
    """
    merged = await _vma_merge_existing_range(mm, vma, start, end, vm_flags)
    if merged is not None:
        return merged
    if vma.start < start:
        await split_vma(mm, vma, start, new_below=True)
    if vma.end > end:
        await split_vma(mm, vma, end, new_below=False)
    vma.vm_flags = vm_flags
    return vma


async def split_vma(mm: "Mm", vma: Vma, hva: Hva, *, new_below: bool) -> Vma:
    """Cut *vma* at *hva*; return the new one, below or above; *vma* keeps the rest.

    :raises KvmError: EINVAL in the middle of a page of hugetlbfs
    Kernel: __split_vma(), mm/vma.c (v6.12)
    """
    if hva % vma.page_size:
        raise KvmError("EINVAL", f"{hva:#x} is not a multiple of the huge pages of {vma}")
    await split_huge_pmd_if_needed(mm, vma, hva)
    if new_below:
        new = replace(vma, end=hva)
        mm.vmas.move_start(vma, hva)
    else:
        new = replace(vma, start=hva, pgoff=vma.pgoff + (hva - vma.start) // PAGE_SIZE)
        vma.end = hva
    mm.vmas.insert(new)
    return new


def anon_vma_prepare(mm: "Mm", vma: Vma) -> None:
    """Note that *vma* has, or soon has, pages of its own.

    A neighbour that was cut off it before shares its number, so that they can be joined again.

    Kernel: __anon_vma_prepare(), mm/rmap.c; find_mergeable_anon_vma(), mm/vma.c (v6.12)
    """
    if vma.anon_vma:
        return
    below, above = mm.vmas.neighbours(vma.start, vma.end)
    for near in (above, below):
        if near is not None and near.anon_vma and _anon_vma_compatible(near, vma):
            vma.anon_vma = near.anon_vma
            return
    mm.anon_vmas += 1
    vma.anon_vma = mm.anon_vmas


def _anon_vma_compatible(a: Vma, b: Vma) -> bool:
    """Return whether two VMAs could become one if their rights were the same.

    Kernel: anon_vma_compatible(), mm/vma.c (v6.12)
    """
    return (
        (a.end == b.start or b.end == a.start)
        and a.is_anonymous()
        and b.is_anonymous()
        and not (a.vm_flags ^ b.vm_flags) & ~VM_ACCESS_FLAGS
    )


def _can_vma_merge(below: Vma | None, above: Vma | None, vm_flags: int) -> bool:
    """Return whether two VMAs become one when both have *vm_flags*.

    Kernel: can_vma_merge_left(), mm/vma.c (v6.12)
    """
    if below is None or above is None or below.end != above.start or vm_flags & VM_HUGETLB:
        return False
    same_file = below.file is above.file and (
        below.file is None or below.pgoff + (below.end - below.start) // PAGE_SIZE == above.pgoff
    )
    same_anon = not below.anon_vma or not above.anon_vma or below.anon_vma == above.anon_vma
    return same_file and same_anon


async def _vma_merge_existing_range(
    mm: "Mm", vma: Vma, start: Hva, end: Hva, vm_flags: int
) -> Vma | None:
    """Join a part of *vma*, which will have *vm_flags*, with the VMAs beside it.

    Return the VMA that it is in then, or None if there is none to join it with.

    Kernel: vma_merge_existing_range(), mm/vma.c (v6.12)
    """
    below, above = mm.vmas.neighbours(vma.start, vma.end)
    at_start, at_end = start == vma.start, end == vma.end
    left = below if at_start and _flags(below) == vm_flags else None
    right = above if at_end and _flags(above) == vm_flags else None
    left = left if _can_vma_merge(left, vma, vm_flags) else None
    right = right if _can_vma_merge(vma, right, vm_flags) else None
    if left is not None:
        if not at_end:
            await split_huge_pmd_if_needed(mm, vma, end)
        await _extend(mm, left, vma, end, right)
        return left
    if right is not None:
        if not at_start:
            await split_huge_pmd_if_needed(mm, vma, start)
        right.anon_vma = right.anon_vma or vma.anon_vma
        if at_start:
            mm.vmas.remove(vma)
        else:
            vma.end = start
        mm.vmas.move_start(right, start)
    return right


async def _extend(mm: "Mm", left: Vma, vma: Vma, end: Hva, right: Vma | None) -> None:
    left.anon_vma = left.anon_vma or vma.anon_vma
    if end < vma.end:
        mm.vmas.move_start(vma, end)
    else:
        mm.vmas.remove(vma)
    left.end = end
    if right is not None:
        left.anon_vma = left.anon_vma or right.anon_vma
        mm.vmas.remove(right)
        left.end = right.end


def _flags(vma: Vma | None) -> int | None:
    return vma.vm_flags if vma is not None else None
