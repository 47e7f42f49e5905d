"""The frame allocator, against a plain set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.host.frames import (
    FIRST_FREE_PFN,
    FIRST_HOST_PFN,
    HUGE_ZERO_PFN,
    ZERO_PFN,
    Frames,
    is_zero_pfn,
)
from kvmmu_edu.units import PAGES_PER_HPAGE

STEPS = st.lists(st.tuples(st.sampled_from(["one", "many", "huge", "free"]), st.integers(0, 50)))


@given(STEPS)
def test_no_frame_is_given_twice(steps):
    frames, ours = Frames(), []
    for what, n in steps:
        if what == "one":
            ours.append([frames.alloc()])
        elif what == "many":
            ours.append(frames.alloc_many(n).tolist())
        elif what == "huge":
            pfn = frames.alloc_huge(2)
            assert pfn % PAGES_PER_HPAGE[2] == 0
            ours.append(range(pfn, pfn + PAGES_PER_HPAGE[2]))
        elif ours:
            group = ours.pop(n % len(ours))
            if isinstance(group, range):
                frames.free(group[0], 2)
            else:
                frames.free_many(np.array(group, dtype=np.int64))
        frames.check()
        held = [pfn for group in ours for pfn in group]
        assert len(held) == len(set(held))
        free = sum(end - start for start, end in frames.free_ranges().tolist())
        assert len(held) + free == frames.next_pfn - FIRST_FREE_PFN
        assert not any(frames.is_free(group[0]) for group in ours if len(group))


def test_alloc_many_gives_what_alloc_gives():
    one, many = Frames(), Frames()
    for frames in (one, many):
        frames.alloc_huge(2)
        frames.free_many(np.array([*range(FIRST_FREE_PFN + 600, FIRST_FREE_PFN + 620)]))
    assert many.alloc_many(800).tolist() == [one.alloc() for _ in range(800)]


def test_new_frames_ascend_and_huge_ones_are_aligned():
    frames = Frames()
    assert [frames.alloc(), frames.alloc()] == [FIRST_FREE_PFN, FIRST_FREE_PFN + 1]
    huge = frames.alloc_huge(3)
    assert huge % PAGES_PER_HPAGE[3] == 0
    # the hole below it is not lost
    assert frames.alloc() == FIRST_FREE_PFN + 2


def test_a_freed_huge_page_is_used_again():
    frames = Frames()
    pfn = frames.alloc_huge(2)
    frames.free(pfn, 2)
    assert frames.is_free(pfn + 511)
    assert frames.alloc_huge(2) == pfn


def test_a_freed_frame_holds_zeros():
    frames = Frames()
    pfn = frames.alloc()
    frames.contents.store(pfn, 0, 1)
    frames.free(pfn)
    assert frames.contents.load(pfn, 0) == 0


def test_the_zero_pages_lie_below_the_others():
    assert is_zero_pfn(ZERO_PFN)
    assert is_zero_pfn(HUGE_ZERO_PFN)
    assert is_zero_pfn(HUGE_ZERO_PFN + 511)
    assert not is_zero_pfn(FIRST_FREE_PFN)
    assert not is_zero_pfn(FIRST_HOST_PFN - 1)
    assert Frames().alloc() == FIRST_FREE_PFN


def test_check_names_a_frame_freed_twice():
    frames = Frames()
    pfn = frames.alloc()
    frames.free(pfn)
    frames.free(pfn)
    with pytest.raises(InvariantError, match="two free extents share a frame"):
        frames.check()


def test_check_names_a_free_frame_with_contents():
    frames = Frames()
    pfn = frames.alloc()
    frames.free(pfn)
    frames.contents.store(pfn, 0, 1)
    with pytest.raises(InvariantError, match=f"frame {pfn:#x} is free but has contents"):
        frames.check()


def test_check_names_frames_from_nowhere():
    frames = Frames()
    frames.extents.append((frames.next_pfn, 1))
    with pytest.raises(InvariantError, match="beyond next_pfn"):
        frames.check()
