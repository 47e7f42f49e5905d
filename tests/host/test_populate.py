"""A large range at once: the same outcome as touching each page."""

import pytest

from kvmmu_edu.host.gup import HostFault
from kvmmu_edu.trace.events import HostMapped
from kvmmu_edu.units import GIB, MIB
from tests.host.bench import K4, M2, Process


def prepare(process, kind):
    """Make memory that has some of everything."""
    hva = process.mmap("A", kind, 8 * MIB)
    process.read(hva + 3 * K4)
    process.write(hva + M2 + 5 * K4, 5)
    process.write(hva + 2 * M2, 6)
    process.fork()
    process.write(hva + 3 * M2 + 7 * K4, 7)
    process.heard(hva)
    process.events()
    return hva


@pytest.mark.parametrize("kind", ["anon4k", "thp", "huge2m", "shm"])
def test_the_outcome_is_that_of_touching_each_page(kind):
    one, many = Process(hugepages2m=4), Process(hugepages2m=4)
    hva = prepare(one, kind)
    assert prepare(many, kind) == hva
    for page in range(hva + K4, hva + 8 * MIB - K4, K4):
        one.sched.run("kvmtrace", one.mm.fault_in(page, write=True))
    many.populate(hva + K4, 8 * MIB - 2 * K4)
    assert many.heard(hva) == one.heard(hva)
    for page in range(hva, hva + 8 * MIB, K4):
        ours, theirs = (p.page_for(page, write=False) for p in (one, many))
        assert (ours and ours[1:]) == (theirs and theirs[1:])
    assert [many.read(hva + n) for n in (M2 + 5 * K4, 2 * M2, 3 * M2 + 7 * K4)] == [5, 6, 7]


def test_events_tell_of_runs(process):
    a = process.mmap("A", "anon4k", 2 * M2)
    process.write(a + 4 * K4, 1)
    process.events()
    process.populate(a, 2 * M2)
    told = process.events(HostMapped)
    assert [(event.hva - a, event.npages) for event in told] == [
        (0, 4),
        (5 * K4, 507),
        (M2, 512),
    ]
    for event in told:
        for page in (0, event.npages - 1):
            assert process.page_for(event.hva + page * K4, write=True).pfn == event.pfn + page


def test_it_is_repeatable(process):
    a = process.mmap("A", "thp", 3 * M2, skew=K4)
    process.populate(a, 3 * M2)
    before = process.snapshot()
    process.populate(a, 3 * M2)
    assert process.snapshot() == before


def test_giant_pages(process):
    g = process.mmap("G", "huge1g", GIB)
    process.populate(g, GIB)
    assert process.page_for(g + GIB - 1, write=True).level == 3


def test_what_cannot_be_written(process):
    a = process.mmap("A", "anon4k", M2)
    process.mprotect(a + K4, K4, "r")
    with pytest.raises(HostFault, match="nothing writable"):
        process.populate(a, M2)
    with pytest.raises(HostFault, match="nothing writable"):
        process.populate(a + 2 * K4, M2)
