"""SPTE bits: what an entry says, alone and in arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.choices import Choices
from kvmmu_edu.x86 import spte

FORMATS = [
    spte.spte_format(Choices(kernel=kernel, paging=paging))
    for kernel in ("6.12", "6.1")
    for paging in ("npt", "ept")
]
LEAF_4K, LEAF_2M, TABLE = 0x102956E67, 0x17FE00EE7, 0x101DB9827


def test_recorded_values_are_what_they_are():
    assert spte.is_shadow_present_leaf(LEAF_4K, 1)
    assert spte.is_shadow_present_leaf(LEAF_2M, 2)
    assert spte.is_shadow_present_table(TABLE, 4)
    assert not spte.is_shadow_present_table(LEAF_2M, 2)
    assert spte.spte_to_pfn(LEAF_4K) == 0x102956
    assert spte.is_writable_pte(LEAF_4K)
    assert not spte.is_writable_pte(0x3738825)
    assert spte.is_mmu_writable_spte(LEAF_4K & ~2, FORMATS[0])


@pytest.mark.parametrize("fmt", FORMATS)
def test_empty_and_frozen_are_neither_present_nor_mmio(fmt):
    for value in (fmt.SHADOW_NONPRESENT_VALUE, fmt.FROZEN_SPTE):
        assert not spte.is_shadow_present_pte(value)
        assert not spte.is_mmio_spte(value, fmt)
    assert spte.is_frozen_spte(fmt.FROZEN_SPTE, fmt)
    assert not spte.is_frozen_spte(fmt.SHADOW_NONPRESENT_VALUE, fmt)


def test_empty_entries_by_version():
    assert FORMATS[0].SHADOW_NONPRESENT_VALUE == 1 << 63
    assert FORMATS[0].FROZEN_SPTE == 0x80000000000005A0
    assert FORMATS[2].SHADOW_NONPRESENT_VALUE == 0
    assert FORMATS[2].FROZEN_SPTE == 0x5A0


@given(st.integers(0, (1 << 19) - 1))
def test_mmio_generation_round_trip(gen):
    mask = spte.generation_mmio_spte_mask(gen)
    assert spte.get_mmio_spte_generation(mask) == gen
    assert spte.get_mmio_spte_gfn(mask | 0x123 << 12 | 1 << 51) == 0x123


@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=1), st.integers(1, 4))
def test_arrays_and_single_entries_agree(values, level):
    array = np.array(values, np.uint64)
    fmt = FORMATS[0]
    for ask in (
        spte.is_shadow_present_pte,
        spte.is_large_pte,
        spte.is_writable_pte,
        spte.spte_to_pfn,
        lambda s: spte.is_last_spte(s, level),
        lambda s: spte.is_shadow_present_leaf(s, level),
        lambda s: spte.is_shadow_present_table(s, level),
        lambda s: spte.is_mmio_spte(s, fmt),
        lambda s: spte.is_accessed_spte(s, fmt),
        lambda s: spte.is_dirty_spte(s, fmt),
        lambda s: spte.is_executable_pte(s, fmt),
        lambda s: spte.clear_bits(s, 0x2),
    ):
        assert ask(array).tolist() == [ask(value) for value in values]


def test_pfn_to_spte_bits():
    assert spte.pfn_to_spte_bits(0x12) == 0x12000
