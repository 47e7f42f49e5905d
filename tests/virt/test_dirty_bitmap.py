"""Bitmaps: sizes, views, the last word."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.trace.events import DirtyBitmapAllocated
from kvmmu_edu.virt.dirty_bitmap import (
    alloc_dirty_bitmap,
    bitmap_words,
    check,
    dirty_bitmap_bytes,
    dirty_log_manual_protect_and_init_set,
    dirty_pages,
    last_word_mask,
    second_dirty_bitmap,
    set_all,
    use_dirty_bitmap,
    words_for,
)
from kvmmu_edu.virt.memory_slot import MemorySlot
from tests.virt.bench import kinds, make_kvm


def slot_of(npages, kvm=None):
    slot = MemorySlot(1)
    slot.npages = npages
    alloc_dirty_bitmap(kvm or make_kvm(), slot)
    return slot


@pytest.mark.parametrize(("npages", "nbytes"), [(1, 8), (64, 8), (65, 16), (262144, 32768)])
def test_size_is_in_words_and_twice_that_is_allocated(kvm, npages, nbytes):
    slot = slot_of(npages, kvm)
    assert dirty_bitmap_bytes(slot) == nbytes
    assert slot.dirty_bitmap.nbytes == 2 * nbytes
    assert kinds(kvm, DirtyBitmapAllocated) == [(1, 2 * nbytes)]


def test_the_halves_are_views():
    slot = slot_of(65)
    bitmap_words(slot)[1] = 5
    second_dirty_bitmap(slot)[0] = 7
    assert slot.dirty_bitmap.tolist() == [0, 5, 7, 0]


@given(st.integers(1, 300))
def test_all_set_is_one_bit_for_each_page(npages):
    slot = slot_of(npages)
    set_all(slot)
    assert dirty_pages(bitmap_words(slot)).tolist() == list(range(npages))
    check(slot)
    assert int(bitmap_words(slot)[-1]) == last_word_mask(npages)


@given(st.sets(st.integers(0, 199)))
def test_dirty_pages_are_the_set_bits(pages):
    words = np.zeros(words_for(200), np.uint64)
    for page in pages:
        words[page // 64] |= np.uint64(1 << page % 64)
    assert dirty_pages(words).tolist() == sorted(pages)


def test_which_form_of_logging(kvm):
    assert use_dirty_bitmap(kvm)
    kvm.dirty_ring_size = 4096
    assert not use_dirty_bitmap(kvm)
    answers = []
    for value in (0, 1, 3):
        kvm.manual_dirty_log_protect = value
        answers.append(dirty_log_manual_protect_and_init_set(kvm))
    assert answers == [False, False, True]


def test_check_a_bit_behind_the_slot():
    slot = slot_of(65)
    bitmap_words(slot)[1] = 2
    with pytest.raises(InvariantError, match="dirty bits 0x2 of the last word are behind"):
        check(slot)


def test_check_a_bitmap_of_the_wrong_size():
    slot = slot_of(65)
    slot.npages = 64
    with pytest.raises(InvariantError, match="has 4 words, 64 pages need 2"):
        check(slot)
    slot.dirty_bitmap = None
    check(slot)
