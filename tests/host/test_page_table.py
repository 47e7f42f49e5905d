"""Host page tables: what is where, and what a walk finds."""

import numpy as np
import pytest

from kvmmu_edu.host.page_table import (
    PAGE_PRESENT,
    PAGE_RW,
    HostPageTable,
    entries_of,
    new_table,
    pte_pfn,
    pte_write,
)
from kvmmu_edu.units import GIB, MIB
from tests.host.bench import K4, M2

HVA = 4 * GIB
ENTRY = 0x123 << 12 | PAGE_PRESENT


@pytest.fixture
def table():
    return HostPageTable()


def test_nothing_is_found_where_nothing_is(table):
    assert table.walk(HVA) == (0, 1)
    assert not table.has_pmd(HVA)
    assert table.blocks_in(0, 1 << 47) == []


def test_a_small_entry_makes_a_table(table):
    table.set_pte(HVA + 5 * K4 + 8, ENTRY)
    assert table.walk(HVA + 5 * K4) == (ENTRY, 1)
    assert table.walk(HVA + 6 * K4) == (0, 1)
    assert table.has_pmd(HVA + GIB - 1)
    assert not table.has_pmd(HVA + GIB)


def test_huge_entries_span_their_size(table):
    table.set_pmd(HVA + M2, ENTRY)
    table.set_huge(HVA + GIB, 3, ENTRY | PAGE_RW)
    assert table.walk(HVA + 2 * M2 - 1) == (ENTRY, 2)
    assert table.walk(HVA + 2 * GIB - 1) == (ENTRY | PAGE_RW, 3)
    # a 1G entry needs no table of blocks
    assert not table.has_pmd(HVA + GIB)


@pytest.mark.parametrize(("level", "size"), [(2, M2), (3, GIB)])
def test_an_entry_of_hugetlbfs_can_be_cleared(table, level, size):
    table.set_huge(HVA, level, ENTRY)
    table.set_huge(HVA, level, 0)
    assert table.walk(HVA + size - 1)[0] == 0


def test_ranges_are_found_in_order_whichever_way_is_cheaper(table):
    for number in (7, 3, 900, 5):
        table.set_pmd(number * M2, ENTRY)
    assert table.blocks_in(3 * M2 + K4, 6 * M2) == [3, 5]
    assert table.blocks_in(0, 1 << 46) == [3, 5, 7, 900]
    table.set_huge(9 * GIB, 3, ENTRY)
    assert table.gigas_in(8 * GIB, 9 * GIB + 1) == [9]


def test_indexes_are_clipped_to_the_block(table):
    assert table.indexes(1, M2 + 2 * K4, M2 + 5 * K4) == (2, 5)
    assert table.indexes(1, 0, 100 * M2) == (0, 512)


def test_tables_are_freed_only_whole(table):
    for hva in (HVA, HVA + M2, HVA + 2 * M2):
        table.set_pte(hva, 0)
    table.free_pgtables(HVA + K4, HVA + 3 * M2)
    assert table.blocks_in(HVA, HVA + MIB * 64) == [HVA // M2]
    assert table.has_pmd(HVA)
    table.free_pgtables(HVA, HVA + GIB)
    assert not table.blocks
    assert not table.has_pmd(HVA)


def test_mappings_come_in_order_without_holes(table):
    table.set_pmd(HVA + 2 * M2, ENTRY)
    table.set_pte(HVA + K4, ENTRY)
    table.set_huge(HVA - GIB, 3, ENTRY)
    assert list(table.mappings()) == [
        (HVA - GIB, 3, ENTRY),
        (HVA + K4, 1, ENTRY),
        (HVA + 2 * M2, 2, ENTRY),
    ]


def test_an_array_shares_the_memory_of_its_table():
    table = new_table(np.arange(512, dtype=np.int64))
    entries_of(table)[3] = 77
    assert table[3] == 77
    assert table[4] == 4


def test_an_entry_is_a_frame_and_rights():
    assert pte_pfn(ENTRY | PAGE_RW) == 0x123
    assert pte_write(ENTRY | PAGE_RW)
    assert not pte_write(ENTRY)
