"""Transparent huge pages: who gets them, and what KVM hears when they are split."""

import pytest

from kvmmu_edu.host.frames import HUGE_ZERO_PFN, ZERO_PFN
from kvmmu_edu.host.huge_memory import split_folio, split_huge_pmd
from kvmmu_edu.host.page_table import LARGE_FOLIO
from kvmmu_edu.units import MIB
from tests.host.bench import K4, M2, Process


@pytest.mark.parametrize(
    ("thp", "kind", "level"),
    [
        ("madvise", "thp", 2),
        ("madvise", "anon4k", 1),
        ("always", "thp", 2),
        ("always", "anon4k", 1),
        ("never", "thp", 1),
        ("always", "shm", 1),
    ],
)
def test_who_gets_huge_pages(thp, kind, level):
    process = Process(thp=thp)
    b = process.mmap("B", kind, 4 * MIB)
    assert process.fault_in(b, write=True).level == level


def test_memory_without_advice_gets_them_only_if_always():
    for thp, level in (("madvise", 1), ("always", 2)):
        process = Process(thp=thp)
        b = process.mmap("B", "thp", M2)
        process.mm.vmas.lookup(b).vm_flags &= 3
        assert process.fault_in(b, write=True).level == level


def test_a_block_that_is_not_all_inside_gets_small_pages(process):
    b = process.mmap("B", "thp", 4 * MIB, skew=K4)
    assert process.fault_in(b, write=True).level == 1
    assert process.fault_in(b + M2, write=True).level == 2
    assert process.fault_in(b + 2 * M2 - K4, write=True).level == 1


def test_a_read_maps_the_huge_zero_page(process):
    b = process.mmap("B", "thp", M2)
    assert process.fault_in(b + 3 * K4, write=False) == (HUGE_ZERO_PFN + 3, 2, False)


def test_a_write_to_the_huge_zero_page_gets_one_small_page(either):
    """As recorded in b09: first the block is split, then the page is copied."""
    b = either.mmap("B", "thp", 4 * MIB)
    either.read(b + M2)
    either.write(b + M2 + K4, 1)
    assert either.heard(b) == [[M2, 2 * M2], [M2 + K4, M2 + 2 * K4]]
    assert either.page_for(b + M2 + K4, write=True).level == 1
    assert either.page_for(b + M2, write=False) == (ZERO_PFN, 1, False)


def test_a_split_keeps_frames_rights_and_contents(process):
    b = process.mmap("B", "thp", M2)
    process.write(b + 9 * K4, 9)
    first = process.page_for(b, write=True).pfn
    process.sched.run("kvmtrace", split_huge_pmd(process.mm, process.vmas.lookup(b), b + K4))
    assert process.heard(b) == [[0, M2]]
    assert process.page_for(b + 9 * K4, write=True) == (first + 9, 1, True)
    assert process.read(b + 9 * K4) == 9


def test_listeners_hear_of_a_split_even_if_there_is_nothing_to_split(process):
    a = process.mmap("A", "anon4k", M2)
    process.write(a, 1)
    process.sched.run("kvmtrace", split_huge_pmd(process.mm, process.vmas.lookup(a), a))
    assert process.heard(a) == [[0, M2]]


def test_the_pieces_of_a_split_folio_are_pages_of_their_own(process):
    b = process.mmap("B", "thp", M2)
    process.write(b + K4, 5)
    process.sched.run("kvmtrace", split_folio(process.mm, process.vmas.lookup(b), b))
    assert process.heard(b) == [[0, M2], [0, M2]]
    assert not process.page_table.walk(b)[0] & LARGE_FOLIO
    process.fork()
    process.heard(b)
    process.write(b, 1)
    assert process.heard(b) == []


def test_after_a_fork_a_huge_page_is_used_again(process):
    b = process.mmap("B", "thp", M2)
    process.write(b, 1)
    before = process.page_for(b, write=True)
    process.fork()
    assert process.page_for(b, write=False).writable is False
    process.heard(b)
    process.write(b + K4, 2)
    assert process.heard(b) == []
    assert process.page_for(b, write=True) == before
