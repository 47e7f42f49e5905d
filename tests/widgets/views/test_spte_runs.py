"""Entries in words, and tables as runs."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.choices import Choices
from kvmmu_edu.x86.spte import SPTE_MMU_PRESENT_MASK, generation_mmio_spte_mask, spte_format
from kvmmu_widgets.views.spte_runs import codes, describe_spte, runs

NPT_LEAF = 0xE67  # present, writable, user, A, D, host-writable, MMU-writable, MMU-present
LARGE = 1 << 7
NX = 1 << 63


@pytest.mark.parametrize(
    ("spte", "level", "kind", "text"),
    [
        (1 << 63, 1, "empty", "empty"),
        (0x5A0 | 1 << 63, 1, "frozen", "frozen"),
        (1 << 51 | 1 | generation_mmio_spte_mask(6), 1, "mmio", "MMIO"),
        (0x100003827, 2, "link", "table RWX A"),
        (0x200400000 | NPT_LEAF, 1, "leaf4k", "4K RWX D A"),
        (0x200400000 | NPT_LEAF | LARGE, 2, "leaf2m", "2M RWX D A"),
        (0x200400000 | NPT_LEAF | LARGE, 3, "leaf1g", "1G RWX D A"),
        (0x200400000 | NPT_LEAF & ~2, 1, "wrprot", "4K R-X D A"),
        (0x200400000 | NPT_LEAF & ~0x602, 1, "readonly", "4K R-X D A"),
        (0x200400000 | NPT_LEAF & ~0x60 | NX, 1, "leaf4k", "4K RW-"),
    ],
)
def test_npt_entries(fmt, spte, level, kind, text):
    view = describe_spte(spte, level, fmt)
    assert (view.kind, str(view)) == (kind, text)


@pytest.mark.parametrize(
    ("spte", "kind", "text"),
    [
        (0x8000000000000000, "empty", "empty"),
        (0b110 | generation_mmio_spte_mask(6), "mmio", "MMIO"),
        (0x200400000 | 0x0600_0000_0000_0B77 & ~0x30, "leaf4k", "4K RWX D A"),
        (0x200400000 | 0x0600_0000_0000_0B45, "wrprot", "4K R-X D A"),
        (0x200400000 | 0x945, "readonly", "4K R-X A"),
    ],
)
def test_ept_entries(spte, kind, text):
    view = describe_spte(spte, 1, spte_format(Choices(paging="ept")))
    assert (view.kind, str(view)) == (kind, text)


def test_empty_is_zero_in_6_1():
    old = spte_format(Choices(kernel="6.1"))
    assert describe_spte(0, 1, old).kind == "empty"
    assert describe_spte(0x5A0, 1, old).kind == "frozen"


def test_a_table_in_runs(fmt):
    sptes = np.full(512, fmt.SHADOW_NONPRESENT_VALUE, np.uint64)
    sptes[2:10] = 0x200400000 | NPT_LEAF
    sptes[5] = 0x200400000 | NPT_LEAF & ~2
    found = [(run.start, run.stop) for run in runs(sptes, 1, fmt)]
    assert found == [(0, 2), (2, 5), (5, 6), (6, 10), (10, 512)]


def test_cuts_begin_runs(fmt):
    sptes = np.full(512, fmt.SHADOW_NONPRESENT_VALUE, np.uint64)
    assert [run.start for run in runs(sptes, 1, fmt, cuts=(7, 8))] == [0, 7, 8]


SPTES = st.sampled_from(
    [1 << 63, 0x5A0 | 1 << 63, 0x100003827, NPT_LEAF, NPT_LEAF & ~2, NPT_LEAF | LARGE, LARGE, 0]
)


@given(st.lists(SPTES, min_size=512, max_size=512), st.integers(1, 4))
def test_runs_cover_a_table_once_and_are_equal_inside(sptes, level):
    fmt = spte_format(Choices())
    words = np.array(sptes, np.uint64)
    packed = codes(words, level, fmt)
    found = runs(words, level, fmt)
    assert [run.start for run in found] == [0, *(run.stop for run in found[:-1])]
    assert found[-1].stop == 512
    for run in found:
        assert set(packed[run.start : run.stop].tolist()) == {run.code}
    for left, right in itertools.pairwise(found):
        assert left.code != right.code


@given(st.integers(0, (1 << 64) - 1), st.integers(1, 4))
def test_one_entry_and_an_array_agree(spte, level):
    fmt = spte_format(Choices())
    assert codes(spte, level, fmt) == codes(np.array([spte], np.uint64), level, fmt)[0]


def test_links_of_level_1_do_not_exist(fmt):
    assert describe_spte(SPTE_MMU_PRESENT_MASK | 1, 1, fmt).what == "4K"
