"""Which tables stand in for NX huge pages."""

import pytest

from kvmmu_edu import ModuleParams
from kvmmu_edu.x86 import nx_huge_pages as nx


@pytest.mark.parametrize(
    ("value", "on"),
    [("off", False), ("auto", False), ("never", False), ("force", True), ("Y", True)],
)
def test_the_parameter(machine, value, on):
    made = machine()
    made.kvm.params.nx_huge_pages = value
    assert nx.is_nx_huge_page_enabled(made.kvm) is on
    made.mmu.disable_nx_huge_pages = True
    assert not nx.is_nx_huge_page_enabled(made.kvm)


def test_a_table_is_listed_once_and_counted(machine):
    made = machine()
    nx.track_possible_nx_huge_page(made.mmu, 7)
    nx.track_possible_nx_huge_page(made.mmu, 7)
    nx.track_possible_nx_huge_page(made.mmu, 5)
    assert list(made.mmu.possible_nx_huge_pages) == [7, 5]
    assert made.stats["nx_lpage_splits"] == 2
    nx.untrack_possible_nx_huge_page(made.mmu, 7)
    nx.untrack_possible_nx_huge_page(made.mmu, 7)
    nx.untrack_possible_nx_huge_page(made.mmu, 5)
    assert made.stats["nx_lpage_splits"] == 0


def test_what_stays_small_anyhow_is_only_forgotten(machine):
    made = machine()
    made.mmu.arena.nx_huge_page_disallowed[7] = True
    nx.track_possible_nx_huge_page(made.mmu, 7)
    nx.unaccount_nx_huge_page(made.mmu, 7)
    assert made.mmu.possible_nx_huge_pages == {}
    assert not made.mmu.arena.nx_huge_page_disallowed[7]
    assert made.stats["nx_lpage_splits"] == 0


def test_never_is_a_mode_of_its_own():
    assert nx.nx_hugepage_mitigation_hard_disabled(ModuleParams(nx_huge_pages="never"))
    assert not nx.nx_hugepage_mitigation_hard_disabled(ModuleParams())
    assert nx.nx_huge_pages_on(ModuleParams(nx_huge_pages="force"))
