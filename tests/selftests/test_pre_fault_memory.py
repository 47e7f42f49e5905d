"""What the kernel's pre_fault_memory_test asserts: it advances, and stops where memory ends."""

import pytest

from kvmmu_edu import KvmError, Vm

GPA, PAGES = 1 << 30, 512


@pytest.fixture
def vcpu():
    vm = Vm()
    hva = vm.host.mmap("memory", "anon4k", PAGES * 4096)
    vm.set_user_memory_region(10, 0, GPA, PAGES * 4096, hva)
    return vm.create_vcpu()


def test_the_whole_slot(vcpu):
    assert vcpu.pre_fault_memory(GPA, PAGES * 4096) == 0
    assert vcpu.vm.counters.vm["pages_4k"] == PAGES
    for page in range(0, PAGES, 37):
        assert vcpu.read(GPA + page * 4096) == []
    assert vcpu.stats["pf_taken"] == 0


def test_beyond_the_slot(vcpu):
    assert vcpu.pre_fault_memory(GPA + 4096, PAGES * 4096) == 4096
    with pytest.raises(KvmError, match="ENOENT") as caught:
        vcpu.pre_fault_memory(GPA + PAGES * 4096, 4096)
    assert caught.value.left == 4096
