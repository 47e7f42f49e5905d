"""The debugfs file mmu_rmaps_stat: how many pages are mapped how often.

A quirk: the column is where the lowest set bit of the count is, not the highest.  A page that
is mapped six times is counted under "2-3", one that is mapped three times under "1".

Kernel: kvm_mmu_rmaps_stat_show(), arch/x86/kvm/debugfs.c (v6.12)
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.units import LEVEL_NAMES, MAX_HUGEPAGE_LEVEL, PG_LEVEL_4K
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.x86.mmu_state import mmu_of
from kvmmu_edu.x86.pte_list import pte_list_count
from kvmmu_edu.x86.rmap import RmapArray, memslots_have_rmaps, rmaps_of

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm

_RMAP_LOG_SIZE: Final = 11


async def mmu_rmaps_stat_show(kvm: "Kvm") -> str:
    """Return the text of the file: empty if slots have no reverse maps.

    Locks: takes slots_lock, then mmu_lock for writing.
    Kernel: kvm_mmu_rmaps_stat_show(), arch/x86/kvm/debugfs.c (v6.12)
    """
    if not memslots_have_rmaps(mmu_of(kvm)):
        return ""
    levels = range(PG_LEVEL_4K, MAX_HUGEPAGE_LEVEL + 1)
    log = {level: [0] * _RMAP_LOG_SIZE for level in levels}
    async with kvm.slots_lock, kvm.mmu_lock.write:
        for as_id in range(len(kvm.memslots)):
            for slot in memslots(kvm, as_id).slots_by_gfn():
                for level in levels:
                    array = rmaps_of(slot, level)
                    if array is not None:
                        _count(log[level], array)
    return _table(log)


def _count(columns: list[int], array: RmapArray) -> None:
    """Add the pages of one array to the columns."""
    columns[0] += array.entries - len(array.heads)
    for head in array.heads.values():
        count = pte_list_count(head)
        columns[min((count & -count).bit_length(), _RMAP_LOG_SIZE - 1)] += 1


def _table(log: dict[int, list[int]]) -> str:
    ranges = [f"{1 << (i - 1)}-{(1 << i) - 1}" for i in range(2, _RMAP_LOG_SIZE)]
    lines = ["Rmap_Count:\t" + "".join(f"{name}\t" for name in ("0", "1", *ranges))]
    for level, columns in log.items():
        numbers = "".join(f"{number}\t" for number in columns)
        lines.append(f"Level={LEVEL_NAMES[level]}:\t{numbers}")
    return "".join(f"{line}\n" for line in lines)
