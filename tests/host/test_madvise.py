"""madvise(): the pieces of advice and what they do."""

import pytest

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.host.madvise import ADVICE, advice_named
from kvmmu_edu.units import MIB
from tests.host.bench import K4, M2


@pytest.mark.parametrize("given", ["dontneed", "DONTNEED", "MADV_DONTNEED", 4, "4", "0x4"])
def test_advice_has_a_name_and_a_number(given):
    assert advice_named(given) == "dontneed"


def test_advice_that_nobody_knows():
    with pytest.raises(UsageError, match="expected one of normal, random"):
        advice_named("forget")
    with pytest.raises(KvmError, match="EINVAL: there is no advice number 99"):
        advice_named(99)


def test_dontneed_as_recorded(either):
    """f01: exactly the range, and zeros after."""
    a = either.mmap("A", "anon4k", 4 * MIB)
    either.fill(a, 4 * MIB)
    either.madvise(a + 4 * K4, 4 * K4, "dontneed")
    assert either.heard(a) == [[4 * K4, 8 * K4]]
    assert [either.read(a + i * K4) for i in (3, 4, 7, 8)] == [0xA5, 0, 0, 0xA5]
    either.write(a + 4 * K4, 1)
    assert either.heard(a) == [[4 * K4, 5 * K4]]
    either.madvise(a, 4 * MIB, "dontneed")
    assert either.heard(a) == [[0, 4 * MIB]]


def test_each_vma_is_told_by_itself(process):
    a = process.mmap("A", "anon4k", M2)
    process.fill(a, M2)
    process.mprotect(a, 4 * K4, "r")
    process.heard(a)
    process.madvise(a, 8 * K4, "dontneed")
    assert process.heard(a) == [[0, 4 * K4], [4 * K4, 8 * K4]]


def test_free_tells_and_keeps(process):
    a = process.mmap("A", "anon4k", M2)
    process.fill(a, 4 * K4)
    process.madvise(a, 4 * K4, "free")
    assert process.heard(a) == [[0, 4 * K4]]
    assert process.read(a) == 0xA5
    assert process.page_for(a, write=True) is not None


def test_free_of_a_part_of_a_huge_page_makes_small_pages(process):
    b = process.mmap("B", "thp", 2 * M2)
    process.fill(b, 2 * M2, M2)
    process.madvise(b + K4, 2 * K4, "free")
    assert process.heard(b) == [[K4, 3 * K4, [[0, M2], [0, M2]]]]
    # they are pages of their own now: no second split
    process.madvise(b + K4, 2 * K4, "free")
    assert process.heard(b) == [[K4, 3 * K4]]
    process.madvise(b + M2, M2, "free")
    assert process.heard(b) == [[M2, 2 * M2]]
    assert process.page_for(b + M2, write=True).level == 2


def test_a_huge_page_under_small_entries_is_split_if_only_a_part_is_meant(process, old):
    for kernel, whole in ((process, []), (old, [[[0, M2], [0, M2]]])):
        b = kernel.mmap("B", "thp", M2)
        kernel.write(b, 1)
        kernel.mprotect(b, K4, "r")
        kernel.mprotect(b, K4, "rw")
        assert kernel.page_for(b, write=True).level == 1
        kernel.heard(b)
        kernel.madvise(b, M2, "free")
        assert kernel.heard(b) == [[0, M2, *whole]]


@pytest.mark.parametrize("advice", ["cold", "pageout"])
def test_cold_memory_stays_unless_it_is_a_part(process, advice):
    b = process.mmap("B", "thp", M2)
    process.write(b, 1)
    process.madvise(b, M2, advice)
    assert process.heard(b) == []
    process.madvise(b, K4, advice)
    assert process.heard(b) == [[0, M2], [0, M2]]
    assert process.read(b) == 1


def test_the_huge_zero_page_is_not_split_for_it(process):
    b = process.mmap("B", "thp", M2)
    process.read(b)
    process.madvise(b, K4, "cold")
    assert process.heard(b) == []


def test_flags_cut_the_mapping_and_so_the_block(process):
    b = process.mmap("B", "thp", M2)
    process.write(b, 1)
    process.madvise(b, K4, "nohugepage")
    assert process.heard(b) == [[0, M2]]
    assert len(process.vmas.by_start) == 2
    assert process.page_for(b, write=True).level == 1


@pytest.mark.parametrize("advice", ["random", "sequential", "mergeable", "dontdump", 12])
def test_flags_of_a_whole_mapping_tell_nobody(process, advice):
    b = process.mmap("B", "thp", M2)
    process.write(b, 1)
    before = process.vmas.lookup(b).vm_flags
    process.madvise(b, M2, advice)
    assert process.heard(b) == []
    assert process.vmas.lookup(b).vm_flags != before
    assert process.page_for(b, write=True).level == 2


def test_populate(process):
    a = process.mmap("A", "anon4k", M2)
    process.madvise(a, 4 * K4, "populate-read")
    assert process.page_for(a, write=False).writable is False
    process.madvise(a, 4 * K4, "populate-write")
    assert process.page_for(a + 3 * K4, write=True) is not None
    assert process.heard(a) == [[i * K4, (i + 1) * K4] for i in range(4)]
    b = process.mmap("B", "thp", 4 * MIB)
    process.madvise(b, 4 * MIB, "populate-write")
    assert process.page_for(b + 4 * MIB - 1, write=True).level == 2


def test_what_cannot_be_populated(process):
    a = process.mmap("A", "anon4k", M2)
    process.mprotect(a, K4, "r")
    with pytest.raises(KvmError, match="EINVAL"):
        process.madvise(a, K4, "populate-write")
    with pytest.raises(KvmError, match="ENOMEM"):
        process.madvise(a, 4 * MIB, "populate-read")


def test_a_hole_is_reported_after_the_rest_is_done(process):
    a = process.mmap("A", "anon4k", M2)
    process.fill(a, 8 * K4)
    process.munmap(a + 2 * K4, K4)
    with pytest.raises(KvmError, match="ENOMEM"):
        process.madvise(a, 4 * K4, "dontneed")
    assert process.read(a + 3 * K4) == 0
    with pytest.raises(KvmError, match="ENOMEM"):
        process.madvise(a + 4 * K4, M2, "dontneed")


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("shm", "free"), ("huge2m", "free"), ("shm", "wipeonfork"), ("thp", "remove")],
)
def test_advice_that_does_not_suit_the_memory(process, kind, advice):
    hva = process.mmap("A", kind, M2)
    with pytest.raises(KvmError, match="EINVAL"):
        process.madvise(hva, M2, advice)


def test_a_hole_needs_the_right_to_write(process):
    s = process.mmap("S", "shm", M2)
    process.mprotect(s, M2, "r")
    with pytest.raises(KvmError, match="EACCES"):
        process.madvise(s, M2, "remove")


def test_advice_wants_whole_pages_and_may_be_about_nothing(process):
    a = process.mmap("A", "anon4k", M2)
    with pytest.raises(KvmError, match="EINVAL"):
        process.madvise(a + 1, K4, "dontneed")
    process.madvise(a, 0, "dontneed")
    assert process.heard(a) == []


@pytest.mark.parametrize("advice", sorted(set(ADVICE) - {"remove", "collapse"}))
def test_all_advice_is_taken(process, advice):
    b = process.mmap("B", "thp", 2 * M2)
    process.write(b, 3)
    process.madvise(b, M2, advice)
    process.heard(b)
    assert process.read(b) == (0 if advice.startswith("dontneed") else 3)
