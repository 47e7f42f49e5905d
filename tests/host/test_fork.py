"""fork(): which mappings are told of, in which order, and what is left of the rights."""

import pytest

from kvmmu_edu.trace.events import HostProtected
from kvmmu_edu.units import MIB
from tests.host.bench import K4, M2


def test_as_recorded(either):
    """f04: one call for each mapping with pages of its own, by rising address."""
    payload = either.mmap("payload", "anon4k", 64 * K4)
    either.fill(payload, 64 * K4)
    a = either.mmap("A", "anon4k", MIB)
    b = either.mmap("B", "thp", 4 * MIB)
    either.fill(a, MIB)
    either.fill(b, 4 * MIB, M2)
    either.fork()
    assert either.heard(0) == [
        [b, b + 4 * MIB],
        [a, a + MIB],
        [payload, payload + 64 * K4],
    ]
    for hva, level in ((a, 1), (b, 2)):
        assert either.page_for(hva, write=True) is None
        assert either.fault_in(hva, write=False)[1:] == (level, False)
        assert either.fault_in(hva, write=True)[1:] == (level, True)
    assert either.heard(0) == []


def test_mappings_without_pages_of_their_own_are_not_told_of(process):
    process.mmap("untouched", "anon4k", M2)
    process.read(process.mmap("read", "anon4k", M2))
    process.write(process.mmap("shared", "shm", M2), 1)
    thp = process.mmap("thp", "thp", M2)
    process.read(thp)
    process.fork()
    # a huge fault prepares for pages even if it maps the huge zero page
    assert process.heard(thp) == [[0, M2]]


@pytest.mark.parametrize("advice", ["dontfork", "wipeonfork"])
def test_what_a_child_does_not_get_stays_writable(process, advice):
    a = process.mmap("A", "anon4k", M2)
    process.write(a, 1)
    process.madvise(a, M2, advice)
    process.fork()
    assert process.heard(a) == []
    assert process.page_for(a, write=True) is not None


def test_mappings_that_lost_the_right_to_write_are_told_of(process):
    a = process.mmap("A", "anon4k", M2)
    process.write(a, 1)
    process.mprotect(a, M2, "r")
    process.heard(a)
    process.fork()
    assert process.heard(a) == [[0, M2]]
    assert process.events(HostProtected)[-1] == (a, a + M2, "r", "fork")


def test_a_page_that_was_shared_is_not_writable_by_mprotect(process):
    """Only a page that is known to be ours is; a write finds out."""
    a = process.mmap("A", "anon4k", M2)
    process.write(a, 1)
    process.fork()
    process.mprotect(a, M2, "r")
    process.mprotect(a, M2, "rw")
    assert process.page_for(a, write=True) is None
    process.heard(a)
    process.write(a, 2)
    assert process.heard(a) == []


def test_only_the_part_of_a_table_that_is_its_own(process):
    a = process.mmap("A", "anon4k", M2)
    process.fill(a, 8 * K4)
    process.madvise(a, 4 * K4, "dontfork")
    process.heard(a)
    process.fork()
    assert process.heard(a) == [[4 * K4, M2]]
    assert [process.page_for(a + i * K4, write=True) is not None for i in (3, 4)] == [True, False]
