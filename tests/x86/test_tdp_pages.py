"""Counting page tables, or listing them."""

import pytest

from kvmmu_edu import Choices, ModuleParams, Vm
from kvmmu_edu.errors import InvariantError
from kvmmu_edu.x86.mmu_state import mmu_of
from tests.x86.conftest import GPA

GIB = 1 << 30
MIB2 = 2 << 20


def vm_with_memory(kernel="6.12", tdp_mmu_pages=None, nbytes=8 << 20, kind="anon4k", **options):
    vm = Vm(choices=Choices(kernel=kernel, tdp_mmu_pages=tdp_mmu_pages), **options)
    hva = vm.host.mmap("A", kind, nbytes)
    vm.set_user_memory_region(0, 0, GPA, nbytes, hva)
    return vm, vm.create_vcpu()


def lock_acquisitions(vm):
    return vm.counters.locks.get(("tdp_mmu_pages_lock", "lock"), 0)


@pytest.mark.parametrize(
    ("kernel", "chosen", "listed"),
    [
        ("6.12", None, False),
        ("6.12", "list", True),
        ("6.1", None, True),
        ("6.1", "counter", False),
    ],
)
def test_tables_are_counted_in_any_case_and_listed_if_chosen(kernel, chosen, listed):
    vm, vcpu = vm_with_memory(kernel, chosen)
    mmu = mmu_of(vm.kvm)
    vcpu.write(GPA)
    vcpu.write(GPA + MIB2)
    vm.check()
    assert mmu.tdp_mmu_pages.read_once() == 4
    assert len(mmu.listed_tdp_mmu_pages) == (4 if listed else 0)
    vm.set_user_memory_region(0, 0, GPA, 0, 0)
    vm.check()
    assert mmu.tdp_mmu_pages.read_once() == len(mmu.listed_tdp_mmu_pages) == 0
    vm.destroy()


@pytest.mark.parametrize(("chosen", "linking", "unlinking"), [("counter", 0, 0), ("list", 4, 4)])
def test_only_the_list_needs_the_lock(chosen, linking, unlinking):
    vm, vcpu = vm_with_memory(tdp_mmu_pages=chosen)
    vcpu.write(GPA)
    vcpu.write(GPA + MIB2)
    # one for the root
    assert lock_acquisitions(vm) == 1 + linking
    vm.set_user_memory_region(0, 0, GPA, 0, 0)
    assert lock_acquisitions(vm) == 1 + linking + unlinking


@pytest.mark.parametrize("chosen", ["counter", "list"])
@pytest.mark.parametrize("kernel", ["6.12", "6.1"])
def test_nx_huge_pages_are_tracked_either_way(kernel, chosen):
    params = ModuleParams(nx_huge_pages="force")
    vm, vcpu = vm_with_memory(kernel, chosen, kind="huge2m", hugepages2m=4, params=params)
    mmu = mmu_of(vm.kvm)
    vcpu.exec(GPA)
    vm.check()
    assert len(mmu.possible_nx_huge_pages) == 1
    # 6.12 flags what the fetch made, 6.1 only what could be a huge page
    assert mmu.arena.nx_huge_page_disallowed.sum() == (1 if kernel == "6.1" else 3)
    vm.set_user_memory_region(0, 0, GPA, 0, 0)
    assert mmu.possible_nx_huge_pages == {}
    vm.check()


def test_a_lost_table_is_missed_at_the_end_and_the_list_says_which():
    for chosen, which in (("counter", "leaked$"), ("list", r"leaked: tables \[\d+\]$")):
        vm, vcpu = vm_with_memory(tdp_mmu_pages=chosen)
        vcpu.write(GPA)
        mmu = mmu_of(vm.kvm)
        (page_table,) = (row for row in mmu.arena.rows() if mmu.arena.roles[row] & 15 == 1)
        parent, index = int(mmu.arena.parent[page_table]), int(mmu.arena.parent_index[page_table])
        # the table is forgotten, as by a bug: nothing points to it any more
        mmu.arena.words[parent * 512 + index] = mmu.arena.nonpresent
        with pytest.raises(InvariantError, match=f"^1 page tables and 0 roots were {which}"):
            vm.destroy()
