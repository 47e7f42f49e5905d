"""A TLB remembers pages of three sizes until it is flushed."""

import pytest

from kvmmu_edu.x86.tlb import Tlb


@pytest.mark.parametrize(
    ("level", "hits", "misses"),
    [
        (1, [0x401], [0x400, 0x402]),
        (2, [0x400, 0x5FF], [0x3FF, 0x600]),
        (3, [0, 0x3FFFF], [0x40000]),
    ],
)
def test_reach(level, hits, misses):
    tlb = Tlb(empty_at_entry=False)
    tlb.insert(hits[0], level, 0xABC)
    assert all(tlb.lookup(gfn) == (0xABC, level) for gfn in hits)
    assert all(tlb.lookup(gfn) is None for gfn in misses)
    tlb.flush()
    assert tlb.lookup(hits[0]) is None


def test_small_pages_come_first_and_snapshots_are_sorted():
    tlb = Tlb(empty_at_entry=True)
    tlb.insert(0x400, 2, 2)
    tlb.insert(0x401, 1, 1)
    tlb.insert(0x3FF, 1, 3)
    assert tlb.lookup(0x401) == (1, 1)
    assert tlb.snapshot() == ((1, 0x3FF, 3), (1, 0x401, 1), (2, 2, 2))


def test_tables_are_remembered_by_what_they_translate():
    tlb = Tlb(empty_at_entry=False)
    tlb.remember_tables(0x40401, 1, 7, 3)
    tlb.remember_tables(0x80000, 2, 4, 2)
    assert tlb.tables_snapshot() == ((1, 0x202, 7), (2, 1, 3), (2, 2, 4))
    # the way to a page of 1G has no table that could be left out
    tlb.remember_tables(0xC0000, 3, 2, 1)
    assert len(tlb.tables_snapshot()) == 3


def test_a_fault_forgets_the_way_to_where_it_was():
    tlb = Tlb(empty_at_entry=False)
    tlb.remember_tables(0x400, 1, 7, 3)
    tlb.remember_tables(0x600, 1, 8, 3)
    tlb.forget_tables(0x401)
    assert tlb.tables_snapshot() == ((1, 3, 8),)
    tlb.flush()
    assert tlb.tables_snapshot() == ()
