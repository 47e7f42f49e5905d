"""What the kernel's set_memory_region_test asserts of moving, deleting and limits."""

import pytest

from kvmmu_edu import KvmError, Vm
from kvmmu_edu.virt.memory_slot import USER_MEM_SLOTS
from kvmmu_edu.x86.guest import Instruction

GPA, SIZE = 0xC0000000, 2 << 20
MMIO = 0xFFFF_FFFF_FFFF_FFFF


@pytest.fixture
def vm():
    vm = Vm()
    hva = vm.host.mmap("region", "anon4k", SIZE * 2)
    vm.host.write(hva, 1)
    vm.set_user_memory_region(10, 0, GPA, SIZE, hva)
    vm.create_vcpu()
    return vm


def guest_reads(vm, hva):
    """Return what the guest loads: memory, or what user space answers to an MMIO exit."""
    return MMIO if vm.vcpus[0].read(GPA) else vm.host.read(hva)


def test_a_vcpu_without_memory_cannot_run():
    vm = Vm()
    vm.set_nr_mmu_pages(64)
    exits = []
    vm.create_vcpu().run([Instruction(0)], exits)
    assert [exit_.reason for exit_ in exits] == ["INTERNAL_ERROR"]


@pytest.mark.parametrize("disable_quirk", [False, True])
def test_a_moved_region_is_seen_whole_or_not_at_all(vm, disable_quirk):
    if disable_quirk:
        vm.enable_cap(213, 0x80)
    hva, _ = vm.host.mapping("region")
    assert guest_reads(vm, hva) == 1
    for _ in range(10):
        # away from the alignment: the guest must not see what user space writes now
        vm.set_user_memory_region(10, 0, GPA - 4096, SIZE, hva)
        vm.host.write(hva, 2)
        assert vm.vcpus[0].read(GPA) == []
        assert vm.host.read(hva + 4096) == 0
        vm.host.write(hva, 1)
        vm.set_user_memory_region(10, 0, GPA, SIZE, hva)
        assert guest_reads(vm, hva) == 1
        vm.check()


@pytest.mark.parametrize("disable_quirk", [False, True])
def test_a_deleted_region_is_mmio_and_comes_back_empty(vm, disable_quirk):
    if disable_quirk:
        vm.enable_cap(213, 0x80)
    hva, _ = vm.host.mapping("region")
    assert guest_reads(vm, hva) == 1
    vm.set_user_memory_region(10, 0, 0, 0, 0)
    assert guest_reads(vm, hva) == MMIO
    vm.set_user_memory_region(10, 0, GPA, SIZE, hva + SIZE)
    assert guest_reads(vm, hva + SIZE) == 0


@pytest.mark.parametrize("flag", [1 << bit for bit in range(2, 32)])
def test_flags_that_nobody_knows(vm, flag):
    with pytest.raises(KvmError, match="EINVAL"):
        vm.set_user_memory_region(0, flag, 0, SIZE, vm.host.mapping("region")[0])


def test_all_slots_and_not_one_more():
    vm = Vm()
    hva = vm.host.mmap("page", "anon4k", 4096)
    assert vm.check_extension(10) == USER_MEM_SLOTS
    for number in range(USER_MEM_SLOTS):
        vm.set_user_memory_region(number, 0, number << 12, 4096, hva)
    with pytest.raises(KvmError, match="EINVAL"):
        vm.set_user_memory_region(USER_MEM_SLOTS, 0, USER_MEM_SLOTS << 12, 4096, hva)
    vm.check()
