"""The invariants of a VM: every module's own check, and what holds between modules.

The list is explicit, so that one can read what is checked.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.errors import InvariantError, ensure
from kvmmu_edu.units import LEVEL_NAMES, PG_LEVEL_4K, Level
from kvmmu_edu.virt import memslots, mmu_notifier
from kvmmu_edu.x86.arena import tables_of
from kvmmu_edu.x86.mapped_pages import check_mapped_pages
from kvmmu_edu.x86.mmu_page import role_is_invalid, role_level
from kvmmu_edu.x86.mmu_state import MmuState, mmu_of
from kvmmu_edu.x86.shadow_check import check_rmaps, check_shadow_pages
from kvmmu_edu.x86.spte import is_shadow_present_leaf, is_shadow_present_table, spte_to_pfn

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.vcpu import KvmVcpu

_PAGES = {1: "pages_4k", 2: "pages_2m", 3: "pages_1g"}


def check(kvm: "Kvm") -> None:
    """Check everything; to be called when no task runs.

    :raises InvariantError: names two things and the relation that does not hold
    """
    for lock in (
        kvm.kvm_lock,
        kvm.lock,
        kvm.slots_lock,
        kvm.slots_arch_lock,
        kvm.mmu_lock,
        kvm.mn_invalidate_lock,
        mmu_of(kvm).tdp_mmu_pages_lock,
    ):
        lock.check()
    kvm.rcu.check()
    kvm.srcu.check()
    memslots.check(kvm)
    mmu_notifier.check(kvm)
    for vcpu in kvm.vcpus:
        vcpu.check()
        if vcpu.dirty_ring is not None:
            vcpu.dirty_ring.check()
    kvm.mm.check()
    mmu = mmu_of(kvm)
    mmu.arena.check()
    linked = _linked(mmu)
    check_tables(mmu, linked)
    in_use = _with_shadow_pages(mmu, linked)
    check_page_statistics(mmu, in_use)
    check_mapped_pages(mmu, in_use)
    check_roots(mmu)
    check_shadow_pages(mmu)
    check_rmaps(mmu)
    check_tlbs(kvm)


def _linked(mmu: MmuState) -> dict[Level, list[int]]:
    """Return the tables that can be reached from the roots, by level."""
    arena = mmu.arena
    found: dict[int, list[int]] = {}
    for root in mmu.roots:
        rows = np.array([root], np.int64)
        level = role_level(arena.roles[root])
        while rows.size:
            found.setdefault(level, []).extend(rows.tolist())
            sptes = arena.spt[rows]
            tables = is_shadow_present_table(sptes, level)
            children = tables_of(sptes[tables])
            _check_children(mmu, rows, tables, children, level)
            rows, level = children, level - 1
    return found


def _with_shadow_pages(mmu: MmuState, linked: dict[Level, list[int]]) -> dict[Level, list[int]]:
    """Return the tables of both MMUs by level; shadow pages count even if nothing leads there."""
    found = {level: list(rows) for level, rows in linked.items()}
    for row in mmu.shadow.pages:
        found.setdefault(role_level(mmu.arena.roles[row]), []).append(row)
    return found


def _check_children(mmu: MmuState, rows: Any, tables: Any, children: Any, level: int) -> None:
    arena = mmu.arena
    where, columns = np.nonzero(tables)
    parents = rows[where]
    free = children[~arena.allocated[children]]
    ensure(not free.size, f"an entry of level {level} points to table {free[:1]}, which is free")
    ensure(
        (arena.parent[children] == parents).all()
        and (arena.parent_index[children] == columns).all(),
        f"tables {children[:4]} of level {level - 1} do not know the entries that point to them",
    )
    expected = arena.gfn[parents] + columns * (1 << (9 * (level - 1)))
    wrong = np.flatnonzero(arena.gfn[children] != expected)
    ensure(
        not wrong.size,
        f"a table of level {level - 1} translates another gfn than the entry that points to it: "
        f"tables {children[wrong][:4]}",
    )


def check_tables(mmu: MmuState, linked: dict[Level, list[int]]) -> None:
    """Check that the tables reached from the roots are those that are counted and allocated."""
    reached = [row for rows in linked.values() for row in rows]
    ensure(len(set(reached)) == len(reached), "a table is linked from two entries")
    below = len(reached) - len(mmu.roots)
    counted = mmu.tdp_mmu_pages.read_once()
    ensure(below == counted, f"{below} tables are linked below roots, tdp_mmu_pages is {counted}")
    waiting = mmu.arena.used - len(reached) - len(mmu.shadow.pages)
    ensure(
        waiting == 0 or bool(mmu.kvm.rcu.callbacks),
        f"{waiting} tables are allocated but neither linked nor waiting for RCU",
    )
    check_lists(mmu, set(reached) - set(mmu.roots))


def check_lists(mmu: MmuState, linked: set[int]) -> None:
    """Check the lists of tables against those that are *linked* below roots."""
    possible = mmu.possible_nx_huge_pages
    ensure(
        possible.keys() <= {*linked, *mmu.shadow.pages},
        "possible_nx_huge_pages lists a table that is not linked",
    )
    splits = mmu.kvm.trace.counters.vm["nx_lpage_splits"]
    ensure(
        splits == len(possible),
        f"nx_lpage_splits is {splits}, but {len(possible)} tables are on possible_nx_huge_pages",
    )
    flagged = mmu.arena.nx_huge_page_disallowed
    unflagged = [sp for sp in possible if not flagged[sp]]
    ensure(
        not unflagged,
        f"tables {unflagged[:4]} are on possible_nx_huge_pages, but not nx_huge_page_disallowed",
    )
    listed = mmu.listed_tdp_mmu_pages.keys()
    expected = linked if mmu.kvm.choices.lists_tdp_mmu_pages else set()
    ensure(
        listed == expected,
        f"{len(listed)} tables are listed, but {len(expected)} are linked and to be listed",
    )


def check_page_statistics(mmu: MmuState, linked: dict[Level, list[int]]) -> None:
    """Check that pages_4k, pages_2m and pages_1g are the leaves in the tables."""
    stats = mmu.kvm.trace.counters.vm
    leaves = dict.fromkeys(_PAGES, 0)
    for level, rows in linked.items():
        if level in leaves:
            present = is_shadow_present_leaf(mmu.arena.spt[rows], level)
            leaves[level] += int(np.count_nonzero(present))
    for level, name in _PAGES.items():
        ensure(
            stats[name] == leaves[level],
            f"{name} is {stats[name]}, but {leaves[level]} entries map {LEVEL_NAMES[level]} pages",
        )


def check_roots(mmu: MmuState) -> None:
    """Check that each root has the references of the vCPUs that use it, and the MMU's own."""
    for root in mmu.roots:
        users = sum(vcpu.arch.root == root for vcpu in mmu.kvm.vcpus)
        valid = not role_is_invalid(mmu.arena.roles[root])
        count = mmu.root_count[root]
        ensure(
            count == users + valid,
            f"root {root} has {count} references, but {users} vCPUs use it and it is "
            f"{'valid' if valid else 'invalid'}",
        )


