"""Unmapping: what is freed, when, and what a part of a huge page costs."""

from kvmmu_edu.host.zap import zap_page_range_single
from kvmmu_edu.trace.events import HostUnmapped
from kvmmu_edu.units import GIB, MIB
from tests.host.bench import K4, M2


def test_frames_are_freed_after_the_listeners_heard(process):
    a = process.mmap("A", "anon4k", M2)
    process.write(a, 1)
    pfn = process.page_for(a, write=True).pfn
    free = []

    class Watching:
        async def invalidate_range_start(self, start_hva, end_hva):
            free.append(process.frames.is_free(pfn))

        async def invalidate_range_end(self, start_hva, end_hva):
            free.append(process.frames.is_free(pfn))

    process.notifiers.append(Watching())
    process.madvise(a, K4, "dontneed")
    assert free == [False, False]
    assert process.frames.is_free(pfn)


def test_a_part_of_a_huge_page_splits_it_inside_the_call(either):
    b = either.mmap("B", "thp", 4 * MIB)
    either.fill(b, 4 * MIB, M2)
    either.madvise(b + M2 - K4, 2 * K4, "dontneed")
    assert either.heard(b) == [[M2 - K4, M2 + K4, [[0, M2], [M2, 2 * M2]]]]
    assert either.read(b) == 0xA5
    assert either.read(b + M2) == 0
    assert either.page_for(b, write=True).level == 1


def test_a_whole_huge_page_goes_without_a_split(process):
    b = process.mmap("B", "thp", 4 * MIB)
    process.fill(b, 4 * MIB, M2)
    process.madvise(b, M2, "dontneed")
    assert process.heard(b) == [[0, M2]]
    assert process.fault_in(b, write=True).level == 2


def test_listeners_hear_even_if_nothing_is_there(process):
    """As recorded in f01 for an operation on memory that nobody touched."""
    a = process.mmap("A", "anon4k", M2)
    process.madvise(a, 16 * K4, "dontneed")
    assert process.heard(a) == [[0, 16 * K4]]
    assert process.events(HostUnmapped) == []


def test_what_was_unmapped_is_told(process):
    a = process.mmap("A", "anon4k", M2)
    process.read(a)
    process.madvise(a, M2, "dontneed")
    assert process.events(HostUnmapped) == [(a, a + M2, "madvise dontneed")]


def test_the_zero_pages_are_not_freed(process):
    a = process.mmap("A", "anon4k", M2)
    b = process.mmap("B", "thp", M2)
    process.read(a)
    process.read(b)
    for hva in (a, b):
        process.madvise(hva, M2, "dontneed")
    process.heard(a)
    assert not len(process.frames.free_ranges())


def test_a_giant_page_is_unmapped_whole(process):
    g = process.mmap("G", "huge1g", GIB)
    process.write(g, 1)
    vma = process.vmas.lookup(g)
    process.sched.run("kvmtrace", zap_page_range_single(process.mm, vma, g, g + GIB, "test"))
    assert process.heard(g) == [[0, GIB]]
    assert process.events(HostUnmapped)[-1] == (g, g + GIB, "test")
    assert process.read(g) == 0
