"""Numbers that are argued about on the mailing list, computed by the engine."""

import pytest

from kvmmu_edu import Choices, ModuleParams, Vm
from kvmmu_edu.x86.mmu_state import mmu_of
from kvmmu_edu.x86.nx_recovery import recover_nx_huge_pages

MIB2, GIB = 2 << 20, 1 << 30


def vm_with_slot(kind, nbytes, *, gpa=GIB, params=None, choices=None, **options):
    """Return a VM with one slot at *gpa*, its vCPU, and a function that sets the slot's flags."""
    vm = Vm(choices=choices or Choices(), params=params or ModuleParams(), **options)
    hva = vm.host.mmap("A", kind, nbytes)

    def flags(value):
        vm.set_user_memory_region(0, value, gpa, nbytes, hva)

    flags(0)
    return vm, vm.create_vcpu(), flags


def requests(vm):
    return vm.counters.vm["remote_tlb_flush_requests"]


# --- flushes for a zap: one for each table, one, none --------------------------------------------


def a_gib_of_tables(flush_on_zap):
    """Return a VM in which 513 tables stand where a page of 1 GiB could be mapped.

    It was mapped, split for dirty logging, and given back to the host.
    """
    choices = Choices(flush_on_zap=flush_on_zap)
    vm, vcpu, flags = vm_with_slot("huge1g", GIB, choices=choices, hugepages1g=1)
    vcpu.write(GIB)
    flags(1)
    assert mmu_of(vm.kvm).tdp_mmu_pages.read_once() == 1 + 513
    assert vm.counters.vm["pages_4k"] == 512 * 512
    return vm, vcpu, flags


@pytest.mark.parametrize(("flush_on_zap", "flushes"), [("per_table", 513), ("batched", 1)])
def test_a_huge_page_takes_the_place_of_513_tables(flush_on_zap, flushes):
    vm, vcpu, flags = a_gib_of_tables(flush_on_zap)
    vm.host.madvise(vm.host.mapping("A")[0], GIB, "dontneed")
    flags(0)
    before = requests(vm)
    vcpu.write(GIB)
    assert vm.counters.vm["pages_1g"] == 1
    assert mmu_of(vm.kvm).tdp_mmu_pages.read_once() == 1
    assert requests(vm) - before == flushes
    vm.check()


def test_an_unreachable_root_is_zapped_without_a_flush():
    vm, _, _flags = a_gib_of_tables("batched")
    before = requests(vm)
    vm.set_user_memory_region(0, 0, GIB, 0, 0)
    assert mmu_of(vm.kvm).tdp_mmu_pages.read_once() == 0
    assert requests(vm) - before == 0


def test_before_5_18_each_of_its_tables_was_flushed_for():
    vm, _, _flags = a_gib_of_tables("per_table")
    before = requests(vm)
    vm.set_user_memory_region(0, 0, GIB, 0, 0)
    assert requests(vm) - before == 514


# --- the spinlock of the list ---------------------------------------------------------------------


@pytest.mark.parametrize(("tdp_mmu_pages", "per_gib"), [("list", (514, 513)), ("counter", (0, 0))])
def test_lock_acquisitions_to_map_a_gib_with_small_pages(tdp_mmu_pages, per_gib):
    choices = Choices(tdp_mmu_pages=tdp_mmu_pages)
    vm, vcpu, _ = vm_with_slot("anon4k", 2 * GIB, gpa=0, choices=choices)
    # one for the root
    before, counted = 1, []
    for gib in range(2):
        for page in range(512):
            vcpu.write(gib * GIB + page * MIB2)
        now = vm.counters.locks["tdp_mmu_pages_lock", "lock"]
        counted.append(now - before)
        before = now
    assert tuple(counted) == per_gib
    mmu = mmu_of(vm.kvm)
    assert mmu.tdp_mmu_pages.read_once() == 514 + 513
    assert mmu.arena.used == 514 + 513 + 1


# --- the end of dirty logging ---------------------------------------------------------------------


def test_131072_flushes_to_stop_logging_256_gib_of_2m_pages():
    npages = 131_072
    vm, vcpu, flags = vm_with_slot("huge2m", npages * MIB2, hugepages2m=npages)
    vcpu.pre_fault_memory(GIB, npages * MIB2)
    flags(1)
    assert requests(vm) == 1
    flags(0)
    assert requests(vm) == 1 + npages
    assert vm.counters.vm["pages_4k"] == 0


# --- recovery of NX huge pages -------------------------------------------------------------------


def test_6000_split_pages_are_2168_after_an_hour():
    npages = 6000
    params = ModuleParams(nx_huge_pages="force")
    vm, vcpu, _ = vm_with_slot("thp", npages * MIB2, params=params)
    vm.host.touch(vm.host.mapping("A")[0], npages, MIB2)
    for page in range(npages):
        vcpu.exec(GIB + page * MIB2)
    assert vm.counters.vm["nx_lpage_splits"] == npages
    for _ in range(60):
        vm.run(recover_nx_huge_pages(mmu_of(vm.kvm)))
    assert vm.counters.vm["nx_lpage_splits"] == 2168
