"""The 512 entries of a page table as runs of equal ones.

An entry's looks are packed into a small code, for all entries of a table at once; a run ends
where the code changes.  Ours; what the bits mean is in ``kvmmu_edu/x86/spte.py``.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.units import LEVEL_NAMES, Level
from kvmmu_edu.x86.spte import (
    PT_PRESENT_MASK,
    SpteFormat,
    is_accessed_spte,
    is_dirty_spte,
    is_executable_pte,
    is_frozen_spte,
    is_mmio_spte,
    is_mmu_writable_spte,
    is_shadow_present_leaf,
    is_shadow_present_pte,
    is_shadow_present_table,
    is_writable_pte,
    spte_to_pfn,
)

EMPTY, FROZEN, MMIO, LINK, LEAF = range(5)
_WRITE, _EXEC, _ACCESSED, _DIRTY, _MMU_WRITABLE, _HOST_WRITABLE, _READ = (8 << n for n in range(7))

_LEAF_KINDS: Final = ("", "leaf4k", "leaf2m", "leaf1g")


class SpteView(NamedTuple):
    """What an entry says, for people.

    :ivar kind: a kind of the palette
    :ivar what: ``4K``, ``2M``, ``1G``, ``table``, ``MMIO``, ``frozen`` or ``empty``
    :ivar flags: ``RWX D A`` with ``-`` for what is not allowed; empty where nothing is
    """

    kind: str
    what: str
    flags: str

    def __str__(self) -> str:
        """Return both in a few words."""
        return f"{self.what} {self.flags}".rstrip()


class Run(NamedTuple):
    """Neighbouring entries with equal looks: columns [*start*, *stop*)."""

    start: int
    stop: int
    code: int


def codes(sptes: Any, level: Level, fmt: SpteFormat) -> NDArray[np.uint16]:
    """Return the looks of entries of *level*, packed; uint16 of the same shape."""
    words = np.asarray(sptes, np.uint64)
    leaf = is_shadow_present_leaf(words, level)
    table = is_shadow_present_table(words, level)
    result = np.zeros(words.shape, np.uint16)
    result[is_mmio_spte(words, fmt) & ~is_shadow_present_pte(words)] = MMIO
    result[is_frozen_spte(words, fmt)] = FROZEN
    result[table] = LINK
    result[leaf] = LEAF
    # bit 0 of both formats: present (NPT), readable (EPT)
    readable = (words & np.uint64(PT_PRESENT_MASK)) != 0
    host_writable = (words & np.uint64(fmt.shadow_host_writable_mask)) != 0
    bits = (
        (_READ, readable),
        (_WRITE, is_writable_pte(words)),
        (_EXEC, is_executable_pte(words, fmt)),
        (_ACCESSED, is_accessed_spte(words, fmt)),
        (_DIRTY, leaf & is_dirty_spte(words, fmt)),
        (_MMU_WRITABLE, leaf & is_mmu_writable_spte(words, fmt)),
        (_HOST_WRITABLE, leaf & host_writable),
    )
    present = leaf | table
    for bit, flag in bits:
        result[present & flag] |= np.uint16(bit)
    return result


@lru_cache(maxsize=1024)
def describe_code(code: int, level: Level) -> SpteView:
    """Return what entries of *level* with these looks say."""
    what = code & 7
    if what in (EMPTY, FROZEN, MMIO):
        kind = ("empty", "frozen", "mmio")[what]
        return SpteView(kind, "MMIO" if what == MMIO else kind, "")
    flags = "".join(
        letter if code & bit else "-" for letter, bit in (("R", _READ), ("W", _WRITE), ("X", _EXEC))
    )
    flags += (" D" if code & _DIRTY else "") + (" A" if code & _ACCESSED else "")
    if what == LINK:
        return SpteView("link", "table", flags)
    return SpteView(_leaf_kind(code, level), LEVEL_NAMES[level], flags)


def describe_spte(spte: int, level: Level, fmt: SpteFormat) -> SpteView:
    """Return what one entry of *level* says."""
    return describe_code(int(codes(spte, level, fmt)), level)


def spte_pfn(spte: int) -> int:
    """Return the frame number that a present entry holds."""
    return int(spte_to_pfn(int(spte)))


def runs(
    sptes: NDArray[np.uint64],
    level: Level,
    fmt: SpteFormat,
    cuts: Iterable[int] = (),
) -> list[Run]:
    """Return the runs of a table's entries.

    :param sptes: uint64[512]
    :param cuts: columns at which a run has to begin anyway
    """
    packed = codes(sptes, level, fmt)
    starts = np.flatnonzero(np.diff(packed)) + 1
    edges = sorted({0, len(packed), *starts.tolist(), *cuts})
    return [Run(a, b, int(packed[a])) for a, b in pairwise(edges)]


def _leaf_kind(code: int, level: Level) -> str:
    if code & _WRITE:
        return _LEAF_KINDS[level]
    return "wrprot" if code & (_HOST_WRITABLE | _MMU_WRITABLE) else "readonly"
