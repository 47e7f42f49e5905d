import pytest

from kvmmu_edu import UsageError
from kvmmu_edu.units import GIB, MIB
from kvmmu_widgets import look, runs


def test_a_walk_ends_at_the_page():
    grid = look.walk(runs.first_access("write"), 2 * MIB)
    assert grid["level"] == [4, 3, 2, 1]
    assert grid["index"] == [0, 0, 1, 0]
    assert grid["says"][:3] == [f"go on in table {n}" for n in (2, 3, 4)]
    assert grid["says"][3].startswith("4K RWX D A, pfn 0x")


def test_a_walk_ends_at_a_huge_page():
    assert look.walk(runs.first_access("write", "huge1g"), GIB)["level"] == [4, 3]


def test_a_walk_ends_where_nothing_is():
    grid = look.walk(runs.first_access(), 5 * GIB)
    assert grid["says"] == ["go on in table 2", "empty"]


def test_before_the_first_run_there_is_no_root():
    vm = runs.machine()
    assert look.walk(vm, 0).caption.endswith("there is no root yet")
    with pytest.raises(UsageError, match="no page tables yet; expected a guest that ran"):
        look.bits(vm, 0)


@pytest.mark.parametrize("paging", ["npt", "ept"])
def test_bits_say_what_a_read_only_page_lacks(paging):
    vm = runs.machine(flags=2, paging=paging)
    vm.vcpus[0].read(MIB)
    grid = look.bits(vm, MIB)
    values = dict(zip(grid["field"], grid["value"], strict=True))
    assert values["`PT_WRITABLE_MASK`"] == "0"
    assert values["`shadow_host_writable_mask`"] == "0"
    assert values["`shadow_mmu_writable_mask`"] == "0"
    assert values["`SPTE_MMU_PRESENT_MASK`"] == "1"
    assert ("`shadow_present_mask`" in values) == (paging == "ept")


@pytest.mark.parametrize("paging", ["npt", "ept"])
def test_bits_of_an_mmio_entry_are_its_generation(paging):
    vm = runs.machine(paging=paging)
    vm.vcpus[0].read(16 * MIB)
    grid = look.bits(vm, 16 * MIB)
    assert grid["field"][0] == "generation"
    assert grid["value"][0] == "2"
    assert grid["value"][-1] == "0x1000"


def test_tables_are_counted_by_level_and_roots_apart():
    grid = look.tables(runs.touched(GIB))
    assert grid["level"] == [4, 3, 2, 1]
    assert grid["tables"] == [1, 1, 1, 512]
    assert grid["pages mapped"] == [0, 0, 0, 512]
    assert "515 page tables" in grid.caption
    assert grid.caption.endswith("which counts no roots, is 514")


def test_levels_say_why_a_huge_page_may_not_be():
    grid = look.levels(runs.accesses("thp", memory_mib=5, count=5))
    assert grid["whole"] == [True, True, False]
    assert grid["disallow_lpage"] == [0, 0, 1]
    assert grid["KVM may map"] == ["2M", "2M", "4K"]
    assert grid["mapped as"] == ["2M", "2M", "1 × 4K"]


def test_levels_of_what_does_not_fit():
    skewed = look.levels(runs.accesses("thp", count=4, skew_kib=4))
    assert skewed["congruent"] == [False, False]
    assert set(skewed["KVM may map"]) == {"4K"}
    assert set(look.levels(runs.machine())["mapped as"]) == {"nothing"}


def test_a_slot_that_is_not_there_or_too_large():
    vm = runs.machine(memory=256 * MIB)
    with pytest.raises(UsageError, match="no slot 7"):
        look.levels(vm, 7)
    with pytest.raises(UsageError, match="expected a slot of at most 64"):
        look.levels(vm)
