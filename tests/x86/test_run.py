"""In and out of the guest."""

import pytest

from kvmmu_edu import KvmError
from kvmmu_edu.trace.events import GuestEntered, GuestLeft, SetSpte, VcpuTlbFlush
from kvmmu_edu.virt.vcpu import OUTSIDE_GUEST_MODE
from kvmmu_edu.x86.guest import touch
from tests.x86.conftest import GPA


def test_each_fault_is_an_exit_and_an_entry(machine):
    made = machine()
    made.vcpu.run([touch("read", GPA), touch("read", GPA + 4096), touch("read", GPA)], [])
    assert len(made.events(GuestEntered)) == len(made.events(GuestLeft)) == 3
    assert made.vcpu.state.mode.read_once() == OUTSIDE_GUEST_MODE


@pytest.mark.parametrize(("kernel", "flushes"), [("6.12", 1), ("6.1", 0)])
def test_the_first_entry_of_a_vcpu(machine, kernel, flushes):
    made = machine(kernel=kernel)
    made.vcpu.read(GPA)
    assert made.vcpu.stats["tlb_flush"] == flushes
    assert [event.counted for event in made.events(VcpuTlbFlush)] == [False, True][: flushes + 1]


def test_a_requested_flush_is_served_at_entry(machine):
    made = machine()
    made.vcpu.write(GPA)
    made.flags(1)
    assert "TLB_FLUSH" in made.vcpu.state.requests
    made.vcpu.read(GPA)
    assert not made.vcpu.state.requests
    assert made.vcpu.stats["tlb_flush"] == 2


def test_pre_faulting_leaves_accessed_clear(machine):
    made = machine("thp", 4 << 20)
    assert made.vcpu.pre_fault_memory(GPA + 4096, 4 << 20) == 4096
    assert [event.spte & 0x20 for event in made.events(SetSpte)] == [0, 0]
    assert made.vcpu.stats["pf_taken"] == 0
    assert made.pages() == (0, 2, 0)


def test_pre_faulting_where_there_is_nothing(machine):
    made = machine()
    with pytest.raises(KvmError, match="ENOENT") as caught:
        made.vcpu.pre_fault_memory(1 << 32, 8192)
    assert caught.value.left == 8192
    with pytest.raises(KvmError, match="EINVAL"):
        made.vcpu.pre_fault_memory(GPA + 1, 4096)


def test_6_1_has_no_pre_faulting(machine):
    with pytest.raises(KvmError, match="EINVAL"):
        machine(kernel="6.1").vcpu.pre_fault_memory(GPA, 4096)
