"""Splitting in place: no hole, no flush, 512 pages for one."""

import pytest

from kvmmu_edu.trace.events import Cause, SplitHugePage, SpteChanged
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86.tdp_split import tdp_mmu_try_split_huge_pages
from tests.x86.conftest import GPA


def split(machine, start, end, target=1):
    slot = id_to_memslot(memslots(machine.kvm), 0)

    async def work():
        async with machine.kvm.mmu_lock.read:
            await tdp_mmu_try_split_huge_pages(machine.mmu, slot, start, end, target, shared=True)

    machine.run(work())


def test_one_page_of_two(machine):
    made = machine("thp", 4 << 20)
    made.vcpu.write(GPA)
    made.vcpu.write(GPA + (2 << 20))
    huge = made.leaf(GPA)[0]
    split(made, 0x400, 0x401)
    assert made.pages() == (512, 1, 0)
    assert made.stats["remote_tlb_flush_requests"] == 0
    assert made.leaf(GPA + 5 * 4096) == ((huge & ~0x80) + (5 << 12), 1)
    assert made.events(SplitHugePage)[-1][2:] == (2, 0)


def test_a_gigabyte_goes_down_all_the_way(machine):
    made = machine("huge1g", 1 << 30, populate=False)
    made.vm.set_user_memory_region(0, 0, GPA, 0, made.hva)
    made.vm.set_user_memory_region(0, 0, 1 << 30, 1 << 30, made.hva)
    made.vcpu.write(1 << 30)
    assert made.pages() == (0, 0, 1)
    split(made, 1 << 18, (1 << 18) + 600, target=1)
    # 1G becomes 512 of 2M; the two that the range touches become 4K
    assert made.pages() == (1024, 510, 0)
    made.vm.set_user_memory_region(0, 0, 1 << 30, 0, made.hva)
    made.flags(0)


@pytest.mark.parametrize(("kernel", "drops"), [("6.12", 2), ("6.1", 0)])
def test_memory_is_allocated_with_the_lock_dropped(machine, kernel, drops):
    made = machine("thp", 4 << 20, kernel=kernel)
    made.vcpu.write(GPA)
    made.vcpu.write(GPA + (2 << 20))
    before = made.vm.counters.locks["mmu_lock", "read"]
    split(made, 0x400, 0x800)
    assert made.vm.counters.locks["mmu_lock", "read"] - before == 1 + drops


def test_children_are_told_before_they_can_be_reached(machine):
    made = machine("thp", 2 << 20)
    made.vcpu.write(GPA)
    split(made, 0x400, 0x600)
    causes = [event.cause for event in made.events(SpteChanged)]
    assert causes.index(Cause.SPLIT_CHILD) == len(causes) - 2
    assert causes[-1] is Cause.LINK


def test_a_lost_race_frees_the_table(machine, monkeypatch):
    made = machine("thp", 2 << 20)
    made.vcpu.write(GPA)
    lost = []

    async def lose_once(mmu, it, new, cause):
        if not lost:
            lost.append(new)
            return False
        return await real(mmu, it, new, cause)

    from kvmmu_edu.x86 import tdp_split

    real = tdp_split.tdp_mmu_set_spte_atomic
    monkeypatch.setattr(tdp_split, "tdp_mmu_set_spte_atomic", lose_once)
    split(made, 0x400, 0x600)
    assert lost
    assert made.pages() == (512, 0, 0)
    assert [event.errno for event in made.events(SplitHugePage)] == [-16, 0]
