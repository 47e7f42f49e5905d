"""Roots without the TDP MMU: shared, counted, freed by the last one."""

from kvmmu_edu import ModuleParams
from tests.x86.conftest import GPA


def test_vcpus_share_a_root(machine):
    made = machine(params=ModuleParams(tdp_mmu=False))
    other = made.vm.create_vcpu()
    made.vcpu.read(GPA)
    other.read(GPA + (2 << 20))
    root = made.vcpu.state.arch.root
    assert other.state.arch.root == root
    assert made.mmu.shadow.pages[root].root_count == 2
    made.delete()
    made.flags(0)
    made.vcpu.read(GPA)
    assert made.mmu.shadow.pages[root].root_count == 1
    other.read(GPA)
    assert root not in made.mmu.shadow.pages
    assert made.mmu.shadow.pages[other.state.arch.root].root_count == 2


def test_faults_never_take_mmu_lock_for_reading(machine):
    made = machine(params=ModuleParams(tdp_mmu=False))
    made.vcpu.write(GPA)
    made.flags(1)
    made.flags(0)
    made.delete()
    assert ("mmu_lock", "read") not in made.vm.counters.locks
