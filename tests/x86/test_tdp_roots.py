"""Roots: shared, counted, invalidated, freed when the last vCPU has left."""

import pytest

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import GetMmuPage, MmuPageFreed, RootInvalidated
from kvmmu_edu.x86 import tdp_roots
from tests.x86.conftest import GPA


def test_vcpus_share_a_root(machine):
    made = machine()
    second = made.vm.create_vcpu()
    made.vcpu.read(GPA)
    second.read(GPA)
    assert made.vcpu.state.arch.root == second.state.arch.root
    assert made.mmu.root_count == {made.vcpu.state.arch.root: 3}
    assert sum(event.level == 4 for event in made.events(GetMmuPage)) == 1


def test_an_invalid_root_lives_until_the_last_vcpu_leaves(machine):
    made = machine()
    second = made.vm.create_vcpu()
    made.vcpu.read(GPA)
    second.read(GPA)
    old = made.vcpu.state.arch.root
    made.delete()
    assert [event.table for event in made.events(RootInvalidated)] == [old]
    made.vcpu.read(GPA)
    assert made.mmu.root_count[old] == 1
    freed = [event.table for event in made.events(MmuPageFreed)]
    assert old not in freed
    second.read(GPA)
    assert old in [event.table for event in made.events(MmuPageFreed)]
    assert made.vcpu.state.arch.root == second.state.arch.root != old


def test_the_last_reference_of_a_valid_root_is_never_put(machine):
    made = machine()
    made.vcpu.read(GPA)
    root = made.vcpu.state.arch.root
    tdp_roots.tdp_mmu_put_root(made.mmu, root)
    with pytest.raises(KernelBug, match="although it is valid"):
        tdp_roots.tdp_mmu_put_root(made.mmu, root)
    made.mmu.root_count[root] = 2


def test_the_walk_over_roots_holds_a_reference(machine):
    made = machine()
    made.vcpu.read(GPA)
    root = made.vcpu.state.arch.root
    for seen in tdp_roots.for_each_tdp_mmu_root_yield_safe(made.mmu):
        assert made.mmu.root_count[seen] == 3
    assert made.mmu.root_count[root] == 2
    assert list(tdp_roots.for_each_tdp_mmu_root_yield_safe(made.mmu, 1)) == []


@pytest.mark.parametrize(("kernel", "mode"), [("6.12", "read"), ("6.1", "write")])
def test_a_root_is_made_under_mmu_lock(machine, kernel, mode):
    made = machine(kernel=kernel)
    before = dict(made.vm.counters.locks)
    made.vcpu.read(GPA)
    key = ("mmu_lock", mode)
    # the fault itself takes it for reading
    extra = 2 if mode == "read" else 1
    assert made.vm.counters.locks[key] - before.get(key, 0) == extra
