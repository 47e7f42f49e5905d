"""A new vCPU, and which vCPU a task runs."""

from kvmmu_edu.virt.vcpu import (
    OUTSIDE_GUEST_MODE,
    KvmVcpu,
    get_running_vcpu,
    vcpu_load,
    vcpu_put,
)
from tests.virt.bench import run


def test_a_new_vcpu_is_outside_and_remembers_nothing(vcpu):
    assert vcpu.mode.read_once() == OUTSIDE_GUEST_MODE
    assert (vcpu.requests, vcpu.last_used_slot, vcpu.memslots_id) == (set(), None, 0)
    assert vcpu.dirty_ring is None


def test_each_task_runs_its_own(kvm, vcpu):
    other = KvmVcpu(kvm, 1)

    async def run_other():
        assert get_running_vcpu(kvm) is None
        vcpu_load(other)
        inner = get_running_vcpu(kvm)
        vcpu_put(other)
        return inner

    vcpu_load(vcpu)
    assert run(kvm, run_other()) is other
    assert get_running_vcpu(kvm) is vcpu
    vcpu_put(vcpu)
    assert get_running_vcpu(kvm) is None
    assert kvm.running_vcpus == {}
