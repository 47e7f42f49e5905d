"""check() notices what does not fit together; snapshots of like processes are equal."""

import pytest

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.host.page_table import ANON_EXCLUSIVE, LARGE_FOLIO, PAGE_PRESENT, PAGE_RW
from kvmmu_edu.units import MIB
from tests.host.bench import K4, M2, Process


@pytest.fixture
def a(process):
    hva = process.mmap("A", "anon4k", M2)
    process.fill(hva, 4 * K4)
    return hva


def entry(process, hva):
    return process.page_table.walk(hva)[0]


def test_a_frame_with_two_owners(process, a):
    process.page_table.set_pte(a, entry(process, a + K4))
    with pytest.raises(InvariantError, match=r"has two owners|has no owner"):
        process.check()


def test_a_frame_that_was_lost(process, a):
    pfn = process.page_for(a, write=True).pfn
    process.page_table.set_pte(a, 0)
    with pytest.raises(InvariantError, match=f"frame {pfn:#x} has no owner and is not free"):
        process.check()


def test_a_frame_that_is_free_but_mapped(process, a):
    process.frames.free(process.page_for(a, write=True).pfn)
    with pytest.raises(InvariantError, match="has two owners"):
        process.check()


def test_an_entry_where_nothing_is_mapped(process, a):
    process.page_table.set_pte(a + M2, entry(process, a))
    with pytest.raises(InvariantError, match=f"the entry at {a + M2:#x} is present but no VMA"):
        process.check()


@pytest.mark.parametrize(
    ("clear", "add", "message"),
    [
        (PAGE_PRESENT, 0, "present bit differs"),
        (ANON_EXCLUSIVE, 0, "its page is not exclusive: A"),
    ],
)
def test_an_entry_whose_rights_are_wrong(process, a, clear, add, message):
    process.page_table.set_pte(a, entry(process, a) & ~clear | add)
    with pytest.raises(InvariantError, match=message):
        process.check()


def test_an_entry_that_allows_more_than_its_vma(process, a):
    process.mprotect(a, M2, "r")
    process.page_table.set_pte(a, entry(process, a) | PAGE_RW)
    with pytest.raises(InvariantError, match="without the right to write: A"):
        process.check()


def test_a_huge_entry_that_leaves_its_vma(process):
    b = process.mmap("B", "thp", 4 * MIB)
    process.write(b, 1)
    process.vmas.lookup(b).end -= 3 * K4 + M2
    with pytest.raises(InvariantError, match="present but not inside a VMA"):
        process.check()


def test_a_huge_entry_among_small_pages_of_hugetlbfs(process):
    h = process.mmap("H", "huge1g", 1 << 30)
    process.page_table.set_pmd(h, PAGE_PRESENT | 1 << 40)
    with pytest.raises(InvariantError, match=r"level 2 entry at .* has pages of level 3"):
        process.check()


def test_a_huge_entry_that_is_a_piece(process):
    b = process.mmap("B", "thp", M2)
    process.write(b, 1)
    process.page_table.set_pmd(b, entry(process, b) | LARGE_FOLIO)
    with pytest.raises(InvariantError, match="marked as pieces of one"):
        process.check()


def test_a_block_without_a_table_above(process, a):
    process.page_table.pmd_pages.clear()
    with pytest.raises(InvariantError, match="has no table above it"):
        process.check()


def test_snapshots_of_like_processes_are_equal():
    def story():
        process = Process(hugepages2m=2)
        b = process.mmap("B", "thp", 4 * MIB)
        h = process.mmap("H", "huge2m", M2)
        process.write(b + K4, 3)
        process.write(h, 1)
        process.madvise(b, K4, "dontneed")
        return process, b

    (one, b), (two, _) = story(), story()
    assert one.snapshot() == two.snapshot()
    before = one.snapshot()
    one.write(b + K4, 4)
    assert one.snapshot() != two.snapshot()
    one.write(b + K4, 3)
    assert one.snapshot() == before
