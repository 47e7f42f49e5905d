"""Loading a root, leaving it, throwing everything away."""

from kvmmu_edu.trace.events import VcpuTlbFlush, ZapAllFast
from kvmmu_edu.virt.vcpu import REQ_MMU_FREE_OBSOLETE_ROOTS
from kvmmu_edu.x86 import mmu
from tests.x86.conftest import GPA


def under_slots_lock(machine, make):
    async def work():
        async with machine.kvm.slots_lock:
            await make()

    machine.run(work())


def test_a_new_root_flushes(machine):
    made = machine()
    made.run(mmu.mmu_reload(made.vcpu.state))
    root = made.vcpu.state.arch.root
    assert root
    assert made.events(VcpuTlbFlush)[-1].why == "a new root"
    made.run(mmu.mmu_reload(made.vcpu.state))
    assert made.vcpu.state.arch.root == root


def test_zap_all_fast_toggles_the_generation_and_asks_all(machine):
    made = machine()
    made.vcpu.write(GPA)
    for generation in (0, 1, 0):
        under_slots_lock(made, lambda: mmu.mmu_zap_all_fast(made.mmu))
        assert made.events(ZapAllFast)[-1].mmu_valid_gen == generation
    assert REQ_MMU_FREE_OBSOLETE_ROOTS in made.vcpu.state.requests
    assert made.pages() == (0, 0, 0)
    made.vcpu.write(GPA)
    assert made.pages() == (1, 0, 0)


def test_a_valid_root_is_kept(machine):
    made = machine()
    made.vcpu.write(GPA)
    root = made.vcpu.state.arch.root
    made.run(mmu.mmu_free_obsolete_roots(made.vcpu.state))
    assert made.vcpu.state.arch.root == root
    made.run(mmu.mmu_free_roots(made.vcpu.state))
    assert made.vcpu.state.arch.root == 0


def test_mmio_generations_wrap(machine):
    made = machine()
    made.vcpu.write(GPA)
    under_slots_lock(made, lambda: mmu.mmu_invalidate_mmio_sptes(made.kvm, 2))
    assert made.pages() == (1, 0, 0)
    for generation in (1 << 19, (1 << 19) + 1):
        made.vcpu.write(GPA)
        under_slots_lock(made, lambda g=generation: mmu.mmu_invalidate_mmio_sptes(made.kvm, g))
        assert made.pages() == (0, 0, 0)
