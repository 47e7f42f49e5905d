"""The gate of the shadow MMU: what owes a flush, what is counted, what is refused."""

import pytest

from kvmmu_edu import ModuleParams
from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace import ftrace
from kvmmu_edu.trace.events import Cause, ShadowSpteChanged
from kvmmu_edu.x86 import shadow_gate
from tests.x86.conftest import GPA

ACCESSED, DIRTY, WRITABLE, MMU_WRITABLE = 1 << 5, 1 << 6, 1 << 1, 1 << 10


@pytest.fixture
def mapped(machine):
    made = machine(params=ModuleParams(tdp_mmu=False))
    made.vcpu.write(GPA)
    event = next(e for e in made.events(ShadowSpteChanged) if e.leaves == 1 and e.gfn == 0x400)
    return made, shadow_gate.sptep_of(event.table, event.index)


def test_where_an_entry_is(mapped):
    made, sptep = mapped
    assert shadow_gate.sptep_of(*shadow_gate.table_and_index(sptep)) == sptep
    assert shadow_gate.sptep_level(made.mmu, sptep) == 1
    assert shadow_gate.mmu_page_get_gfn(made.mmu, sptep + 5) == 0x405


@pytest.mark.parametrize(
    ("taken", "flush"),
    [(0, False), (WRITABLE, True), (ACCESSED, True), (DIRTY, True), (MMU_WRITABLE, False)],
)
def test_access_that_is_taken_away_owes_a_flush(mapped, taken, flush):
    made, sptep = mapped
    old = shadow_gate.read_spte(made.mmu, sptep)
    assert old & taken == taken
    update = shadow_gate.mmu_spte_update
    assert update(made.mmu, sptep, old & ~taken, Cause.WRITE_PROTECT) is flush
    assert update(made.mmu, sptep, old, Cause.MAP) is False


def test_an_entry_that_could_be_made_writable_counts_as_writable(mapped):
    made, sptep = mapped
    old = shadow_gate.read_spte(made.mmu, sptep) & ~WRITABLE
    shadow_gate.mmu_spte_update(made.mmu, sptep, old, Cause.WRITE_PROTECT)
    assert shadow_gate.mmu_spte_update(made.mmu, sptep, old & ~ACCESSED, Cause.AGE)
    assert shadow_gate.mmu_spte_update(made.mmu, sptep, old | ACCESSED, Cause.MAP)


def test_what_is_present_is_not_overwritten(mapped):
    made, sptep = mapped
    old = shadow_gate.read_spte(made.mmu, sptep)
    with pytest.raises(KernelBug, match="would be overwritten"):
        shadow_gate.mmu_spte_set(made.mmu, sptep, old, Cause.MAP)


def test_another_page_needs_a_zap_between(mapped):
    made, sptep = mapped
    old = shadow_gate.read_spte(made.mmu, sptep)
    with pytest.raises(KernelBug, match="maps another page"):
        shadow_gate.mmu_spte_update(made.mmu, sptep, old + 0x1000, Cause.MAP)
    # as the kernel, which only warns, would have it
    made.mmu.arena.words[sptep] = old


def test_the_kernel_traces_none_of_it(mapped):
    made, _ = mapped
    changes = [r for r in made.vm.trace.records if isinstance(r.event, ShadowSpteChanged)]
    assert len(changes) == 3 + 8
    assert list(ftrace.render(changes, made.kvm.choices)) == []
