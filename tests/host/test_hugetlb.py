"""hugetlbfs: pools, promises, and pages that are read-only until written."""

import pytest

from kvmmu_edu.errors import InvariantError, KvmError
from kvmmu_edu.units import GIB, MIB
from tests.host.bench import K4, M2, Process


def counts(process, level=2):
    pool = process.hstates[level]
    return pool.nr_huge_pages, pool.free_huge_pages, pool.resv_huge_pages


def test_a_mapping_reserves_and_a_fault_takes(process):
    h = process.mmap("H", "huge2m", 6 * MIB)
    assert counts(process) == (8, 8, 3)
    process.write(h + M2 + 5, 1)
    assert counts(process) == (8, 7, 2)
    process.munmap(h, 6 * MIB)
    process.heard(h)
    assert counts(process) == (8, 8, 0)


def test_an_exhausted_pool_refuses_the_mapping():
    process = Process(hugepages2m=3)
    process.mmap("H", "huge2m", 4 * MIB)
    with pytest.raises(KvmError, match="ENOMEM: 2 huge pages of 2M wanted, the pool has 1"):
        process.mmap("I", "huge2m", 4 * MIB)
    with pytest.raises(KvmError, match="ENOMEM"):
        process.mmap("G", "huge1g", GIB)
    process.check()


def test_a_read_maps_read_only_and_the_first_write_makes_it_writable(either):
    h = either.mmap("H", "huge2m", M2)
    page = either.fault_in(h + K4, write=False)
    assert (page.level, page.writable) == (2, False)
    assert either.fault_in(h + K4, write=True) == (page.pfn, 2, True)
    assert either.heard(h) == []


def test_a_giant_page_is_one_mapping(process):
    g = process.mmap("G", "huge1g", GIB)
    process.write(g + 3 * M2, 4)
    assert process.page_for(g, write=True).level == 3
    assert process.read(g + 3 * M2) == 4
    assert counts(process, 3) == (1, 0, 0)


def test_freed_pages_are_zeros_in_the_pool(process):
    h = process.mmap("H", "huge2m", M2)
    process.write(h, 1)
    pfn = process.page_for(h, write=True).pfn
    process.madvise(h, M2, "dontneed")
    assert process.heard(h) == [[0, M2]]
    assert counts(process) == (8, 8, 1)
    assert process.read(h) == 0
    assert process.page_for(h, write=False).pfn == pfn


def test_the_older_kernel_tells_of_an_unmap_twice(old):
    h = old.mmap("H", "huge2m", 4 * MIB)
    old.write(h, 1)
    old.madvise(h, 4 * MIB, "dontneed")
    assert old.heard(h) == [[0, 2 * M2, [[0, 2 * M2]]]]
    old.munmap(h, M2)
    assert old.heard(h) == [[0, M2, [[0, M2]]]]


def test_after_a_fork_a_write_needs_no_copy(process):
    h = process.mmap("H", "huge2m", M2)
    process.write(h, 1)
    before = process.page_for(h, write=True)
    process.fork()
    assert process.heard(h) == [[0, M2]]
    assert process.page_for(h, write=True) is None
    process.write(h, 2)
    assert process.heard(h) == []
    assert process.page_for(h, write=True) == before


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("munmap", (K4, M2)),
        ("munmap", (0, K4)),
        ("mprotect", (0, K4, "r")),
        ("madvise", (K4, M2, "dontneed")),
    ],
)
def test_huge_pages_are_not_cut(process, operation, arguments):
    h = process.mmap("H", "huge2m", 4 * MIB)
    with pytest.raises(KvmError, match="EINVAL"):
        getattr(process, operation)(h + arguments[0], *arguments[1:])
    process.check()


def test_what_is_not_a_whole_page_at_the_end_stays(process):
    h = process.mmap("H", "huge2m", 4 * MIB)
    process.fill(h, 4 * MIB, M2)
    process.madvise(h, M2 + K4, "dontneed")
    assert process.heard(h) == [[0, M2]]
    process.madvise(h + M2, K4, "dontneed")
    assert process.heard(h) == []
    assert process.read(h + M2) == 0xA5


def test_check_names_a_page_that_was_lost(process):
    process.mmap("H", "huge2m", M2)
    process.hstates[2].free_huge_pages -= 1
    with pytest.raises(InvariantError, match="pool of 2M: 7 free and 0 mapped are not 8"):
        process.check()


def test_check_names_a_promise_that_was_lost(process):
    process.mmap("H", "huge2m", M2)
    process.hstates[2].resv_huge_pages -= 1
    with pytest.raises(InvariantError, match="0 reserved and 0 mapped are not 1"):
        process.check()
