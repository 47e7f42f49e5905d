"""Making and removing mappings: where they lie, what munmap tells."""

import pytest

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.host.gup import HostFault
from kvmmu_edu.units import GIB, MIB
from tests.host.bench import K4, M2


def test_each_mapping_lies_below_the_earlier_ones_and_touches_none(process):
    hvas = [process.mmap(str(i), "anon4k", 3 * MIB) for i in range(4)]
    assert hvas == sorted(hvas, reverse=True)
    assert all(high - low > 3 * MIB for low, high in zip(hvas[1:], hvas, strict=False))


@pytest.mark.parametrize(
    ("kind", "align", "skew"),
    [("thp", M2, 0), ("thp", M2, 3 * K4), ("anon4k", 64 * K4, K4), ("huge1g", GIB, 0)],
)
def test_alignment_and_skew(process, kind, align, skew):
    hva = process.mmap("A", kind, GIB if kind == "huge1g" else M2, align, skew)
    assert hva % align == skew % align


def test_the_default_alignment_is_that_of_huge_pages(process):
    assert process.mmap("A", "anon4k", K4) % M2 == 0
    assert process.mmap("G", "huge1g", GIB) % GIB == 0
    assert process.mmap("H", "huge2m", M2, K4) % M2 == 0


def test_nothing_is_populated(process):
    for kind in ("anon4k", "thp", "huge2m", "shm"):
        hva = process.mmap(kind, kind, M2)
        assert process.page_for(hva, write=False) is None
    assert process.heard(0) == []


def test_mapping_remembers_and_sizes_are_whole_pages(process):
    hva = process.mmap("A", "anon4k", 5)
    assert process.mapping("A") == (hva, K4)
    assert process.mapping("A") == (hva, process.vmas.lookup(hva).end - hva)
    with pytest.raises(UsageError, match="no mapping 'B'; known: A"):
        process.mapping("B")


@pytest.mark.parametrize(("nbytes", "align", "skew"), [(0, M2, 0), (K4, 5000, 0), (K4, M2, 5)])
def test_what_mmap_refuses(process, nbytes, align, skew):
    with pytest.raises(KvmError, match="EINVAL"):
        process.mmap("A", "anon4k", nbytes, align, skew)


def test_more_than_there_are_addresses(process):
    with pytest.raises(KvmError, match="ENOMEM: no room"):
        process.mmap("A", "anon4k", 1 << 47)
    assert process.mappings == {}


def test_mistakes_of_the_user(process):
    with pytest.raises(UsageError, match="expected one of anon4k, thp"):
        process.mmap("A", "rubber", K4)
    process.mmap("A", "thp", K4)
    with pytest.raises(UsageError, match="expected another name"):
        process.mmap("A", "thp", K4)


def test_munmap_of_a_page_tells_of_its_block_then_of_the_page(either):
    """As recorded in f03."""
    a = either.mmap("A", "anon4k", M2)
    either.fill(a, M2)
    either.munmap(a + MIB, K4)
    assert either.heard(a) == [[0, M2], [MIB, MIB + K4]]
    with pytest.raises(HostFault, match="nothing is mapped"):
        either.read(a + MIB)
    assert either.read(a + MIB + K4) == 0xA5


def test_one_call_for_all_that_goes(process):
    b = process.mmap("B", "thp", 2 * M2)
    process.fill(b, 2 * M2, M2)
    process.mprotect(b, M2, "r")
    process.heard(b)
    process.munmap(b, 2 * M2)
    assert process.heard(b) == [[0, 2 * M2]]
    assert process.vmas.by_start == []
    assert not process.page_table.blocks
    assert not process.page_table.has_pmd(b)


def test_where_nothing_is_mapped_nothing_is_told(process):
    a = process.mmap("A", "anon4k", M2)
    process.munmap(a, M2)
    process.heard(a)
    process.munmap(a, M2)
    assert process.heard(a) == []


def test_tables_stay_as_long_as_a_neighbour_needs_them(process):
    a = process.mmap("A", "anon4k", M2)
    process.fill(a, M2)
    process.munmap(a, M2 - K4)
    assert process.read(a + M2 - K4) == 0xA5
    assert process.page_table.has_pmd(a)
    process.heard(a)


@pytest.mark.parametrize(("offset", "nbytes"), [(1, K4), (0, 0)])
def test_munmap_wants_pages(process, offset, nbytes):
    a = process.mmap("A", "anon4k", M2)
    with pytest.raises(KvmError, match="EINVAL"):
        process.munmap(a + offset, nbytes)
