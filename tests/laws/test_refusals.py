"""Every wrong argument that the kernel refuses: its errno, and a state that did not change."""

import numpy as np
import pytest

from kvmmu_edu import Choices, KvmError, Vm

GPA, SIZE = 0x400000, 4 << 20
WORDS = np.ones(64, np.uint64)


def slot(*arguments):
    return lambda vm, hva: vm.set_user_memory_region(
        *(value(hva) if callable(value) else value for value in arguments)
    )


def at(offset):
    return lambda hva: hva + offset


REFUSED = {
    # KVM_SET_USER_MEMORY_REGION, in the order of its checks
    "slot id beyond the last": ("EINVAL", slot(32764, 0, 8 << 20, 4096, at(0))),
    "slot id of an internal slot": ("EINVAL", slot(32766, 0, 8 << 20, 4096, at(0))),
    "unknown flag": ("EINVAL", slot(5, 4, 8 << 20, 4096, at(0))),
    "many unknown flags": ("EINVAL", slot(5, 1 << 31, 8 << 20, 4096, at(0))),
    "size not in pages": ("EINVAL", slot(5, 0, 8 << 20, 4097, at(0))),
    "gpa not in pages": ("EINVAL", slot(5, 0, (8 << 20) + 1, 4096, at(0))),
    "hva not in pages": ("EINVAL", slot(5, 0, 8 << 20, 4096, at(1))),
    "hva of the kernel": ("EINVAL", slot(5, 0, 8 << 20, 4096, 0xFFFF800000000000)),
    "address space 2": ("EINVAL", slot(2 << 16, 0, 8 << 20, 4096, at(0))),
    "gpa and size wrap": ("EINVAL", slot(5, 0, (1 << 64) - 4096, 8192, at(0))),
    "too many pages": ("EINVAL", slot(5, 0, 0, 1 << 43, 0)),
    "delete what is not there": ("EINVAL", slot(5, 0, 0, 0, 0)),
    "another size": ("EINVAL", slot(0, 0, GPA, SIZE * 2, at(0))),
    "another hva": ("EINVAL", slot(0, 0, GPA, SIZE, at(4096))),
    "read-only from now on": ("EINVAL", slot(0, 2, GPA, SIZE, at(0))),
    "overlaps a slot": ("EEXIST", slot(5, 0, GPA + SIZE - 4096, 8192, at(0))),
    "moves onto a slot": ("EEXIST", slot(1, 1, GPA + 4096, 1 << 20, at(0))),
    "beyond MAXPHYADDR": ("EINVAL", slot(5, 0, (1 << 40) - 4096, 8192, at(0))),
    # KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG
    "log of no slot": ("ENOENT", lambda vm, _: vm.get_dirty_log(9)),
    "log of a slot that is not logged": ("ENOENT", lambda vm, _: vm.get_dirty_log(0)),
    "log of an impossible slot": ("EINVAL", lambda vm, _: vm.get_dirty_log(32764)),
    "log of address space 2": ("EINVAL", lambda vm, _: vm.get_dirty_log(2 << 16)),
    "clear of a slot that is not logged": (
        "ENOENT",
        lambda vm, _: vm.clear_dirty_log(0, 0, 64, WORDS),
    ),
    "clear from the middle of a word": (
        "EINVAL",
        lambda vm, _: vm.clear_dirty_log(1, 1, 64, WORDS),
    ),
    "clear of half a word": ("EINVAL", lambda vm, _: vm.clear_dirty_log(1, 0, 63, WORDS)),
    "clear beyond the slot": ("EINVAL", lambda vm, _: vm.clear_dirty_log(1, 0, 320, WORDS)),
    # KVM_ENABLE_CAP
    "unknown capability": ("EINVAL", lambda vm, _: vm.enable_cap(4242, 1)),
    "initially set without manual protection": ("EINVAL", lambda vm, _: vm.enable_cap(168, 2)),
    "manual protection with an unknown bit": ("EINVAL", lambda vm, _: vm.enable_cap(168, 4)),
    "unknown quirk": ("EINVAL", lambda vm, _: vm.enable_cap(213, 1 << 40)),
    "NX off after the first vCPU": ("EINVAL", lambda vm, _: vm.enable_cap(220)),
    "ring of an odd size": ("EINVAL", lambda vm, _: vm.enable_cap(192, 4096 * 3)),
    # the rest
    "too few MMU pages": ("EINVAL", lambda vm, _: vm.set_nr_mmu_pages(63)),
    "pre-fault of half a page": ("EINVAL", lambda vm, _: vm.vcpus[0].pre_fault_memory(GPA, 100)),
    "pre-fault of nothing": ("EINVAL", lambda vm, _: vm.vcpus[0].pre_fault_memory(GPA, 0)),
    "unknown parameter": ("ENOENT", lambda vm, _: vm.set_module_param("colour", "1")),
    "no number": (
        "EINVAL",
        lambda vm, _: vm.set_module_param("nx_huge_pages_recovery_ratio", "many"),
    ),
    "no such setting": ("EINVAL", lambda vm, _: vm.set_module_param("nx_huge_pages", "perhaps")),
}


@pytest.mark.parametrize("kernel", ["6.12", "6.1"])
@pytest.mark.parametrize("case", REFUSED)
def test_refused_and_nothing_changed(case, kernel):
    errno, call = REFUSED[case]
    vm = Vm(choices=Choices(kernel=kernel))
    hva = vm.host.mmap("ram", "anon4k", SIZE * 4)
    vm.set_user_memory_region(0, 0, GPA, SIZE, hva)
    vm.set_user_memory_region(1, 1, 64 << 20, 1 << 20, hva)
    vcpu = vm.create_vcpu()
    vcpu.write(GPA)
    vcpu.write(64 << 20)
    before = vm.state_hash()
    with pytest.raises(KvmError) as refused:
        call(vm, hva)
    assert refused.value.name == errno
    assert "\n" not in str(refused.value)
    assert vm.state_hash() == before
    vm.check()
