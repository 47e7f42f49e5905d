"""Removing shadow pages: one flush for many, roots that stay, quotas."""

import pytest

from kvmmu_edu import ModuleParams, Vm
from kvmmu_edu.errors import KvmError
from kvmmu_edu.trace.events import FlushRemoteTlbs, PrepareZapShadowPage, RootInvalidated
from kvmmu_edu.x86 import shadow_zap
from kvmmu_edu.x86.mmu_page import role_is_invalid
from tests.x86.conftest import GPA

BOTH = pytest.mark.parametrize("kernel", ["6.12", "6.1"])


@pytest.fixture
def legacy(machine):
    def make(*args, **options):
        return machine(*args, params=ModuleParams(tdp_mmu=False), **options)

    return make


@BOTH
def test_a_deleted_slot_takes_all_pages_with_one_flush(legacy, kernel):
    made = legacy("thp", kernel=kernel)
    made.vcpu.write(GPA)
    made.vcpu.write(GPA + (2 << 20))
    root = made.vcpu.state.arch.root
    made.delete()
    zapped = made.events(PrepareZapShadowPage)
    # the oldest first: the root, which stays because the vCPU uses it
    assert [(event.level, event.root_count) for event in zapped] == [(4, 1), (3, 0), (2, 0)]
    assert [event.npages for event in made.events(FlushRemoteTlbs)] == [0]
    assert made.stats["mmu_shadow_zapped"] == 3
    assert made.pages() == (0, 0, 0)
    assert made.mmu.n_used_mmu_pages == 1
    assert role_is_invalid(made.mmu.arena.roles[root])
    assert [event.table for event in made.events(RootInvalidated)] == [root]
    made.flags(0)
    made.vcpu.read(GPA)
    assert made.vcpu.state.arch.root != root
    assert made.stats["mmu_shadow_zapped"] == 4
    assert made.mmu.mmu_valid_gen == 1


def test_without_the_quirk_only_the_pages_of_the_slot_are_unmapped(legacy):
    made = legacy()
    made.vm.enable_cap(213, 0x80)
    made.vcpu.write(GPA)
    made.delete()
    assert made.pages() == (0, 0, 0)
    assert made.stats["mmu_shadow_zapped"] == 0
    assert made.stats["remote_tlb_flush_requests"] == 1


def touched(legacy, tables, **options):
    made = legacy(nbytes=256 << 20, populate=False, **options)
    made.vm.host.populate(made.hva, 256 << 20)
    for table in range(tables):
        made.vcpu.read(GPA + (table << 21))
    return made


@BOTH
def test_the_oldest_give_way_when_there_is_hardly_room(legacy, kernel):
    made = touched(legacy, 0, kernel=kernel)
    made.vm.set_nr_mmu_pages(64)
    # a root, two tables above, and one for each 2M: five of 64 must be free for a fault
    for table in range(57):
        made.vcpu.read(GPA + (table << 21))
    assert made.mmu.n_used_mmu_pages == 60
    assert made.stats["mmu_recycled"] == 0
    made.vcpu.read(GPA + (57 << 21))
    assert made.stats["mmu_recycled"] == 25 - 4
    # among the oldest are the two upper tables: they have to be made again
    assert made.mmu.n_used_mmu_pages == 60 - 21 + 3


def test_a_lower_limit_zaps_what_is_too_much(legacy):
    made = touched(legacy, 80)
    assert made.mmu.n_used_mmu_pages == 83
    made.vm.set_nr_mmu_pages(70)
    assert made.mmu.n_used_mmu_pages == 70
    assert made.stats["mmu_recycled"] == 13
    made.vm.set_user_memory_region(1, 0, 1 << 32, 4096, made.hva)
    assert made.mmu.n_max_mmu_pages == 70
    with pytest.raises(KvmError, match="EINVAL: 63 MMU pages are fewer than 64"):
        made.vm.set_nr_mmu_pages(63)


@pytest.mark.parametrize(("mib", "pages"), [(8, 64), (64, 327)])
def test_without_a_request_the_limit_follows_the_memory(legacy, mib, pages):
    assert legacy(nbytes=mib << 20).mmu.n_max_mmu_pages == pages


def test_if_nothing_can_be_zapped_the_fault_fails(legacy):
    made = legacy()
    made.vcpu.read(GPA)
    made.mmu.n_max_mmu_pages = 1
    for row, page in made.mmu.shadow.pages.items():
        page.root_count += row != made.vcpu.state.arch.root
    with pytest.raises(KvmError, match="ENOSPC: 4 shadow pages are in use, 1 are allowed"):
        shadow_zap.make_mmu_pages_available(made.mmu)
    for row, page in made.mmu.shadow.pages.items():
        page.root_count -= row != made.vcpu.state.arch.root


def test_the_end_of_a_vm_leaves_nothing():
    vm = Vm(params=ModuleParams(tdp_mmu=False))
    hva = vm.host.mmap("A", "anon4k", 1 << 20)
    vm.set_user_memory_region(0, 0, GPA, 1 << 20, hva)
    vm.create_vcpu().write(GPA)
    vm.create_vcpu().write(GPA)
    vm.destroy()
    assert vm.kvm.arch_state.arena.used == 0
    assert vm.kvm.arch_state.n_used_mmu_pages == 0


def test_a_page_that_is_unlinked_is_found_again(legacy):
    made = legacy()
    made.vcpu.read(GPA)
    mmu, invalid = made.mmu, []
    upper = next(row for row in mmu.shadow.pages if mmu.arena.roles[row] & 15 == 2)
    shadow_zap.mmu_prepare_zap_page(mmu, upper, invalid)
    shadow_zap.mmu_remote_flush_or_zap(mmu, invalid, remote_flush=True)
    assert made.stats["pages_4k"] == 8
    made.vm.check()
    misses = made.stats["mmu_cache_miss"]
    made.vcpu.read(GPA)
    assert made.stats["mmu_cache_miss"] == misses + 1
    assert made.stats["pages_4k"] == 8
