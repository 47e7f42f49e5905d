"""Collapse: a huge page of small ones, and when it is refused."""

import pytest

from kvmmu_edu.errors import KvmError
from kvmmu_edu.trace.events import HostMapped, HostUnmapped
from kvmmu_edu.units import MIB
from tests.host.bench import K4, M2


@pytest.fixture
def small(process):
    """Memory that may have huge pages and has small ones, as in x01."""
    b = process.mmap("B", "thp", 4 * MIB)
    process.madvise(b, 4 * MIB, "nohugepage")
    process.fill(b, 4 * MIB)
    process.madvise(b, 4 * MIB, "hugepage")
    process.events()
    return b


def test_each_block_is_told_and_keeps_its_contents(process, small):
    process.write(small + 5 * K4, 55)
    process.madvise(small, 4 * MIB, "collapse")
    assert process.heard(small) == [[0, M2], [M2, 2 * M2]]
    page = process.page_for(small + 5 * K4, write=True)
    assert page.level == 2
    assert process.read(small + 5 * K4) == 55
    assert [type(event) for event in process.events(HostUnmapped, HostMapped)] == [
        HostUnmapped,
        HostMapped,
    ] * 2


def test_a_huge_page_is_left_alone(process, small):
    process.madvise(small, 4 * MIB, "collapse")
    process.heard(small)
    before = process.page_for(small, write=True)
    process.madvise(small, 4 * MIB, "collapse")
    assert process.heard(small) == []
    assert process.page_for(small, write=True) == before


def test_holes_become_zeros(process):
    b = process.mmap("B", "thp", M2)
    process.madvise(b, M2, "nohugepage")
    process.write(b + 9 * K4, 9)
    process.read(b + 3 * K4)
    process.madvise(b, M2, "hugepage")
    process.madvise(b, M2, "collapse")
    assert process.heard(b) == [[0, M2]]
    assert [process.read(b + i * K4) for i in (0, 3, 9)] == [0, 0, 9]


def test_only_whole_blocks_are_collapsed(process, small):
    process.madvise(small + K4, 4 * MIB - K4, "collapse")
    assert process.heard(small) == [[M2, 2 * M2]]


def test_where_no_page_is_writable_nothing_is_done(process):
    b = process.mmap("B", "thp", M2)
    process.madvise(b, M2, "nohugepage")
    process.read(b)
    process.madvise(b, M2, "hugepage")
    with pytest.raises(KvmError, match=r"EINVAL: .* no page is writable"):
        process.madvise(b, M2, "collapse")
    assert process.heard(b) == []


def test_an_empty_block_ends_it(process, small):
    process.munmap(small, M2)
    b = process.mmap("C", "thp", 2 * M2)
    process.madvise(b, 2 * M2, "nohugepage")
    process.write(b + M2, 1)
    process.madvise(b, 2 * M2, "hugepage")
    process.heard(b)
    with pytest.raises(KvmError, match=r"EINVAL: .* nothing is mapped there"):
        process.madvise(b, 2 * M2, "collapse")
    assert process.heard(b) == []


def test_memory_that_was_never_touched(process):
    b = process.mmap("B", "thp", M2)
    with pytest.raises(KvmError, match="no table is there"):
        process.madvise(b, M2, "collapse")


@pytest.mark.parametrize("kind", ["anon4k", "shm", "huge2m"])
def test_memory_that_may_not_have_huge_pages(process, kind):
    a = process.mmap("A", kind, M2)
    process.write(a, 1)
    with pytest.raises(KvmError, match="may not have huge pages"):
        process.madvise(a, M2, "collapse")


def test_collapse_does_not_ask_the_administrator(process, small):
    process.mm.thp = "never"
    process.madvise(small, M2, "collapse")
    assert process.page_for(small, write=True).level == 2
