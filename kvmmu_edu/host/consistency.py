"""Do mappings, entries and frames agree?  And all of it as plain values.

Ours: what the kernel asserts in many places, in one.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.errors import InvariantError, ensure
from kvmmu_edu.host.frames import FIRST_FREE_PFN, is_zero_pfn
from kvmmu_edu.host.page_table import (
    ANON_EXCLUSIVE,
    LARGE_FOLIO,
    PAGE_PRESENT,
    PAGE_PROTNONE,
    PAGE_RW,
    PMD_SHIFT,
    PMD_SIZE,
    entries_of,
    pte_pfn,
)
from kvmmu_edu.host.vma import VM_READ, VM_SHARED, VM_WRITE, Vma
from kvmmu_edu.units import (
    PAGE_SHIFT,
    PAGES_PER_HPAGE,
    PG_LEVEL_1G,
    PG_LEVEL_2M,
    PG_LEVEL_4K,
    Level,
)

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm


def check_entries(mm: "Mm") -> None:
    """Raise unless every entry lies in a mapping that allows what the entry allows."""
    table = mm.page_table
    huge = {number: block for number, block in table.blocks.items() if isinstance(block, int)}
    _check_huge(mm, PG_LEVEL_1G, table.gigas)
    _check_huge(mm, PG_LEVEL_2M, huge)
    for number, block in table.blocks.items():
        hva = number << PMD_SHIFT
        ensure(table.has_pmd(hva), f"block {hva:#x} is mapped but has no table above it")
        if not isinstance(block, int):
            _check_table(mm, number, entries_of(block))


def _check_huge(mm: "Mm", level: Level, found: dict[int, int]) -> None:
    """Check the huge entries of *level*, given by the number of their page."""
    size = PAGES_PER_HPAGE[level] << PAGE_SHIFT
    hvas = np.array(sorted(found), dtype=np.int64) * size
    entries = np.array([found[number] for number in sorted(found)], dtype=np.int64)
    left = np.ones(len(hvas), dtype=np.bool_)
    for vma in mm.vmas:
        inside = slice(*np.searchsorted(hvas, (vma.start, vma.end - size + 1)))
        if not len(hvas[inside]):
            continue
        left[inside] = False
        ensure(
            vma.level == level or (vma.is_anonymous() and level == PG_LEVEL_2M),
            f"the level {level} entry at {hvas[inside][0]:#x} is present but {vma} has pages of "
            f"level {vma.level}",
        )
        _check_rights(vma, entries[inside])
    if left.any():
        where = f"{int(hvas[left][0]):#x}"
        raise InvariantError(f"the level {level} entry at {where} is present but not inside a VMA")
    pieces = hvas[(entries & LARGE_FOLIO) != 0]
    ensure(not len(pieces), f"huge entries are marked as pieces of one, at {pieces[:1].tolist()}")


def _check_table(mm: "Mm", number: int, entries: NDArray[np.int64]) -> None:
    """Check the small entries of block *number*."""
    hva = number << PMD_SHIFT
    left = entries != 0
    for vma in mm.vmas.intersecting(hva, hva + PMD_SIZE):
        first, last = mm.page_table.indexes(number, vma.start, vma.end)
        _check_rights(vma, entries[first:last])
        left[first:last] = False
    if left.any():
        where = hva + (int(left.argmax()) << PAGE_SHIFT)
        raise InvariantError(f"the entry at {where:#x} is present but no VMA is there")


def _check_rights(vma: Vma, entries: NDArray[np.int64]) -> None:
    """Check what entries allow against what *vma* allows; int64[n]."""
    there = entries[entries != 0]
    readable = PAGE_PRESENT if vma.vm_flags & VM_READ else PAGE_PROTNONE
    wrong = ""
    if ((there & (PAGE_PRESENT | PAGE_PROTNONE)) != readable).any():
        wrong = "present bit differs from the right to read"
    writable = there[(there & PAGE_RW) != 0]
    if len(writable) and not vma.vm_flags & VM_WRITE:
        wrong = "writable bit is set, without the right to write"
    if len(writable) and not vma.vm_flags & VM_SHARED:
        ours = (writable & ANON_EXCLUSIVE) != 0
        if not (ours & (writable >> PAGE_SHIFT >= FIRST_FREE_PFN)).all():
            wrong = "writable bit is set, but its page is not exclusive"
    if wrong:
        raise InvariantError(f"an entry's {wrong}: {vma}")


def check_frames(mm: "Mm") -> None:
    """Raise unless each frame that was ever used has exactly one owner or is free."""
    ranges = [mm.frames.free_ranges(), _private_ranges(mm)]
    files = {id(vma.file): vma.file for vma in mm.vmas if vma.file is not None}
    ranges += [_runs(file.pfns()) for file in files.values()]
    for level, hstate in mm.hstates.items():
        pool = np.array(sorted(hstate.pool), dtype=np.int64)
        ranges.append(np.stack((pool, pool + PAGES_PER_HPAGE[level]), axis=1))
    owned = np.concatenate(ranges)
    owned = owned[np.argsort(owned[:, 0], kind="stable")]
    edges = np.concatenate(([FIRST_FREE_PFN], owned[:, 1]))
    starts = np.concatenate((owned[:, 0], [mm.frames.next_pfn]))
    wrong = np.flatnonzero(starts != edges)
    if len(wrong):
        start, edge = int(starts[wrong[0]]), int(edges[wrong[0]])
        what = "has no owner and is not free" if start > edge else "has two owners"
        raise InvariantError(f"frame {min(start, edge):#x} {what}")


def _private_ranges(mm: "Mm") -> NDArray[np.int64]:
    """Return the frames that private entries map, as rows [first, end); int64[n, 2]."""
    huge = [(pte_pfn(e), PAGES_PER_HPAGE[PG_LEVEL_1G]) for e in mm.page_table.gigas.values()]
    small = [np.zeros(0, dtype=np.int64)]
    shared = [vma for vma in mm.vmas if vma.file is not None]
    for number, block in mm.page_table.blocks.items():
        if isinstance(block, int):
            huge.append((pte_pfn(block), PAGES_PER_HPAGE[PG_LEVEL_2M]))
            continue
        entries = entries_of(block).copy()
        for vma in shared:
            first, last = mm.page_table.indexes(number, vma.start, vma.end)
            entries[first : max(first, last)] = 0
        pfns = entries >> PAGE_SHIFT
        small.append(pfns[pfns >= FIRST_FREE_PFN])
    rows = [(pfn, pfn + npages) for pfn, npages in huge if not is_zero_pfn(pfn)]
    return np.concatenate(
        (np.array(rows, dtype=np.int64).reshape(-1, 2), _runs(np.concatenate(small)))
    )


def _runs(pfns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return frames as rows [first, end) of those that follow one another; int64[n, 2]."""
    pfns = np.sort(pfns)
    breaks = np.flatnonzero(np.diff(pfns) != 1) + 1
    firsts = np.concatenate((pfns[:1], pfns[breaks]))
    ends = np.concatenate((pfns[breaks - 1], pfns[-1:])) + 1
    return np.stack((firsts, ends), axis=1)


def snapshot(mm: "Mm") -> dict[str, Any]:
    """Return all state of the process's memory as plain values."""
    names = {PG_LEVEL_4K: "4K", PG_LEVEL_2M: "2M", PG_LEVEL_1G: "1G"}
    return {
        "vmas": [(v.start, v.end, v.vm_flags, v.name, v.pgoff, v.anon_vma) for v in mm.vmas],
        "entries": [(hva, names[level], e) for hva, level, e in mm.page_table.mappings()],
        "tables": sorted(n for n, b in mm.page_table.blocks.items() if not isinstance(b, int)),
        "pmd_pages": sorted(mm.page_table.pmd_pages),
        "contents": {pfn: dict(words) for pfn, words in sorted(mm.frames.contents.words.items())},
        "free": mm.frames.free_ranges().tolist(),
        "next_pfn": mm.frames.next_pfn,
        "pools": {
            names[level]: (h.nr_huge_pages, h.free_huge_pages, h.resv_huge_pages)
            for level, h in mm.hstates.items()
        },
    }
