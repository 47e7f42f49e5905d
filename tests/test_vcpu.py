"""A vCPU's accesses."""

import pytest

from kvmmu_edu import Choices, UsageError, Vm


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


@pytest.mark.parametrize(
    ("gpa", "value", "size"),
    [
        (-1, 0, 1),
        (1 << 40, 0, 8),
        (1 << 48 | 1 << 20, 0, 8),  # four levels of tables do not see bit 48
        (1 << 20, 0, 0),
        (1 << 20, 0, 3),
        (0x100FFC, 0, 8),
        (1 << 20, 256, 1),
    ],
)
def test_what_no_instruction_can_do(vcpu, gpa, value, size):
    before = vcpu.vm.state_hash()
    with pytest.raises(UsageError, match="expected"):
        vcpu.write(gpa, value, size)
    assert vcpu.vm.state_hash() == before


def test_the_last_address_depends_on_the_cpu():
    for bits in (40, 48):
        vcpu = Vm(choices=Choices(maxphyaddr=bits)).create_vcpu()
        assert [one.reason for one in vcpu.read((1 << bits) - 8)] == ["MMIO"]
        with pytest.raises(UsageError):
            vcpu.read(1 << bits)
        with pytest.raises(UsageError):
            vcpu.exec(1 << bits)
