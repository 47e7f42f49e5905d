"""Words in frames, against a plain bytearray."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.host.contents import Contents
from kvmmu_edu.units import PAGE_SIZE

OFFSETS = st.integers(0, 40) | st.integers(PAGE_SIZE - 20, PAGE_SIZE - 8)


@given(st.lists(st.tuples(OFFSETS, st.integers(1, 8), st.integers(0, 2**70))))
def test_holds_what_a_bytearray_holds(stores):
    contents, model = Contents(), bytearray(PAGE_SIZE)
    for offset, nbytes, value in stores:
        contents.store(7, offset, value, nbytes)
        model[offset : offset + nbytes] = (value % 256**nbytes).to_bytes(nbytes, "little")
    for offset in (*range(48), *range(PAGE_SIZE - 28, PAGE_SIZE - 8)):
        for nbytes in (1, 2, 4, 8):
            there = int.from_bytes(model[offset : offset + nbytes], "little")
            assert contents.load(7, offset, nbytes) == there


def test_what_nobody_wrote_is_zero_and_costs_nothing():
    contents = Contents()
    assert contents.load(1 << 40, 8) == 0
    assert not contents.words


def test_a_zero_page_cannot_be_written():
    with pytest.raises(InvariantError, match="zero page frame 0x5"):
        Contents(first_pfn=6).store(5, 0, 1)


def test_a_store_stays_in_its_frame():
    with pytest.raises(InvariantError, match="beyond its frame"):
        Contents().store(1, PAGE_SIZE - 4, 0, 8)


def test_a_copy_is_a_copy():
    contents = Contents()
    contents.store(10, 8, 1)
    contents.store(11, 8, 2)
    contents.copy(10, 20, npages=3)
    contents.store(10, 8, 9)
    assert [contents.load(20 + i, 8) for i in range(3)] == [1, 2, 0]


@pytest.mark.parametrize("npages", [2, 1 << 18])
def test_forgotten_frames_hold_zeros(npages):
    contents = Contents()
    for pfn in (99, 100, 101, 100 + npages):
        contents.store(pfn, 0, pfn)
    contents.forget(100, npages)
    assert sorted(contents.words) == [99, 100 + npages]
