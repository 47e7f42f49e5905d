"""The pre-order walk over a tree of page tables, in spans.

The walk visits an entry, then what lies below it, then the next entry.  It stands on a
**span**: entries of one table, or a rectangle of rows (adjacent tables) by columns.  How many
entries a span may hold is its *grain*: 1 for stepping, 512 for a table at a time, more for
many tables at once.  Nothing else depends on the grain.  Empty entries are passed over.  An
entry that leads to a table is visited alone; but where the grain exceeds one table, the entries
that lead to tables of the lowest level are not visited themselves, only those tables.

Kernel: arch/x86/kvm/mmu/tdp_iter.c (v6.12)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.trace.events import Tables
from kvmmu_edu.units import (
    PAGES_PER_HPAGE,
    PG_LEVEL_4K,
    PT64_ROOT_4LEVEL,
    SPTE_ENT_PER_PAGE,
    SPTE_LEVEL_BITS,
    Gfn,
    Level,
    gfn_round_for_level,
    spte_index,
)
from kvmmu_edu.x86.arena import TABLE_PFN_BASE, Arena, table_of, tables_of
from kvmmu_edu.x86.mmu_page import role_as_id, role_level
from kvmmu_edu.x86.spte import (
    PT_PAGE_SIZE_MASK,
    SPTE_MMU_PRESENT_MASK,
    is_shadow_present_table,
)

if TYPE_CHECKING:
    from kvmmu_edu.x86.mmu_state import MmuState

_TABLE_OR_PAGE: Final = SPTE_MMU_PRESENT_MASK | PT_PAGE_SIZE_MASK


@dataclass(slots=True)
class Span:
    """Entries of one level: of one table, or of adjacent tables.

    :ivar table: the row, or the rows (int64)
    :ivar index: the column, or a slice of columns
    :ivar gfn: first frame of the span

    Ours.
    """

    table: Tables
    index: int | slice
    gfn: Gfn
    level: Level
    as_id: int


class TdpIter:
    """A position in a walk: a span and how the walk came there.

    :ivar gfn: first frame of the span
    :ivar level: level of its entries
    :ivar table: the row, or the rows (int64) of a span over many tables
    :ivar index: the column, or a slice of columns
    :ivar old_spte: the entries as they were when the walk arrived (int or uint64 array)
    :ivar child: the table that a single entry points to, 0 for none
    :ivar next_last_level_gfn: where the walk goes on after giving way
    :ivar yielded: whether the walk gave way and must restart from the root

    Kernel: struct tdp_iter, arch/x86/kvm/mmu/tdp_iter.h (v6.12)
    """

    # one entry: ints; a span: rows (int or int64 array), a slice, a uint64 array
    table: Any = 0
    index: Any = 0
    old_spte: Any = 0
    gfn: Gfn = 0
    child = 0
    next_last_level_gfn: Gfn = 0
    yielded = False
    yielded_gfn: Gfn = -1
    # of a walk over a range: where it ends, how far it goes down, in which steps
    end: Gfn = 0
    min_level: Level = PG_LEVEL_4K
    grain = 1

    def __init__(self, arena: Arena, root: int) -> None:
        """Prepare a walk from *root*."""
        self.arena = arena
        self.root = root
        role = arena.roles[root]
        self.root_level = self.level = role_level(role)
        self.as_id = role_as_id(role)

    def refresh(self) -> None:
        """Read the entries again.

        Kernel: tdp_iter_refresh_sptep(), arch/x86/kvm/mmu/tdp_iter.c (v6.12)
        """
        table, index = self.table, self.index
        if isinstance(index, int):
            self.old_spte = self.arena.words[table * SPTE_ENT_PER_PAGE + index]
        else:
            self.old_spte = self.arena.spt[table, index].copy()


def for_each_tdp_pte(
    mmu: "MmuState", root: int, gfn: Gfn, top: Level = PT64_ROOT_4LEVEL
) -> Iterator[TdpIter]:
    """Walk from *root* towards one frame; yields each entry on the way, empty or not.

    Entries above level *top* are passed over if they point to a table: with 1, only the last
    entry of the way is yielded.  The caller may link a table into the entry it stands on; the
    walk then goes on into it.

    Kernel: tdp_mmu_for_each_pte, arch/x86/kvm/mmu/tdp_mmu.c; try_step_down(),
        arch/x86/kvm/mmu/tdp_iter.c (v6.12)
    """
    arena = mmu.arena
    it = TdpIter(arena, root)
    table, level = _descend(arena, root, gfn, it.level, top)
    while level:
        shift = (level - 1) * SPTE_LEVEL_BITS
        index = gfn >> shift & SPTE_ENT_PER_PAGE - 1
        word = table << SPTE_LEVEL_BITS | index
        spte = it.old_spte = arena.words[word]
        it.child = _child(spte, level)
        it.level, it.gfn, it.table, it.index = level, gfn >> shift << shift, table, index
        yield it
        # read again: the caller may have linked a table here, or another task removed one
        now = arena.words[word]
        if now != spte:
            it.old_spte, it.child = now, _child(now, level)
        if not it.child:
            return
        table = it.child
        level -= 1


def _descend(arena: Arena, table: int, gfn: Gfn, level: Level, top: Level) -> tuple[int, Level]:
    """Follow entries from *table* down to *top*, as far as they point to tables."""
    words = arena.words
    while level > top:
        spte = words[table << SPTE_LEVEL_BITS | gfn >> (level - 1) * SPTE_LEVEL_BITS & 511]
        if spte & _TABLE_OR_PAGE != SPTE_MMU_PRESENT_MASK:
            break
        # as table_of(), written out because each fault comes here
        table = (spte >> 12 & 0xFF_FFFF_FFFF) - TABLE_PFN_BASE
        level -= 1
    return table, level


def _child(spte: int, level: Level) -> int:
    """Return the table that an entry points to, 0 for none.

    Kernel: spte_to_child_pt(), arch/x86/kvm/mmu/tdp_iter.c (v6.12)
    """
    if level == 1 or spte & _TABLE_OR_PAGE != SPTE_MMU_PRESENT_MASK:
        return 0
    return table_of(spte)


def for_each_tdp_pte_min_level(
    mmu: "MmuState", root: int, min_level: Level, start: Gfn, end: Gfn, *, grain: int = 0
) -> Iterator[TdpIter]:
    """Walk [*start*, *end*) in pre-order down to *min_level*, passing over empty entries.

    A *grain* of 0 means that of the VM.  After the caller gave way (``it.yielded``) the walk
    restarts from the root at the frame it had reached, because tables may be gone.

    Kernel: for_each_tdp_pte_min_level, arch/x86/kvm/mmu/tdp_iter.h; tdp_iter_next(),
        arch/x86/kvm/mmu/tdp_iter.c (v6.12)
    Simplified: the kernel visits empty entries too, and may give way there; no task can tell
        that from giving way at the next entry that is not empty.
    """
    it = TdpIter(mmu.arena, root)
    it.min_level, it.end, it.grain = min_level, end, grain or mmu.grain
    it.next_last_level_gfn = start
    restart = True
    while restart:
        restart = False
        it.yielded_gfn, it.yielded = (it.next_last_level_gfn if it.yielded else -1), False
        for _ in _visit(it, it.root, it.root_level):
            yield it
            if it.yielded:
                restart = True
                break


def _visit(it: TdpIter, table: int, level: Level) -> Iterator[None]:
    """Visit the entries of one table within the range, and what lies below them."""
    arena, step = it.arena, PAGES_PER_HPAGE[level]
    base = arena.gfns[table]
    first = spte_index(max(it.next_last_level_gfn, base), level)
    stop = min(SPTE_ENT_PER_PAGE, -(-(it.end - base) // step))
    if it.grain > SPTE_ENT_PER_PAGE and level == it.min_level + 1:
        yield from _visit_wide(it, table, level, first, stop)
        return
    while first < stop:
        first = _next_used(arena, table, first, stop)
        if first == stop:
            return
        width = _run_length(it, table, level, first, stop)
        _stand_on(it, table, level, first, width)
        yield
        if level > it.min_level and width == 1:
            spte = arena.words[table * SPTE_ENT_PER_PAGE + first]
            if is_shadow_present_table(spte, level):
                yield from _visit(it, table_of(spte), level - 1)
        first += width
        it.next_last_level_gfn = max(it.next_last_level_gfn, base + first * step)


def _visit_wide(it: TdpIter, table: int, level: Level, first: int, stop: int) -> Iterator[None]:
    """Visit children of one table as rectangles, where they lie whole in the range."""
    arena, step = it.arena, PAGES_PER_HPAGE[level]
    base = arena.gfns[table]
    while first < stop:
        first = _next_used(arena, table, first, stop)
        if first == stop:
            return
        whole = base + first * step >= it.next_last_level_gfn
        last = min(stop, (it.end - base) // step, first + it.grain // SPTE_ENT_PER_PAGE)
        sptes = arena.spt[table, first : max(last, first + 1)]
        linked = is_shadow_present_table(sptes, level)
        width = int(np.argmin(linked)) if not linked.all() else len(linked)
        if width == 0:
            width = _run_length(it, table, level, first, stop)
            _stand_on(it, table, level, first, width)
            yield
        elif not whole or width == 1 or last <= first:
            yield from _visit(it, table_of(int(sptes[0])), level - 1)
            width = 1
        else:
            _stand_on_many(it, tables_of(sptes[:width]), level - 1, base + first * step)
            yield
        first += width
        it.next_last_level_gfn = max(it.next_last_level_gfn, base + first * step)


def _next_used(arena: Arena, table: int, first: int, stop: int) -> int:
    """Return the first column from *first* on whose entry is not empty, or *stop*."""
    if arena.words[table * SPTE_ENT_PER_PAGE + first] != arena.nonpresent:
        return first
    used = arena.spt[table, first:stop] != arena.nonpresent
    at = int(used.argmax())
    return first + at if used[at] else stop


def _run_length(it: TdpIter, table: int, level: Level, first: int, stop: int) -> int:
    """Return how many entries the span that begins at column *first* may hold."""
    limit = min(stop - first, it.grain)
    if limit == 1:
        return 1
    sptes = it.arena.spt[table, first : first + limit]
    if level == it.min_level and it.grain > SPTE_ENT_PER_PAGE:
        return limit
    alone = is_shadow_present_table(sptes, level)
    if alone[0]:
        return 1
    return int(alone.argmax()) if alone.any() else limit


def _stand_on(it: TdpIter, table: int, level: Level, first: int, width: int) -> None:
    it.table, it.level = table, level
    it.index = first if width == 1 else slice(first, first + width)
    it.gfn = it.arena.gfns[table] + first * PAGES_PER_HPAGE[level]
    it.next_last_level_gfn = max(it.next_last_level_gfn, it.gfn)
    it.refresh()


def _stand_on_many(it: TdpIter, tables: NDArray[np.int64], level: Level, gfn: Gfn) -> None:
    it.table, it.level, it.index = tables, level, slice(0, SPTE_ENT_PER_PAGE)
    it.gfn = gfn_round_for_level(gfn, level)
    it.next_last_level_gfn = max(it.next_last_level_gfn, gfn)
    it.refresh()
