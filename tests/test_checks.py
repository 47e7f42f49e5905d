"""Each invariant, broken by hand, is named."""

import pytest

from kvmmu_edu import InvariantError, Vm
from kvmmu_edu.virt.dirty_ring import DirtyRing
from kvmmu_edu.virt.memory_slot import MemorySlot
from kvmmu_edu.x86.mmu_state import mmu_of

GPA = 0x400000


@pytest.fixture
def vm():
    vm = Vm()
    hva = vm.host.mmap("A", "anon4k", 4 << 20)
    vm.set_user_memory_region(0, 0, GPA, 4 << 20, hva)
    vcpu = vm.create_vcpu()
    vcpu.write(GPA)
    vcpu.write(GPA + (2 << 20))
    vm.check()
    return vm


def break_count(vm, mmu):
    vm.counters.vm["pages_4k"] += 1


def break_tables(vm, mmu):
    mmu.tdp_mmu_pages.add_return(1)


def break_link(vm, mmu):
    mmu.arena.words[mmu.roots[0] * 512] += 1 << 12


def break_two_links(vm, mmu):
    root = mmu.roots[0]
    mmu.arena.words[root * 512 + 1] = mmu.arena.words[root * 512]


def break_gfn(vm, mmu):
    mmu.arena.gfns[3] += 512


def break_reference(vm, mmu):
    mmu.root_count[mmu.roots[0]] += 1


def break_tlb(vm, mmu):
    vm.vcpus[0].state.arch.cpu.tlb.small[0x500] = 0xE67


def break_way_to_a_table_in_use(vm, mmu):
    tlb = vm.vcpus[0].state.arch.cpu.tlb
    tlb.tables[2], tlb.tables[3] = tlb.tables[3], tlb.tables[2]


def break_way_to_a_free_table(vm, mmu):
    vm.vcpus[0].state.arch.cpu.tlb.directories[0] = 20


def break_lock(vm, mmu):
    vm.kvm.slots_lock.writer = vm.kvm.sched.idle


def break_notifier(vm, mmu):
    vm.kvm.mn_active_invalidate_count = 1


def break_last_used_slot(vm, mmu):
    vm.vcpus[0].state.last_used_slot = MemorySlot(99)


def break_dirty_ring(vm, mmu):
    ring = vm.vcpus[0].state.dirty_ring = DirtyRing(4096)
    ring.dirty_index = 1


def break_nx(vm, mmu):
    mmu.possible_nx_huge_pages[30] = None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_count, "pages_4k is 3, but 2 entries map 4K pages"),
        (break_tables, "4 tables are linked below roots, tdp_mmu_pages is 5"),
        (break_link, "do not know the entries that point to them"),
        (break_two_links, "do not know the entries|linked from two"),
        (break_gfn, "translates another gfn than the entry that points to it"),
        (break_reference, "root 1 has 3 references, but 1 vCPUs use it and it is valid"),
        (break_tlb, "the TLB of vCPU 0 maps page 0x500"),
        (break_way_to_a_table_in_use, r"remembers table \d for gfn 0x[46]00, the tables lead to"),
        (break_way_to_a_free_table, "remembers table 20, which is free, for gfn 0x0"),
        (break_lock, "slots_lock is held by swapper but no task runs"),
        (break_notifier, "mn_active_invalidate_count is 1 but no task runs"),
        (break_last_used_slot, "vCPU 0 remembers slot 0 .* of that generation has it not"),
        (break_dirty_ring, "0 entries have flags but 1 are in use"),
        (break_nx, "lists a table that is not linked"),
    ],
)
def test_broken(vm, damage, message):
    damage(vm, mmu_of(vm.kvm))
    with pytest.raises(InvariantError, match=message):
        vm.check()


def test_a_snapshot_is_a_copy(vm):
    before = vm.snapshot()
    vm.vcpus[0].write(GPA + 4096)
    after = vm.snapshot()
    changed = [
        row
        for row in before["tables"]
        if (before["tables"][row]["sptes"] != after["tables"][row]["sptes"]).any()
    ]
    assert len(changed) == 1
    assert before["counters"]["vm.pages_4k"] == 2
