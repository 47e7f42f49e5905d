"""Rows are handed out, found by frame number, and given back."""

import numpy as np
import pytest

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.x86.arena import FREED, TABLE_PFN_BASE, Arena, table_of, tables_of

EMPTY = 1 << 63


def test_new_tables_are_empty_and_have_no_row_0():
    arena = Arena(EMPTY)
    row = arena.alloc(0x200, 0x1782, 1, 5)
    assert row != 0
    assert (arena.spt[row] == EMPTY).all()
    assert (arena.gfns[row], arena.roles[row]) == (0x200, 0x1782)
    assert (arena.parent[row], arena.parent_index[row]) == (1, 5)
    arena.check()


def test_growing_keeps_what_is_there():
    arena = Arena(EMPTY)
    rows = [arena.alloc(i, i) for i in range(1, 200)]
    for row in rows:
        arena.words[row * 512 + 3] = row
    arena.alloc(0, 0)
    assert [arena.read(row, 3) for row in rows] == rows
    assert arena.spt[rows[-1], 3] == rows[-1]
    arena.check()


def test_rows_come_back():
    arena = Arena(EMPTY)
    rows = [arena.alloc(i, 0) for i in range(10)]
    arena.free(rows[3])
    arena.free(np.array(rows[5:8], np.int64))
    assert arena.used == 6
    again = {arena.alloc(0, 0) for _ in range(4)}
    assert again == {rows[3], *rows[5:8]}
    assert arena.rows().tolist() == rows
    arena.check()


def test_a_row_is_freed_once():
    arena = Arena(EMPTY)
    row = arena.alloc(0, 0)
    arena.free(row)
    with pytest.raises(InvariantError, match="freed but not all allocated"):
        arena.free(row)


def test_check_counts():
    arena = Arena(EMPTY)
    arena.alloc(0, 0)
    arena.used = 2
    with pytest.raises(InvariantError, match="1 rows are marked allocated, the counter says 2"):
        arena.check()


def test_an_entry_names_its_table():
    sptes = [(TABLE_PFN_BASE + row) << 12 | 0x827 for row in (1, 7, 4000)]
    assert [table_of(spte) for spte in sptes] == [1, 7, 4000]
    assert tables_of(np.array(sptes, np.uint64)).tolist() == [1, 7, 4000]


def test_freed_tables_hold_a_pattern_and_nobody_may_write_to_them():
    arena = Arena(EMPTY)
    rows = [arena.alloc(i, 0) for i in range(3)]
    arena.free(rows[1])
    assert (arena.spt[rows[1]] == FREED).all()
    assert not arena.live[rows[1]]
    arena.check()
    arena.words[rows[1] * 512 + 17] = EMPTY
    with pytest.raises(InvariantError, match=f"table {rows[1]} is free, but its entries were"):
        arena.check()
