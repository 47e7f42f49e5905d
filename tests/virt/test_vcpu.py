"""A new vCPU, and which vCPU a task runs."""

import pytest

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.virt.dirty_ring import DirtyRing
from kvmmu_edu.virt.gfn_tree import vcpu_gfn_to_memslot
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.virt.vcpu import (
    OUTSIDE_GUEST_MODE,
    KvmVcpu,
    get_running_vcpu,
    vcpu_load,
    vcpu_put,
)
from tests.virt.bench import MIB, delete, ioctl, run


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


def test_what_it_remembers_is_of_the_set_of_that_generation(kvm, vcpu):
    ioctl(kvm, 0, 0, MIB)
    vcpu_gfn_to_memslot(vcpu, 0)
    vcpu.check()
    delete(kvm, 0)
    vcpu.check()  # it still remembers, but does not believe it
    vcpu.last_used_slot_gen = memslots(kvm).generation.read_once()
    with pytest.raises(InvariantError, match=r"vCPU 0 remembers slot 0 .* has it not"):
        vcpu.check()


def test_snapshot(kvm, vcpu):
    ioctl(kvm, 0, 0, MIB)
    vcpu_gfn_to_memslot(vcpu, 0)
    vcpu.requests |= {"B", "A"}
    vcpu.dirty_ring = DirtyRing(4096)
    assert vcpu.snapshot() == {
        "mode": OUTSIDE_GUEST_MODE,
        "requests": ("A", "B"),
        "memslots_id": 0,
        "last_used_slot": 0,
        "last_used_slot_gen": 2,
        "dirty_ring": vcpu.dirty_ring.snapshot(),
    }
