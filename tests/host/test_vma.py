"""VMAs: lookups in a sorted list, and what check() notices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.host.vma import VM_HUGETLB, VM_READ, VM_WRITE, Vma, Vmas
from kvmmu_edu.units import PAGE_SIZE
from tests.host.bench import K4, M2


def vma(first, end, flags=VM_READ | VM_WRITE, **more):
    return Vma(first * K4, end * K4, flags, "A", **more)


def vmas_of(*ranges):
    vmas = Vmas()
    for first, end in ranges:
        vmas.insert(vma(first, end))
    return vmas


@given(st.sets(st.integers(0, 30)), st.integers(0, 31), st.integers(1, 10))
def test_finds_what_a_scan_finds(pages, first, length):
    vmas = vmas_of(*((page, page + 1) for page in pages))
    vmas.check()
    found = vmas.lookup(first * PAGE_SIZE + 5)
    assert (found.start // PAGE_SIZE if found else None) == (first if first in pages else None)
    start, end = first * PAGE_SIZE + 1, (first + length) * PAGE_SIZE
    inside = [v.start // PAGE_SIZE for v in vmas.intersecting(start, end)]
    assert inside == [page for page in sorted(pages) if first <= page < first + length]
    below, above = vmas.neighbours(start - 1, end)
    lower, higher = [p for p in pages if p < first], [p for p in pages if p >= first + length]
    assert (below.start // PAGE_SIZE if below else None) == (max(lower) if lower else None)
    assert (above.start // PAGE_SIZE if above else None) == (min(higher) if higher else None)


def test_a_lookup_forgets_a_vma_that_was_removed():
    vmas = vmas_of((1, 3))
    found = vmas.lookup(K4)
    vmas.remove(found)
    assert vmas.lookup(K4) is None


def test_a_lookup_sees_a_vma_that_moved():
    vmas = vmas_of((1, 9))
    found = vmas.lookup(2 * K4)
    vmas.move_start(found, 4 * K4)
    assert vmas.lookup(2 * K4) is None
    assert vmas.lookup(4 * K4) is found
    assert found.pgoff == 3
    vmas.check()


@pytest.mark.parametrize(("flags", "access"), [(0, "none"), (1, "r"), (3, "rw")])
def test_access_in_words(flags, access):
    assert vma(0, 1, flags).access() == access
    assert str(vma(1, 2, flags)) == f"A [0x1000, 0x2000) {access}"


def test_memory_of_hugetlbfs_is_not_anonymous_and_has_large_pages():
    huge = vma(0, 512, VM_HUGETLB, level=2)
    assert not huge.is_anonymous()
    assert huge.page_size == M2
    assert vma(0, 1).is_anonymous()


def test_check_names_vmas_that_overlap():
    vmas = vmas_of((1, 4), (5, 6))
    vmas.by_start[0].end = 6 * K4
    with pytest.raises(InvariantError, match=r"A \[0x1000, 0x6000\) rw overlaps A \[0x5000"):
        vmas.check()


def test_check_names_a_vma_that_is_no_whole_page():
    vmas = Vmas()
    vmas.insert(vma(0, 1, VM_HUGETLB, level=2))
    with pytest.raises(InvariantError, match="not whole pages of 2097152 bytes"):
        vmas.check()


def test_check_names_an_index_that_is_wrong():
    vmas = vmas_of((1, 4))
    vmas.by_start[0].start = 2 * K4
    with pytest.raises(InvariantError, match=r"the index .* differs from the VMAs"):
        vmas.check()
