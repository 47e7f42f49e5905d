"""What x86 answers when the generic half asks."""

import pytest

from kvmmu_edu import KvmError
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86.slot_arch import arch_of
from tests.x86.conftest import GPA


def test_a_slot_beyond_what_can_be_mapped(machine):
    made = machine()
    before = made.vm.state_hash()
    with pytest.raises(KvmError, match=r"EINVAL: .* reaches beyond gfn 0xfffffff"):
        made.vm.set_user_memory_region(1, 0, (1 << 40) - 4096, 8192, made.hva)
    assert made.vm.counters.counts["swap_active_memslots"] == 1
    made.vm.set_user_memory_region(1, 0, (1 << 40) - 4096, 4096, made.hva)
    made.vm.set_user_memory_region(1, 0, 0, 0, 0)
    assert before


def test_flags_share_the_arrays(machine):
    made = machine()
    info = arch_of(id_to_memslot(memslots(made.kvm), 0)).lpage_info
    made.flags(1)
    assert arch_of(id_to_memslot(memslots(made.kvm), 0)).lpage_info is info


def test_a_moved_slot_gets_arrays_of_its_own(machine):
    made = machine("thp", 4 << 20)
    made.vm.set_user_memory_region(0, 0, GPA + 4096, made.nbytes, made.hva)
    info = arch_of(id_to_memslot(memslots(made.kvm), 0)).lpage_info
    assert not info.congruent[2]
    made.vcpu.read(GPA + 4096)
    assert made.pages() == (1, 0, 0)
    made.vm.set_user_memory_region(0, 0, GPA, made.nbytes, made.hva)


def test_the_quota_follows_the_slots(machine):
    made = machine(nbytes=64 << 20, populate=False)
    assert made.mmu.n_max_mmu_pages == (64 << 20) // 4096 // 50
    made.delete()
    assert made.mmu.n_max_mmu_pages == 64
    made.flags(0)


@pytest.mark.parametrize(("kernel", "left"), [("6.12", 1), ("6.1", 0)])
def test_zapping_only_the_slot(machine, kernel, left):
    made = machine(kernel=kernel)
    if kernel == "6.12":
        made.vm.enable_cap(213, 0x80)
    else:
        with pytest.raises(KvmError, match="EINVAL"):
            made.vm.enable_cap(213, 0x80)
    other = made.vm.host.mmap("B", "anon4k", 4096)
    made.vm.set_user_memory_region(1, 0, 1 << 30, 4096, other)
    made.vcpu.write(GPA)
    made.vcpu.write(1 << 30)
    made.delete()
    assert made.pages() == (left, 0, 0)


def test_notifiers_reach_the_tables(machine):
    made = machine()
    made.vcpu.write(GPA)
    assert made.run(made.kvm.mm.age(made.hva, 4096))
    assert not made.run(made.kvm.mm.age(made.hva, 4096))
    made.vm.host.madvise(made.hva, 4096, "dontneed")
    assert made.pages() == (0, 0, 0)
    assert made.stats["remote_tlb_flush_requests"] >= 1
