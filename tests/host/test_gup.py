"""What KVM learns about a page, and what a range of them says."""

import numpy as np
import pytest

from kvmmu_edu.host.frames import HUGE_ZERO_PFN, ZERO_PFN
from kvmmu_edu.host.gup import HostFault, HostPage
from kvmmu_edu.sync.task import Suspend
from kvmmu_edu.units import GIB, MIB
from tests.host.bench import K4, M2


def test_nothing_is_known_of_a_page_that_nobody_touched(process):
    a = process.mmap("A", "anon4k", M2)
    assert process.page_for(a, write=False) is None
    assert process.mapping_level(a) == 1


def test_a_read_fault_maps_the_zero_page_read_only(process):
    a = process.mmap("A", "anon4k", M2)
    assert process.fault_in(a + 5, write=False) == HostPage(ZERO_PFN, 1, writable=False)
    assert process.page_for(a, write=False) == (ZERO_PFN, 1, False)
    assert process.page_for(a, write=True) is None
    assert process.heard(a) == []


def test_a_write_fault_maps_a_page_of_its_own(process):
    a = process.mmap("A", "anon4k", M2)
    page = process.fault_in(a, write=True)
    assert page.writable
    assert page.level == 1
    assert process.page_for(a + 8, write=False) == page


def test_huge_pages_say_which_of_their_frames(process):
    b = process.mmap("B", "thp", 4 * MIB)
    first = process.fault_in(b, write=True).pfn
    assert process.page_for(b + 37 * K4, write=True) == (first + 37, 2, True)
    assert process.fault_in(b + M2 + K4, write=False) == (HUGE_ZERO_PFN + 1, 2, False)
    g = process.mmap("G", "huge1g", GIB)
    first = process.fault_in(g, write=True).pfn
    assert process.page_for(g + 700 * MIB, write=True) == (first + 700 * 256, 3, True)
    assert [process.mapping_level(hva) for hva in (b, b + M2, g)] == [2, 2, 3]


@pytest.mark.parametrize("write", [False, True])
def test_where_nothing_is_mapped_there_is_a_fault(process, write):
    with pytest.raises(HostFault, match="0x1000: nothing is mapped there"):
        process.fault_in(0x1000, write=write)


def test_what_the_mapping_forbids_is_a_fault(process):
    a = process.mmap("A", "anon4k", M2)
    process.fill(a, M2)
    process.mprotect(a, K4, "r")
    process.mprotect(a + K4, K4, "none")
    assert process.fault_in(a, write=False).writable is False
    with pytest.raises(HostFault, match=r"a write to A .* r$"):
        process.fault_in(a, write=True)
    with pytest.raises(HostFault, match=r"a read to A .* none$"):
        process.fault_in(a + K4, write=False)


def test_a_range_says_what_each_page_says(process):
    a = process.mmap("A", "anon4k", M2)
    b = process.mmap("B", "thp", 4 * MIB)
    g = process.mmap("G", "huge1g", GIB)
    for hva in (a, a + 3 * K4, b, g):
        process.write(hva, 1)
    process.read(a + K4)
    process.read(b + M2)
    process.mprotect(a + 3 * K4, K4, "none")
    for first in (b - K4, b + K4, a - K4, g, g + GIB - 3 * K4):
        for write in (False, True):
            pages = process.pages_for_range(first, 1600, write=write)
            assert pages.pfns.dtype == np.int64
            for i in range(1600):
                page = process.page_for(first + i * K4, write=write)
                if page is None:
                    assert pages.pfns[i] == -1
                    assert not pages.writable[i]
                else:
                    assert (pages.pfns[i], pages.levels[i], pages.writable[i]) == page


def test_a_fault_holds_mmap_lock_while_others_hear(process):
    a = process.mmap("A", "anon4k", M2)
    process.read(a)
    held = []

    class Slow:
        async def invalidate_range_start(self, start_hva, end_hva):
            held.append(process.mmap_lock.readers != [])
            await Suspend()

        async def invalidate_range_end(self, start_hva, end_hva):
            pass

    process.notifiers.append(Slow())
    process.write(a, 1)
    assert held == [True]
    process.mmap_lock.check()