def check_tlbs(kvm: "Kvm") -> None:
    """Check that what CPUs remember is in the tables, unless a flush is on its way."""
    for vcpu in kvm.vcpus:
        if vcpu.requests or not vcpu.arch.root:
            continue
        tlb = vcpu.arch.cpu.tlb
        for level, known in enumerate((tlb.small, tlb.large, tlb.giant), PG_LEVEL_4K):
            pages = np.array(list(known), np.int64)
            sptes = np.array(list(known.values()), np.uint64)
            now = _leaves(mmu_of(kvm), vcpu.arch.root, pages << (9 * (level - 1)))
            stale = (now == 0) | (spte_to_pfn(now) != spte_to_pfn(sptes))
            if stale.any():
                i = int(stale.argmax())
                raise InvariantError(
                    f"the TLB of vCPU {vcpu.vcpu_id} maps page {pages[i]:#x} of level {level} to"
                    f" {sptes[i]:#x}, the tables to {now[i]:#x}"
                )
        for level, ways in enumerate((tlb.tables, tlb.directories), PG_LEVEL_4K):
            _check_remembered_tables(mmu_of(kvm), vcpu, ways, level)


def _check_remembered_tables(
    mmu: MmuState, vcpu: "KvmVcpu", known: dict[int, int], level: Level
) -> None:
    """Check that the tables of *level* that a CPU would walk through are on the way from its root.

    So none of them is free, or in use for other frames.
    """
    places = np.array(list(known), np.int64)
    rows = np.array(list(known.values()), np.int64)
    now = np.full(len(places), vcpu.arch.root, np.int64)
    for above in range(role_level(mmu.arena.roles[vcpu.arch.root]), level, -1):
        sptes = mmu.arena.spt[now, (places >> (9 * (above - level - 1))) & 511]
        now = np.where(is_shadow_present_table(sptes, above), tables_of(sptes), 0)
    stale = now != rows
    if stale.any():
        i = int(stale.argmax())
        state = "" if mmu.arena.allocated[rows[i]] else ", which is free,"
        raise InvariantError(
            f"vCPU {vcpu.vcpu_id} remembers table {rows[i]}{state} for gfn"
            f" {places[i] << (9 * level):#x}, the tables lead to {now[i]}"
        )


