"""What must hold between shadow pages, the entries in them, and the reverse maps.

Ours.
"""

import numpy as np

from kvmmu_edu.errors import ensure
from kvmmu_edu.units import MAX_HUGEPAGE_LEVEL, PG_LEVEL_4K, Level
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.x86.arena import table_of
from kvmmu_edu.x86.mmu_page import role_as_id, role_is_invalid, role_level
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.pte_list import Sptep, for_each_rmap_spte
from kvmmu_edu.x86.rmap import rmaps_of
from kvmmu_edu.x86.shadow_gate import mmu_page_get_gfn, read_spte, sptep_of, table_and_index
from kvmmu_edu.x86.spte import is_shadow_present_leaf, is_shadow_present_table


def check_shadow_pages(mmu: MmuState) -> None:
    """Check that pages are counted, are used by the vCPUs they count, and know their parents.

    :raises InvariantError: names two things and the relation that does not hold
    """
    shadow = mmu.shadow
    shadow.check()
    ensure(
        mmu.n_used_mmu_pages == len(shadow.pages),
        f"{len(shadow.pages)} shadow pages are in the hash, n_used_mmu_pages is "
        f"{mmu.n_used_mmu_pages}",
    )
    parents: dict[int, set[Sptep]] = {row: set() for row in shadow.pages}
    for row in shadow.pages:
        _note_children(mmu, row, parents)
    for row, page in shadow.pages.items():
        page.parent_ptes.check(is_6_1=mmu.kvm.choices.is_6_1)
        known = sorted(for_each_rmap_spte(page.parent_ptes))
        ensure(
            known == sorted(parents[row]),
            f"shadow page {row} knows parents {[table_and_index(s) for s in known]}, but "
            f"{[table_and_index(s) for s in sorted(parents[row])]} point to it",
        )
        users = sum(vcpu.arch.root == row for vcpu in mmu.kvm.vcpus)
        ensure(
            page.root_count == users,
            f"root_count of shadow page {row} is {page.root_count}, but {users} vCPUs use it",
        )
        listed = row in shadow.active_mmu_pages
        ensure(
            listed != role_is_invalid(mmu.arena.roles[row]),
            f"shadow page {row} is {'' if listed else 'not '}in active_mmu_pages, against its role",
        )


def _note_children(mmu: MmuState, row: int, parents: dict[int, set[Sptep]]) -> None:
    """Note for each page that an entry of page *row* points to it."""
    level = role_level(mmu.arena.roles[row])
    for index in np.flatnonzero(is_shadow_present_table(mmu.arena.spt[row], level)).tolist():
        sptep = sptep_of(row, index)
        child = table_of(read_spte(mmu, sptep))
        ensure(child in parents, f"entry {index} of shadow page {row} points to freed {child}")
        same_gfn = mmu.arena.gfns[child] == mmu_page_get_gfn(mmu, sptep)
        ensure(same_gfn, f"shadow page {child} translates another gfn than entry {index} of {row}")
        parents[child].add(sptep)


def check_rmaps(mmu: MmuState) -> None:
    """Check that each mapped page is in the one reverse map where it belongs, and back.

    :raises InvariantError: names two things and the relation that does not hold
    """
    mapped: set[Sptep] = set()
    for row in mmu.shadow.pages:
        level = role_level(mmu.arena.roles[row])
        leaves = np.flatnonzero(is_shadow_present_leaf(mmu.arena.spt[row], level))
        mapped.update(sptep_of(row, index) for index in leaves.tolist())
    listed: list[Sptep] = []
    for as_id in range(len(mmu.kvm.memslots)):
        for slot in memslots(mmu.kvm, as_id).slots_by_gfn():
            for level in range(PG_LEVEL_4K, MAX_HUGEPAGE_LEVEL + 1):
                array = rmaps_of(slot, level)
                if array is None:
                    continue
                for index, head in array.heads.items():
                    head.check(is_6_1=mmu.kvm.choices.is_6_1)
                    found = list(for_each_rmap_spte(head))
                    _check_list(mmu, as_id, level, array.gfn_at(index), found)
                    listed += found
    ensure(
        len(listed) == len(set(listed)) and set(listed) == mapped,
        f"{len(listed)} entries are in reverse maps, but {len(mapped)} entries map pages",
    )


def _check_list(mmu: MmuState, as_id: int, level: Level, gfn: int, found: list[Sptep]) -> None:
    ensure(bool(found), f"the reverse map of gfn {gfn:#x} is kept although it is empty")
    for sptep in found:
        role = mmu.arena.roles[table_and_index(sptep)[0]]
        same = role_level(role) == level and role_as_id(role) == as_id
        ensure(
            same and mmu_page_get_gfn(mmu, sptep) == gfn,
            f"entry {table_and_index(sptep)} is in the reverse map of gfn {gfn:#x} level {level}, "
            "which it does not map",
        )
