"""In and out of the guest."""

import pytest

from kvmmu_edu import Choices, KvmError, UsageError, Vm
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


def test_pre_faulting_succeeds_if_one_page_is_mapped(machine):
    made = machine()
    made.vm.host.munmap(made.hva + 4096, 4096)
    assert made.vcpu.pre_fault_memory(GPA, 8192) == 4096
    with pytest.raises(KvmError, match="EFAULT") as caught:
        made.vcpu.pre_fault_memory(GPA + 4096, 8192)
    assert caught.value.left == 8192


def test_pre_faulting_stops_where_the_host_has_no_page(machine):
    made = machine()
    made.vm.host.munmap(made.hva + 3 * 4096, 4096)
    assert made.vcpu.pre_fault_memory(GPA, 5 * 4096) == 2 * 4096
    assert made.pages() == (3, 0, 0)
    with pytest.raises(KvmError, match="EFAULT"):
        made.vcpu.pre_fault_memory(GPA + 3 * 4096, 4096)


def test_pre_faulting_must_not_wrap(machine):
    made = machine()
    with pytest.raises(KvmError, match=r"EINVAL: gpa 0xfffffffffffff000 \+ 0x1000 wraps"):
        made.vcpu.pre_fault_memory((1 << 64) - 4096, 4096)
    # far beyond what can be mapped, but a number all the same
    with pytest.raises(KvmError, match="ENOENT"):
        made.vcpu.pre_fault_memory(1 << 60, 4096)


def test_6_1_has_no_pre_faulting(machine):
    with pytest.raises(KvmError, match="EINVAL"):
        machine(kernel="6.1").vcpu.pre_fault_memory(GPA, 4096)


def with_ring(kernel, nbytes):
    """Return a VM whose one vCPU logs to a ring, and its slot is logged from the start."""
    vm = Vm(choices=Choices(kernel=kernel), trace="events")
    vm.enable_cap(192, nbytes)
    hva = vm.host.mmap("A", "anon4k", 8 << 20)
    vm.host.populate(hva, 8 << 20)
    vm.set_user_memory_region(3, 1, GPA, 8 << 20, hva)
    return vm, vm.create_vcpu()


@pytest.mark.parametrize("kernel", ["6.12", "6.1"])
def test_what_a_vcpu_writes_is_in_its_ring_until_it_is_reset(kernel):
    vm, vcpu = with_ring(kernel, 4096)
    other = vm.create_vcpu()
    for page in (1, 0, 7):
        vcpu.write(GPA + page * 4096)
    assert vcpu.collect_dirty_ring() == [(3, 1), (3, 0), (3, 7)]
    assert other.collect_dirty_ring() == []
    vcpu.write(GPA)
    assert vcpu.collect_dirty_ring() == []
    assert vm.reset_dirty_rings() == 3
    assert vm.counters.vm["remote_tlb_flush_requests"] == 1
    assert vm.reset_dirty_rings() == 0
    vcpu.write(GPA)
    assert vcpu.collect_dirty_ring() == [(3, 0)]
    vm.check()


@pytest.mark.parametrize("kernel", ["6.12", "6.1"])
def test_a_vcpu_with_a_full_ring_does_not_enter_the_guest(kernel):
    vm, vcpu = with_ring(kernel, 4096)
    exits = []
    # 256 entries, 64 of them in reserve
    vcpu.run([touch("write", GPA + page * 4096) for page in range(300)], exits)
    assert [(exit_.reason, exit_.code) for exit_ in exits] == [("DIRTY_RING_FULL", 31)]
    assert vcpu.stats["pf_taken"] == 192
    assert vcpu.read(GPA)[0].reason == "DIRTY_RING_FULL"
    assert vcpu.stats["pf_taken"] == 192
    vm.check()
    assert len(vcpu.collect_dirty_ring()) == 192
    assert vcpu.read(GPA)[0].reason == "DIRTY_RING_FULL"
    assert vm.reset_dirty_rings() == 192
    assert vcpu.read(GPA) == []
    vm.check()


def test_without_rings_there_is_nothing_to_collect_or_reset(machine):
    made = machine()
    with pytest.raises(UsageError, match="no dirty ring"):
        made.vcpu.collect_dirty_ring()
    with pytest.raises(KvmError, match="EINVAL"):
        made.vm.reset_dirty_rings()


def test_a_vcpu_is_loaded_only_while_it_runs(machine):
    made = machine()
    made.vcpu.read(GPA)
    made.vcpu.pre_fault_memory(GPA, 4096)
    assert made.kvm.running_vcpus == {}
