"""Where large pages are not allowed."""

import pytest

from kvmmu_edu.x86.lpage_info import LpageInfo

HVA = 0x7F00_0000_0000


@pytest.mark.parametrize(
    ("base", "npages", "hva", "lpages", "allowed"),
    [
        (0x400, 2048, HVA, 4, [True] * 4),
        (0x401, 2047, HVA + 0x1000, 4, [False, True, True, True]),
        (0x400, 2047, HVA, 4, [True, True, True, False]),
        (0x401, 512, HVA + 0x1000, 2, [False, False]),
        (0x400, 2048, HVA + 0x1000, 4, [False] * 4),
    ],
)
def test_edges_and_congruence(base, npages, hva, lpages, allowed):
    info = LpageInfo(base, npages, hva)
    assert info.lpages[2] == lpages
    first = base & -512
    assert [
        info.max_allowed_level(max(base, first + 512 * i), 3) >= 2 for i in range(lpages)
    ] == allowed


def test_an_edge_slot_pays_an_entry_more():
    assert LpageInfo(1, 512, HVA).lpages[2] == 2
    assert LpageInfo(0, 512, HVA).lpages[2] == 1


def test_a_gigabyte_costs_2052_bytes():
    assert LpageInfo(1 << 18, 1 << 18, 0x7F00_0000_0000).nbytes == 2052


def test_counting():
    info = LpageInfo(0x400, 2048, HVA)
    info.update_gfn_disallow_lpage_count(0x600, 1)
    info.update_gfn_disallow_lpage_count(0x601, 1)
    assert info.disallow_lpage(0x7FF, 2) == 2
    assert info.max_allowed_level(0x7FF, 3) == 1
    info.update_gfn_disallow_lpage_count(0x600, -2)
    assert info.max_allowed_level(0x7FF, 3) == 2
