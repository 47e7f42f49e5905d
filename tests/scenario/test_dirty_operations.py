from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.scenario.dirty_operations import ranges_of

LOGGED = "mem A anon4k 1M\nhostwrite A 256\nslot 0 0x100000 1M d A\n"


def words(bits):
    found = np.zeros(4, np.uint64)
    for bit in bits:
        found[bit // 64] |= np.uint64(1) << np.uint64(bit % 64)
    return found


@given(st.sets(st.integers(0, 255)), st.integers(1, 256))
def test_ranges_are_the_set_bits(bits, npages):
    ranges = ranges_of(words(bits), npages)
    assert [bit for a, b in ranges for bit in range(a, b + 1)] == sorted(
        bit for bit in bits if bit < npages
    )
    assert all(b + 1 < a for (_, b), (a, _) in pairwise(ranges))


def test_written_pages_are_fetched_once(results):
    found = results(LOGGED + "write 0x100000 2\nwrite 0x110000\ndirty-get 0\ndirty-get 0 256")
    assert found["dirty-get 0"]["dirty"] == [[0, 1], [16, 16]]
    assert found["dirty-get 0"]["ndirty"] == 3
    assert found["dirty-get 0 256"]["dirty"] == []


def test_a_refusal_has_no_bits(results):
    found = results("dirty-get 5\ndirty-get 0x20000 64")
    assert found["dirty-get 5"] == {
        "n": 1, "op": "dirty-get 5", "rc": -1, "errno": "ENOENT", "dirty": [], "ndirty": 0,
        "stats": {},
    }  # fmt: skip
    assert found["dirty-get 0x20000 64"]["errno"] == "EINVAL"


MANUAL = "cap 168 1\n" + LOGGED


def test_last_clears_what_was_fetched_from_the_first_page_on(results):
    found = results(
        MANUAL + "write 0x100000 1\nwrite 0x180000 1\ndirty-get 0\nwrite 0x190000 1\n"
        "dirty-clear 0 128 128 last\ndirty-get 0 256"
    )
    assert found["dirty-get 0"]["dirty"] == [[0, 0], [128, 128]]
    assert found["dirty-get 0 256"]["dirty"] == [[0, 0], [144, 144]]


def test_all_clears_every_bit(results):
    found = results(MANUAL + "write 0x100000 4\ndirty-clear 0 0 256\ndirty-get 0")
    assert found["dirty-get 0"]["dirty"] == []


def test_last_of_nothing_clears_nothing(results):
    found = results(MANUAL + "write 0x100000 4\ndirty-clear 0 0 256 last\ndirty-get 0")
    assert found["dirty-get 0"]["dirty"] == [[0, 3]]


@pytest.mark.parametrize("line", ["dirty-clear 0 10 64 all", "dirty-clear 0 256 64 all"])
def test_wrong_ranges_are_refused_as_by_the_kernel(results, line):
    assert results(MANUAL + line)[line]["errno"] == "EINVAL"


def test_prefault_says_how_many_bytes_are_left(results):
    found = results(LOGGED + "prefault 0x100000 64K\nprefault 0x1f0000 1M\nprefault 0x900000 4K")
    assert found["prefault 0x100000 64K"]["left"] == "0x0"
    assert found["prefault 0x1f0000 1M"] | {"stats": {}} == {
        "n": 5, "op": "prefault 0x1f0000 1M", "rc": 0, "left": "0xf0000", "stats": {},
    }  # fmt: skip
    assert found["prefault 0x900000 4K"]["errno"] == "ENOENT"
    assert found["prefault 0x900000 4K"]["left"] == "0x1000"


def test_6_1_has_no_prefault(results):
    found = results(LOGGED + "prefault 0x100000 64K", "6.1")
    assert found["prefault 0x100000 64K"]["errno"] == "EINVAL"
    assert found["prefault 0x100000 64K"]["left"] == "0x10000"


def test_a_ring_is_collected_and_given_back(results):
    found = results(
        "dirtyring 64K\nmem A anon4k 1M\nhostwrite A 256\nslot 3 0x100000 1M d A\n"
        "write 0x100000 2\nring 0\nring 0  # again\nringreset\ndirty-get 3"
    )
    assert found["ring 0"]["ring"] == [[3, 0], [3, 1]]
    assert found["ring 0"]["nring"] == 2
    assert found["ring 0  # again"]["ring"] == []
    assert found["ringreset"]["rc"] == 2
    assert found["dirty-get 3"]["errno"] == "ENXIO"
