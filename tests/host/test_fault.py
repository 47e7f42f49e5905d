"""Host page faults: the zero page, pages of their own, copy on write."""

import pytest

from kvmmu_edu.host.frames import ZERO_PFN
from kvmmu_edu.host.gup import HostFault
from kvmmu_edu.sync.task import Suspend
from kvmmu_edu.trace.events import HostMapped
from kvmmu_edu.units import MIB
from tests.host.bench import K4, M2


def test_memory_holds_what_was_written(process):
    a = process.mmap("A", "anon4k", M2)
    process.write(a + 0x1004, 0x1122334455667788)
    assert process.read(a + 0x1004) == 0x1122334455667788
    assert process.read(a + 0x1005, 2) == 0x6677
    assert process.read(a) == 0


def test_an_access_may_cross_a_page(process):
    a = process.mmap("A", "anon4k", M2)
    process.write(a + K4 - 3, 0x8877665544332211)
    assert process.read(a + K4 - 3) == 0x8877665544332211
    assert process.read(a + K4, 1) == 0x44
    assert process.page_for(a + K4, write=True) is not None


def test_a_write_to_the_zero_page_tells_of_one_page(either):
    """As recorded in a02 and f06: the page alone, then the frame is another one."""
    a = either.mmap("A", "anon4k", M2)
    either.read(a + 3 * K4)
    either.write(a + 3 * K4 + 8, 1)
    assert either.heard(a) == [[3 * K4, 4 * K4]]
    assert either.page_for(a + 3 * K4, write=True).pfn != ZERO_PFN
    assert [event.why for event in either.events(HostMapped)] == [
        "a read: the zero page",
        "copy on write",
    ]


def test_a_first_write_tells_nobody(process):
    a = process.mmap("A", "anon4k", M2)
    process.write(a, 1)
    assert process.heard(a) == []


def test_a_signal_where_nothing_may_be_written(process):
    a = process.mmap("A", "anon4k", M2)
    process.mprotect(a, M2, "r")
    with pytest.raises(HostFault, match="a write to A"):
        process.write(a, 1)
    assert process.read(a) == 0


def test_after_a_fork_a_page_is_used_again_and_a_piece_of_a_huge_page_copied(process):
    a = process.mmap("A", "anon4k", M2)
    b = process.mmap("B", "thp", M2)
    process.fill(a, 2 * K4)
    process.write(b + K4, 7)
    process.madvise(b, K4, "dontneed")
    before = [process.page_for(hva, write=True).pfn for hva in (a, b + K4)]
    process.fork()
    process.heard(b)
    process.write(a, 1)
    assert process.heard(a) == []
    process.write(b + K4 + 8, 1)
    assert process.heard(b) == [[K4, 2 * K4]]
    after = [process.page_for(hva, write=True).pfn for hva in (a, b + K4)]
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert process.read(b + K4) == 7


def test_who_was_quicker_keeps_the_page(process):
    """Two tasks write to the same zero page; the second copy is thrown away."""
    a = process.mmap("A", "anon4k", M2)
    process.read(a)
    order = []

    class Slow:
        async def invalidate_range_start(self, start_hva, end_hva):
            order.append(process.sched.current.name)
            if len(order) == 1:
                await Suspend((Turn(),))

        async def invalidate_range_end(self, start_hva, end_hva):
            pass

    class Turn:
        def ready(self):
            return len(order) == 2

        def describe(self):
            return "the other"

    process.notifiers.append(Slow())
    mm = process.mm
    first = process.sched.spawn("one", mm.write(a, 1))
    second = process.sched.spawn("two", mm.write(a + 8, 2))
    process.sched.run_all(first, second)
    assert order == ["one", "two"]
    assert (process.read(a), process.read(a + 8)) == (1, 2)
    mm.check()


def test_memory_that_was_mapped_by_small_pages_gets_small_pages_again(process):
    """An empty table stays, so a huge fault finds its place taken."""
    b = process.mmap("B", "thp", 4 * MIB)
    process.madvise(b, 4 * MIB, "nohugepage")
    process.write(b, 1)
    process.madvise(b, 4 * MIB, "hugepage")
    process.madvise(b, 4 * MIB, "dontneed")
    assert process.fault_in(b, write=True).level == 1
    assert process.fault_in(b + M2, write=True).level == 2
