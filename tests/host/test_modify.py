"""Cutting and joining VMAs, and the blocks that are split on the way."""

import pytest

from tests.host.bench import K4, M2, Process


def ranges(process, base):
    return [
        ((v.start - base) // K4, (v.end - base) // K4, v.access()) for v in process.vmas.by_start
    ]


@pytest.fixture
def a(process):
    hva = process.mmap("A", "anon4k", M2)
    process.fill(hva, M2)
    return hva


def test_a_part_in_the_middle_makes_three(process, a):
    process.mprotect(a + 4 * K4, 2 * K4, "r")
    assert ranges(process, a) == [(0, 4, "rw"), (4, 6, "r"), (6, 512, "rw")]


def test_parts_with_equal_rights_become_one_again(process, a):
    process.mprotect(a + 4 * K4, 2 * K4, "r")
    process.mprotect(a + 6 * K4, 2 * K4, "r")
    assert ranges(process, a) == [(0, 4, "rw"), (4, 8, "r"), (8, 512, "rw")]
    process.mprotect(a + 2 * K4, 2 * K4, "r")
    assert ranges(process, a) == [(0, 2, "rw"), (2, 8, "r"), (8, 512, "rw")]
    process.mprotect(a + 2 * K4, 6 * K4, "rw")
    assert ranges(process, a) == [(0, 512, "rw")]


def test_only_the_first_cut_of_a_block_tells_of_the_block(process, a):
    process.mprotect(a + 4 * K4, 2 * K4, "r")
    assert process.heard(a) == [[0, M2], [4 * K4, 6 * K4]]
    process.mprotect(a + 100 * K4, K4, "r")
    assert process.heard(a) == [[100 * K4, 101 * K4]]


def test_a_cut_between_blocks_tells_of_none(process):
    a = process.mmap("A", "anon4k", 2 * M2)
    process.fill(a, 2 * M2)
    process.mprotect(a, M2, "r")
    assert process.heard(a) == [[0, M2]]
    process.mprotect(a + M2, M2, "r")
    assert process.heard(a) == [[M2, 2 * M2]]


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
def test_moving_a_cut_into_a_block_tells_of_the_block(process, first, second):
    """The VMA that shrinks has the whole block until then."""
    a = process.mmap("A", "anon4k", 2 * M2)
    process.fill(a, 2 * M2)
    process.mprotect(a + first * M2, M2, "r")
    process.heard(a)
    process.mprotect(a + M2 - (K4 if first else 0), K4, "r")
    block = [second * M2, (second + 1) * M2]
    assert process.heard(a)[0] == block
    assert len(process.vmas.by_start) == 2


def test_where_there_are_no_tables_nothing_is_split(process):
    a = process.mmap("A", "anon4k", M2)
    process.mprotect(a + K4, K4, "r")
    assert process.heard(a) == []
    assert len(process.vmas.by_start) == 3


def test_parts_that_got_their_pages_apart_stay_joinable():
    """Rights do not matter for sharing an anon_vma, other flags do."""
    process = Process()
    a = process.mmap("A", "anon4k", M2)
    process.mprotect(a, K4, "r")
    process.mprotect(a, K4, "rw")
    assert len(process.vmas.by_start) == 1
    process.madvise(a, M2 // 2, "hugepage")
    process.write(a, 1)
    process.write(a + M2 // 2, 1)
    process.madvise(a, M2 // 2, "nohugepage")
    assert len(process.vmas.by_start) == 2


def test_a_cut_keeps_the_place_in_the_file(process):
    s = process.mmap("S", "shm", M2)
    for page in range(8):
        process.write(s + page * K4, page)
    process.mprotect(s + 2 * K4, 2 * K4, "r")
    process.madvise(s, M2, "dontneed")
    assert [process.read(s + page * K4) for page in range(8)] == list(range(8))
    process.mprotect(s + 2 * K4, 2 * K4, "rw")
    assert len(process.vmas.by_start) == 1


def test_pages_of_hugetlbfs_are_never_joined(process):
    h = process.mmap("H", "huge2m", 2 * M2)
    process.mprotect(h, M2, "r")
    process.mprotect(h, M2, "rw")
    assert len(process.vmas.by_start) == 2
