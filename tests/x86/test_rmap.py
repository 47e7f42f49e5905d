"""Reverse maps: what they cost, who is in them."""

import pytest

from kvmmu_edu import ModuleParams, Vm
from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import FlushRemoteTlbs, RmapAdded, RmapRemoved
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86 import rmap
from kvmmu_edu.x86.lpage_info import LpageInfo
from kvmmu_edu.x86.mmu_page import calc_tdp_mmu_root_page_role
from kvmmu_edu.x86.pte_list import pte_list_count
from kvmmu_edu.x86.rmap import RmapArray
from kvmmu_edu.x86.shadow_gate import mmu_spte_set, read_spte, sptep_of
from kvmmu_edu.x86.shadow_page import mmu_get_shadow_page
from kvmmu_edu.x86.shadow_zap import drop_spte, mmu_commit_zap_page, mmu_prepare_zap_page
from tests.x86.conftest import GPA

WITHOUT_TDP_MMU = ModuleParams(tdp_mmu=False)
GIB = 1 << 18


def arrays(npages, base_gfn=0):
    return [RmapArray(base_gfn, npages, level) for level in (1, 2, 3)]


def test_a_gib_takes_a_fifth_of_a_percent():
    made = arrays(GIB)
    assert [array.entries for array in made] == [262144, 512, 1]
    assert sum(array.nbytes for array in made) == 2_101_256
    assert sum(array.page_bytes for array in made) == 2_105_344
    assert round(2_101_256 / (1 << 30) * 100, 5) == 0.19569


def test_96_gib_take_192_mib():
    nbytes = sum(array.nbytes for array in arrays(96 * GIB))
    assert round(nbytes / (1 << 20), 1) == 192.4


def test_a_slot_across_the_edge_of_a_large_page_has_an_entry_more():
    assert [array.entries for array in arrays(512, base_gfn=1)] == [512, 2, 1]


def test_so_many_slots_of_one_page_take_384_mib():
    page_bytes = sum(array.page_bytes for array in arrays(1)) * 32_764
    assert page_bytes == 402_604_032
    assert round(page_bytes / (1 << 20)) == 384


def test_slots_are_accounted_for_as_they_come_and_go(machine):
    made = machine(params=WITHOUT_TDP_MMU, nbytes=1 << 30, populate=False)
    counts = made.vm.counters.counts
    assert (counts["rmap_bytes"], counts["rmap_page_bytes"]) == (2_101_256 + 8, 2_105_344)
    made.flags(1)
    assert counts["rmap_bytes"] == 2_101_264
    made.vm.set_user_memory_region(0, 1, GPA + (1 << 30), 1 << 30, made.hva)
    assert counts["rmap_bytes"] == 2_101_264
    made.vm.set_user_memory_region(0, 0, GPA, 0, made.hva)
    assert (counts["rmap_bytes"], counts["rmap_page_bytes"]) == (0, 0)


def test_with_the_tdp_mmu_there_are_none(machine):
    made = machine()
    assert made.vm.counters.counts["rmap_bytes"] == 0
    assert rmap.rmaps_of(id_to_memslot(memslots(made.kvm), 0), 1) is None


def test_other_arrays_are_not_counted_with_them():
    assert LpageInfo(0, GIB, 0).nbytes == 2052


def test_what_is_mapped_is_in_the_map_of_its_page(machine):
    made = machine(params=WITHOUT_TDP_MMU)
    made.vcpu.write(GPA + 0x3000)
    added = made.events(RmapAdded)
    assert [event.gfn for event in added] == [0x403, 0x400, 0x401, 0x402, *range(0x404, 0x408)]
    slot = id_to_memslot(memslots(made.kvm), 0)
    assert pte_list_count(rmap.gfn_to_rmap(slot, 0x403, 1)) == 1
    made.vm.host.madvise(made.hva + 0x3000, 4096, "dontneed")
    assert [event.gfn for event in made.events(RmapRemoved)] == [0x403]


def direct_tables(mmu, n):
    """Make *n* tables of level 1 for GPA: in each another role is used, here only in the model."""
    base = calc_tdp_mmu_root_page_role() - 3
    return [mmu_get_shadow_page(mmu, GPA >> 12, base | i << 20) for i in range(n)]


@pytest.mark.parametrize("kernel", ["6.12", "6.1"])
def test_a_list_that_becomes_too_long_is_thrown_away(machine, kernel, monkeypatch):
    made = machine(params=WITHOUT_TDP_MMU, kernel=kernel)
    monkeypatch.setattr(rmap, "RMAP_RECYCLE_THRESHOLD", 5)
    mmu, slot = made.mmu, id_to_memslot(memslots(made.kvm), 0)
    tables = direct_tables(mmu, 7)
    spte = 0x200000827
    for n, table in enumerate(tables, 1):
        sptep = sptep_of(table, 0)
        mmu_spte_set(mmu, sptep, spte, rmap.Cause.MAP)
        rmap._rmap_add(mmu, slot, sptep, GPA >> 12)
        assert made.stats["pages_4k"] == (n if n < 7 else 0)
    assert made.stats["max_mmu_rmap_size"] == 6
    assert [(e.gfn, e.npages) for e in made.events(FlushRemoteTlbs)] == [(0x400, 1)]
    assert all(read_spte(mmu, sptep_of(t, 0)) == mmu.arena.nonpresent for t in tables)
    invalid = []
    for table in tables:
        mmu_prepare_zap_page(mmu, table, invalid)
    mmu_commit_zap_page(mmu, invalid)
    made.kvm.rcu.run_callbacks()


def test_an_entry_that_maps_what_is_in_no_slot_is_a_bug(machine):
    made = machine(params=WITHOUT_TDP_MMU)
    table = direct_tables(made.mmu, 1)[0]
    sptep = sptep_of(table, 0)
    made.mmu.arena.gfns[table] = 0
    mmu_spte_set(made.mmu, sptep, 0x200000827, rmap.Cause.MAP)
    with pytest.raises(KernelBug, match="maps gfn 0x0, which is in no slot"):
        drop_spte(made.mmu, sptep)
    made.mmu.arena.gfns[table] = GPA >> 12
    invalid = []
    mmu_prepare_zap_page(made.mmu, table, invalid)
    mmu_commit_zap_page(made.mmu, invalid)
    made.kvm.rcu.run_callbacks()


def test_maps_in_use_are_not_freed():
    vm = Vm(params=WITHOUT_TDP_MMU)
    hva = vm.host.mmap("A", "anon4k", 1 << 20)
    vm.set_user_memory_region(0, 0, GPA, 1 << 20, hva)
    vm.create_vcpu().write(GPA)
    slot = id_to_memslot(memslots(vm.kvm), 0)
    with pytest.raises(KernelBug, match="are freed, but gfn 0x400 is mapped"):
        vm.kvm.arch.free_memslot(vm.kvm, slot)
    vm.destroy()