def _leaves(mmu: MmuState, root: int, gfns: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return for each of *gfns* the leaf that maps it, 0 where none does; uint64[n]."""
    leaves = np.zeros(len(gfns), np.uint64)
    on_way, tables = np.arange(len(gfns)), np.full(len(gfns), root, np.int64)
    for level in range(role_level(mmu.arena.roles[root]), 0, -1):
        sptes = mmu.arena.spt[tables, (gfns[on_way] >> (9 * (level - 1))) & 511]
        leaf = is_shadow_present_leaf(sptes, level)
        leaves[on_way[leaf]] = sptes[leaf]
        below = is_shadow_present_table(sptes, level)
        on_way, tables = on_way[below], tables_of(sptes[below])
    return leaves


def _is_shadow_root(mmu: MmuState, row: int) -> bool:
    page = mmu.shadow.pages.get(row)
    return page is not None and page.root_count > 0


def snapshot(kvm: "Kvm") -> dict[str, Any]:
    """Return the state of every module as plain values; tables by row."""
    mmu = mmu_of(kvm)
    arena = mmu.arena
    tables = {
        int(row): {
            "level": role_level(arena.roles[row]),
            "gfn": arena.gfns[row],
            "as_id": (arena.roles[row] >> 24) & 1,
            "role": arena.roles[row],
            "root": int(row) in mmu.roots or _is_shadow_root(mmu, int(row)),
            "sptes": arena.spt[row].copy(),
        }
        for row in arena.rows()
    }
    return {
        "tables": tables,
        "memslots": memslots.snapshot(kvm),
        "host": kvm.mm.snapshot(),
        # work that was done is no state: a refused call takes locks, allocates and frees
        "counters": {
            name: n
            for name, n in kvm.trace.counters.flat().items()
            if not name.startswith(("lock.", "count."))
        },
        "tdp_mmu_pages": mmu.tdp_mmu_pages.read_once(),
        "roots": {root: mmu.root_count[root] for root in mmu.roots},
        "vcpus": [
            {
                "root": v.arch.root,
                "requests": sorted(v.requests),
                "tlb": v.arch.cpu.tlb.snapshot(),
                "ways": v.arch.cpu.tlb.tables_snapshot(),
            }
            for v in kvm.vcpus
        ],
    }
