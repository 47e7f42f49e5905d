"""Rights: what entries get, who hears of it, and where the two kernels differ."""

import pytest

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.host.gup import HostFault
from kvmmu_edu.trace.events import HostProtected
from kvmmu_edu.units import GIB, MIB
from tests.host.bench import K4, M2


def test_as_recorded_small_pages(either):
    """f03, operations 10 to 17."""
    a = either.mmap("A", "anon4k", M2)
    either.fill(a, M2)
    either.mprotect(a, 2 * K4, "r")
    assert either.heard(a) == [[0, M2], [0, 2 * K4]]
    assert either.fault_in(a, write=False).writable is False
    assert either.fault_in(a + 2 * K4, write=False).writable is True
    either.mprotect(a, 2 * K4, "none")
    assert either.heard(a) == [[0, 2 * K4]]
    with pytest.raises(HostFault):
        either.fault_in(a, write=False)
    either.mprotect(a, 2 * K4, "rw")
    assert either.heard(a) == [[0, 2 * K4]]
    assert either.page_for(a, write=True) is not None


def test_as_recorded_a_huge_page(either):
    """f03, operations 18 to 23."""
    b = either.mmap("B", "thp", 4 * MIB)
    either.fill(b, 4 * MIB, M2)
    either.mprotect(b + K4, K4, "r")
    assert either.heard(b) == [[0, M2], [K4, 2 * K4]]
    assert either.page_for(b, write=True).level == 1
    assert either.page_for(b + M2, write=True).level == 2
    either.mprotect(b + K4, K4, "rw")
    assert either.heard(b) == [[K4, 2 * K4]]
    assert either.page_for(b + K4, write=True).level == 1


def test_as_recorded_a_whole_mapping(either):
    """g03: nothing is cut."""
    a = either.mmap("A", "anon4k", M2)
    either.fill(a, M2)
    either.mprotect(a, M2, "r")
    assert either.heard(a) == [[0, M2]]
    assert either.events(HostProtected) == [(a, a + M2, "r", "mprotect")]


def test_a_huge_page_gets_its_rights_back_at_once_or_with_the_next_write(process, old):
    for kernel, at_once in ((process, True), (old, False)):
        b = kernel.mmap("B", "thp", M2)
        kernel.write(b, 7)
        kernel.mprotect(b, M2, "r")
        kernel.mprotect(b, M2, "rw")
        assert kernel.page_for(b, write=False).writable is at_once
        kernel.heard(b)
        kernel.write(b, 8)
        assert kernel.heard(b) == []
        assert kernel.page_for(b, write=True).level == 2


def test_the_zero_page_stays_read_only(process):
    a = process.mmap("A", "anon4k", M2)
    process.read(a)
    process.mprotect(a, M2, "r")
    process.mprotect(a, M2, "rw")
    assert process.page_for(a, write=True) is None


def test_pages_of_hugetlbfs_wait_for_a_write(process):
    h = process.mmap("H", "huge2m", 2 * M2)
    process.write(h, 1)
    process.mprotect(h, M2, "none")
    assert process.heard(h) == [[0, M2]]
    with pytest.raises(HostFault):
        process.read(h)
    process.mprotect(h, M2, "rw")
    assert process.heard(h) == [[0, M2]]
    assert process.page_for(h, write=False).writable is False
    process.write(h + 8, 2)
    assert process.read(h) == 1
    # hugetlbfs tells even if nothing is there
    process.mprotect(h + M2, M2, "r")
    assert process.heard(h) == [[M2, 2 * M2]]


def test_what_is_not_populated_is_not_told(either):
    a = either.mmap("A", "anon4k", 2 * M2)
    either.mprotect(a, 2 * M2, "r")
    assert either.heard(a) == []


def test_from_where_on_a_range_is_told(process, old):
    """The newer kernel looks for tables of 1G, the older one for tables of 2M, 1G by 1G."""
    told = {}
    for kernel in (process, old):
        a = kernel.mmap("A", "anon4k", 3 * GIB, GIB)
        kernel.write(a + GIB + 6 * M2, 1)
        kernel.write(a + 2 * GIB + 2 * M2, 1)
        kernel.mprotect(a, 3 * GIB, "r")
        told[kernel] = kernel.heard(a)
    assert told[process] == [[GIB, 3 * GIB]]
    assert told[old] == [[GIB + 6 * M2, 2 * GIB], [2 * GIB + 2 * M2, 3 * GIB]]


def test_equal_rights_are_no_change(process):
    a = process.mmap("A", "anon4k", M2)
    process.write(a, 1)
    process.mprotect(a, K4, "rw")
    assert process.heard(a) == []
    assert process.events(HostProtected) == []


def test_a_hole_is_an_error_but_what_lies_before_is_changed(process):
    a = process.mmap("A", "anon4k", M2)
    process.munmap(a + 4 * K4, K4)
    with pytest.raises(KvmError, match="ENOMEM: nothing is mapped"):
        process.mprotect(a, 8 * K4, "r")
    assert process.vmas.lookup(a).access() == "r"
    assert process.vmas.lookup(a + 5 * K4).access() == "rw"


def test_what_mprotect_refuses(process):
    a = process.mmap("A", "anon4k", M2)
    with pytest.raises(KvmError, match="EINVAL"):
        process.mprotect(a + 1, K4, "r")
    with pytest.raises(KvmError, match="ENOMEM"):
        process.mprotect(a, -K4, "r")
    with pytest.raises(UsageError, match="expected one of none, r, rw"):
        process.mprotect(a, K4, "wx")
