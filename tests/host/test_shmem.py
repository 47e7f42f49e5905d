"""Shared memory: pages that outlive their mapping, and faults that map what lies around."""

import pytest

from kvmmu_edu.host.frames import Frames
from kvmmu_edu.host.shmem import FAULT_AROUND_PAGES, ShmemFile
from tests.host.bench import K4, M2


@pytest.fixture
def shared(process):
    return process.mmap("S", "shm", M2)


def test_a_read_maps_a_page_that_can_be_written(process, shared):
    page = process.fault_in(shared, write=False)
    assert page.writable
    process.write(shared, 1)
    assert process.heard(shared) == []
    assert process.page_for(shared, write=True) == page


def test_pages_survive_dontneed(process, shared):
    process.fill(shared, 3 * K4)
    pfn = process.page_for(shared, write=True).pfn
    process.madvise(shared, M2, "dontneed")
    assert process.heard(shared) == [[0, M2]]
    assert process.page_for(shared, write=False) is None
    assert process.read(shared) == 0xA5
    assert process.page_for(shared, write=False).pfn == pfn


def test_a_read_maps_what_the_file_has_around_it(process, shared):
    process.fill(shared, 20 * K4)
    process.madvise(shared, M2, "dontneed")
    process.read(shared + 3 * K4)
    present = [process.page_for(shared + i * K4, write=False) is not None for i in range(20)]
    assert present == [True] * FAULT_AROUND_PAGES + [False] * 4
    process.write(shared + 18 * K4, 1)
    assert process.page_for(shared + 17 * K4, write=False) is None


def test_fork_does_not_concern_it(process, shared):
    process.write(shared, 1)
    process.fork()
    assert process.heard(shared) == []
    assert process.page_for(shared, write=True) is not None


def test_a_hole_is_zeros(process, shared):
    process.fill(shared, 4 * K4)
    process.madvise(shared + K4, 2 * K4, "remove")
    assert process.heard(shared) == [[K4, 3 * K4]]
    assert [process.read(shared + i * K4) for i in range(4)] == [0xA5, 0, 0, 0xA5]


def test_its_pages_are_freed_with_the_last_mapping(process, shared):
    process.fill(shared, M2)
    process.munmap(shared + K4, K4)
    process.munmap(shared, K4)
    process.heard(shared)
    used = process.frames.next_pfn
    assert process.read(shared + 2 * K4) == 0xA5
    process.munmap(shared, M2)
    process.heard(shared)
    assert sum(end - start for start, end in process.frames.free_ranges().tolist()) == 512
    assert process.frames.next_pfn == used


def test_rights_come_and_go_without_copies(process, shared):
    process.write(shared, 1)
    page = process.page_for(shared, write=True)
    process.mprotect(shared, M2, "r")
    assert process.page_for(shared, write=True) is None
    process.mprotect(shared, M2, "rw")
    assert process.page_for(shared, write=True) == page


def test_a_file_has_holes_and_pages():
    file = ShmemFile(Frames())
    assert file.lookup(1000) == 0
    pfn = file.get_folio(1000)
    assert file.get_folio(1000) == pfn
    assert file.pfns().tolist() == [pfn]
    file.truncate_range(0, 1000)
    assert file.lookup(1000) == pfn
    file.truncate_range(1000, 1001)
    assert file.lookup(1000) == 0
    assert file.frames.is_free(pfn)
