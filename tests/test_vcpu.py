"""A vCPU's accesses."""

import pytest

from kvmmu_edu import Vm


@pytest.fixture
def vcpu():
    vm = Vm(trace="events")
    hva = vm.host.mmap("A", "anon4k", 1 << 20)
    vm.set_user_memory_region(0, 0, 1 << 20, 1 << 20, hva)
    return vm.create_vcpu()


def test_accesses(vcpu):
    assert vcpu.read(1 << 20) == vcpu.write(1 << 20, 5) == vcpu.rmw(1 << 20) == []
    assert vcpu.vm.host.read(vcpu.vm.host.mapping("A")[0]) == 6
    assert vcpu.exec(1 << 20) == []


def test_exits_are_returned(vcpu):
    exit_ = vcpu.write(1 << 32, 1, 2)[0]
    assert (exit_.reason, exit_.gpa, exit_.length, exit_.is_write) == ("MMIO", 1 << 32, 2, True)


def test_tasks_are_named_after_vcpus(vcpu):
    vcpu.read(1 << 20)
    second = vcpu.vm.create_vcpu()
    second.read(1 << 20)
    assert {r.task for r in vcpu.vm.trace.records} >= {"vcpu0", "vcpu1", "kvmtrace"}
    assert second.stats["pf_taken"] == 0
