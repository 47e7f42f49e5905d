"""The road of a fault: every way it can end."""

import pytest

from kvmmu_edu import KvmError
from kvmmu_edu.trace.events import FastPageFault, NotifierInvalidateStart, PageFaultDone
from kvmmu_edu.virt.memory_slot import MEMSLOT_INVALID
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86 import fault as road
from kvmmu_edu.x86.page_fault import PageFault, RetPf
from tests.x86.conftest import GPA


def results(machine):
    return [event.result for event in machine.events(PageFaultDone)]


def test_fixed_once(machine):
    made = machine()
    made.vcpu.read(GPA)
    made.vcpu.write(GPA)
    assert results(made) == [RetPf.FIXED]


def test_a_write_to_the_zero_page_is_retried(machine):
    made = machine(populate=False)
    made.vcpu.read(GPA)
    made.vcpu.write(GPA)
    assert results(made) == [RetPf.FIXED, RetPf.RETRY, RetPf.FIXED]
    assert [event.start_hva for event in made.events(NotifierInvalidateStart)] == [made.hva]


def test_a_protected_page_is_repaired_without_mmu_lock(machine):
    made = machine()
    made.vcpu.write(GPA)
    made.flags(1)
    locks = dict(made.vm.counters.locks)
    made.vcpu.write(GPA)
    assert results(made)[-1] == RetPf.FIXED
    assert made.vcpu.stats["pf_fast"] == 1
    assert made.vm.counters.locks == locks
    assert made.vm.get_dirty_log(0)[0] == 1


def test_a_protected_huge_page_takes_the_slow_path(machine):
    made = machine("thp", 2 << 20)
    made.kvm.params.eager_page_split = False
    made.vcpu.write(GPA)
    made.flags(1)
    made.vcpu.write(GPA + 4096)
    event = made.events(FastPageFault)[-1]
    assert not event.fixed
    assert not event.spurious
    assert made.vcpu.stats["pf_fast"] == 0
    assert made.pages() == (512, 0, 0)


def test_a_stale_tlb_entry_makes_a_spurious_fault(machine):
    made = machine()
    made.vcpu.write(GPA)
    tlb = made.vcpu.state.arch.cpu.tlb
    tlb.small[0x400] &= ~2
    spte = made.leaf(GPA)[0]
    fault = PageFault(GPA, 0x100000007, id_to_memslot(memslots(made.kvm), 0))
    assert made.run(road.fast_page_fault(made.vcpu.state, fault)) == RetPf.SPURIOUS
    assert made.leaf(GPA)[0] == spte
    made.vcpu.write(GPA)


def test_no_page_for_the_guest_is_efault(machine):
    made = machine()
    made.vm.host.munmap(made.hva, 1 << 20)
    with pytest.raises(KvmError, match="EFAULT: gfn 0x400"):
        made.vcpu.read(GPA)
    assert results(made) == [-14]
    assert made.vcpu.stats["pf_taken"] == 1


def test_an_invalid_slot_is_retried(machine):
    made = machine()
    slot = id_to_memslot(memslots(made.kvm), 0)
    slot.flags |= MEMSLOT_INVALID
    fault = PageFault(GPA, 0x100000004, slot)
    assert made.run(road.faultin_pfn(made.vcpu.state, fault)) == RetPf.RETRY
    slot.flags &= ~MEMSLOT_INVALID


def test_a_write_to_a_read_only_slot_is_emulated(machine):
    made = machine(flags=2)
    assert made.vcpu.read(GPA) == []
    exits = made.vcpu.write(GPA)
    assert [(exit_.reason, exit_.is_write) for exit_ in exits] == [("MMIO", True)]
    assert results(made) == [RetPf.FIXED, RetPf.EMULATE]


def test_a_fault_that_was_overtaken_is_stale(machine):
    made = machine()
    made.vcpu.read(GPA + 4096)
    fault = PageFault(GPA, 0x100000004, id_to_memslot(memslots(made.kvm), 0))

    async def overtaken():
        assert await road.faultin_pfn(made.vcpu.state, fault) == RetPf.CONTINUE
        made.kvm.mmu_invalidate_seq.write_once(fault.mmu_seq + 1)
        async with made.kvm.mmu_lock.read:
            return road.is_page_fault_stale(made.mmu, made.vcpu.state, fault)

    assert made.run(overtaken())


def test_mmio_entries_are_as_good_as_the_slots(machine):
    made = machine()
    made.vcpu.read(1 << 32)
    taken = made.vcpu.stats["pf_taken"]
    made.vcpu.write(1 << 32)
    assert made.vcpu.stats["pf_taken"] == taken
    other = made.vm.host.mmap("B", "anon4k", 1 << 20)
    made.vm.set_user_memory_region(5, 0, 2 << 32, 1 << 20, other)
    made.vcpu.read(1 << 32)
    assert made.vcpu.stats["pf_taken"] == taken + 1
    assert made.vcpu.stats["pf_mmio_spte_created"] == 2


def test_an_mmio_fault_on_an_entry_that_is_gone_is_retried(machine):
    made = machine()
    made.vcpu.read(GPA)
    assert road.handle_mmio_page_fault(made.vcpu.state, 2 << 32) == RetPf.RETRY
