"""Mapping without the TDP MMU: neighbours, replaced pages, NX huge pages."""

import pytest

from kvmmu_edu import ModuleParams
from kvmmu_edu.trace.events import FlushRemoteTlbs, GetShadowPage, SetSpte
from tests.x86.conftest import GPA

BOTH = pytest.mark.parametrize("kernel", ["6.12", "6.1"])
LOG_DIRTY, READONLY = 1, 2


@pytest.fixture
def legacy(machine):
    def make(*args, nx="off", **options):
        params = ModuleParams(tdp_mmu=False, nx_huge_pages=nx)
        return machine(*args, params=params, **options)

    return make


def installed(made):
    return [event.gfn - 0x400 for event in made.events(SetSpte)]


@pytest.mark.parametrize(
    ("page", "order"),
    [
        (0, [0, 1, 2, 3, 4, 5, 6, 7]),
        (7, [7, 0, 1, 2, 3, 4, 5, 6]),
        (10, [10, 8, 9, *range(11, 16)]),
    ],
)
def test_the_group_of_eight_is_mapped(legacy, page, order):
    made = legacy()
    made.vcpu.read(GPA + page * 4096)
    assert installed(made) == order
    assert made.vcpu.stats["pf_fixed"] == 1
    leaf, _ = made.leaf(GPA + (page ^ 1) * 4096)
    # not accessed, but dirty, because it is writable from the start
    assert leaf & 0xFFF == 0xE47


def test_only_what_the_host_has_mapped(legacy):
    made = legacy(populate=False)
    made.vm.host.populate(made.hva + 0x1000, 0x2000)
    made.vm.host.populate(made.hva + 0x6000, 0x2000)
    made.vcpu.read(GPA + 0x4000)
    # the run before the page begins with what is not there, and ends the search
    assert installed(made) == [4]
    made.vm.host.populate(made.hva, 0x1000)
    made.vcpu.read(GPA + 0x5000)
    assert installed(made)[1:] == [5, 0, 1, 2, 6, 7]


@pytest.mark.parametrize("flags", [LOG_DIRTY, READONLY])
def test_no_neighbours_in_slots_that_are_logged_or_read_only(legacy, flags):
    made = legacy(flags=flags)
    made.vcpu.read(GPA)
    assert installed(made) == [0]


def test_neighbours_end_with_the_slot(legacy):
    made = legacy(nbytes=6 << 12)
    made.vcpu.read(GPA)
    assert installed(made) == [0]


@BOTH
def test_a_small_page_takes_the_place_of_a_huge_one(legacy, kernel):
    made = legacy("thp", kernel=kernel)
    made.vcpu.write(GPA)
    made.flags(LOG_DIRTY)
    before = len(made.events(FlushRemoteTlbs))
    made.vcpu.write(GPA + 0x1000)
    assert made.pages() == (1, 0, 0)
    assert len(made.events(FlushRemoteTlbs)) == before + 1


@BOTH
def test_a_huge_page_takes_the_place_of_a_table(legacy, kernel):
    made = legacy("thp", kernel=kernel, flags=LOG_DIRTY)
    made.vcpu.write(GPA)
    made.flags(0)
    assert made.pages() == (0, 0, 0)
    made.vcpu.write(GPA)
    assert made.pages() == (0, 1, 0)
    flush = made.events(FlushRemoteTlbs)[-1]
    assert (flush.gfn, flush.npages) == (0x400, 512)
    # the table exists still, and is found when it is needed again
    made.flags(LOG_DIRTY)
    made.vcpu.write(GPA)
    last = made.events(GetShadowPage)[-1]
    assert (last.level, last.created) == (1, False)


@BOTH
def test_where_no_memory_is(legacy, kernel):
    made = legacy(kernel=kernel)
    assert made.vcpu.read(GPA - 4096)[0].reason == "MMIO"
    assert made.vcpu.stats["pf_mmio_spte_created"] == 1
    made.vcpu.read(GPA - 4096)
    assert made.vcpu.stats["pf_mmio_spte_created"] == 1
    made.vm.set_user_memory_region(1, 0, GPA - 8192, 8192, made.hva)
    made.vcpu.read(GPA - 4096)
    assert made.pages() == (1, 0, 0)


@BOTH
def test_a_fetch_from_a_huge_page_that_may_not_be_executed(legacy, kernel):
    made = legacy("thp", nx="force", kernel=kernel)
    made.vcpu.read(GPA)
    made.vcpu.exec(GPA)
    assert made.pages() == (8, 0, 0)
    assert made.stats["nx_lpage_splits"] == 1
    made.vm.set_module_param("nx_huge_pages_recovery_ratio", 1)
    made.vm.set_module_param("nx_huge_pages_recovery_period_ms", 100)
    made.vm.advance(500)
    assert made.pages() == (0, 0, 0)
    assert made.stats["nx_lpage_splits"] == 0
    assert made.stats["mmu_shadow_zapped"] == 1
    made.vcpu.read(GPA)
    assert made.pages() == (0, 1, 0)


def test_which_tables_are_flagged_in_a_slot_that_is_logged(legacy):
    flagged = {}
    for kernel in ("6.12", "6.1"):
        made = legacy("thp", nx="force", kernel=kernel, flags=LOG_DIRTY)
        made.vcpu.exec(GPA)
        flagged[kernel] = int(made.mmu.arena.nx_huge_page_disallowed.sum())
        assert made.stats["nx_lpage_splits"] == 0
    assert flagged == {"6.12": 3, "6.1": 0}


@BOTH
def test_write_access_is_given_back_without_a_lock(legacy, kernel):
    made = legacy(kernel=kernel, flags=LOG_DIRTY)
    made.vcpu.write(GPA)
    made.vm.get_dirty_log(0)
    made.vcpu.write(GPA)
    assert made.vcpu.stats["pf_fast"] == 1
    assert made.vm.get_dirty_log(0)[0] == 1
