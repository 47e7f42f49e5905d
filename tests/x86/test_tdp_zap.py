"""Zapping: what goes, in which order, and who flushes."""

import pytest

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import Cause, SpteChanged
from kvmmu_edu.virt.arch import GfnRange
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.virt.requests import flush_remote_tlbs
from kvmmu_edu.x86 import tdp_zap
from tests.x86.conftest import GPA


def zapped(machine):
    return [
        (event.level, event.gfn)
        for event in machine.events(SpteChanged)
        if event.cause is Cause.ZAP
    ]


@pytest.mark.parametrize(
    ("kernel", "levels"),
    [
        ("6.12", [1, 1, 2, 2, 3, 4]),
        ("6.1", [3, 4]),
    ],
)
def test_a_deleted_slot_takes_everything_in_passes(machine, kernel, levels):
    made = machine(kernel=kernel)
    for page in (0, 1, 512):
        made.vcpu.write(GPA + page * 4096)
    made.delete()
    # adjacent pages of one table are one span
    assert [level for level, _ in zapped(made)] == levels
    assert made.pages() == (0, 0, 0)
    assert made.stats["remote_tlb_flush_requests"] == 0


def test_without_the_quirk_only_the_slot_goes(machine):
    made = machine("thp", 8 << 20)
    made.vm.enable_cap(213, 0x80)
    other = made.vm.host.mmap("B", "thp", 2 << 20)
    made.vm.host.populate(other, 2 << 20)
    made.vm.set_user_memory_region(1, 0, 64 << 20, 2 << 20, other)
    made.vcpu.read(GPA)
    made.vcpu.read(64 << 20)
    assert made.pages() == (0, 2, 0)
    made.delete()
    assert made.pages() == (0, 1, 0)
    assert made.stats["remote_tlb_flush_requests"] == 1
    assert zapped(made) == [(2, 0x400)]


@pytest.mark.parametrize("grain", [1, 512, 4096])
def test_leaves_of_a_range(machine, grain):
    made = machine(nbytes=8 << 20, grain=grain)
    for page in range(0, 2048, 3):
        made.vcpu.read(GPA + page * 4096)
    slot = id_to_memslot(memslots(made.kvm), 0)

    async def work():
        async with made.kvm.mmu_lock.write:
            part = GfnRange(slot, 0x401, 0x400 + 1000)
            flush = await tdp_zap.tdp_mmu_unmap_gfn_range(made.mmu, part, flush=False)
        for vcpu in made.kvm.vcpus:
            vcpu.requests.add("TLB_FLUSH")
        return flush

    tables = made.mmu.tdp_mmu_pages.read_once()
    assert made.run(work())
    assert made.pages() == (1 + len(range(1002, 2048, 3)), 0, 0)
    assert made.mmu.tdp_mmu_pages.read_once() == tables


def test_nothing_to_zap_owes_no_flush(machine):
    made = machine()
    made.vcpu.read(GPA)
    slot = id_to_memslot(memslots(made.kvm), 0)

    async def work():
        async with made.kvm.mmu_lock.write:
            return await tdp_zap.tdp_mmu_unmap_gfn_range(
                made.mmu, GfnRange(slot, 0x500, 0x600), flush=False
            )

    assert made.run(work()) is False


def test_the_end_of_a_vm_frees_all(machine):
    made = machine("thp", 8 << 20)
    made.vcpu.read(GPA)
    made.vm.destroy()
    assert made.mmu.arena.used == 0
    assert made.pages() == (0, 0, 0)


def test_a_table_goes_by_its_entry(machine):
    made = machine(nbytes=8 << 20)
    for page in (0, 1, 513):
        made.vcpu.write(GPA + page * 4096)
    (sp,) = (row for row in made.mmu.arena.rows() if made.mmu.arena.gfns[row] == 0x400)

    async def work():
        async with made.kvm.mmu_lock.write:
            made.kvm.rcu.read_lock()
            assert await tdp_zap.tdp_mmu_zap_sp(made.mmu, int(sp))
            flush_remote_tlbs(made.kvm, "test")
            made.kvm.rcu.read_unlock()

    made.run(work())
    assert zapped(made) == [(2, 0x400)]
    assert made.pages() == (1, 0, 0)


def test_no_entry_points_to_a_root(machine):
    made = machine()
    made.vcpu.read(GPA)
    with pytest.raises(KernelBug, match="is a root"):
        made.run(tdp_zap.tdp_mmu_zap_sp(made.mmu, made.vcpu.state.arch.root))
