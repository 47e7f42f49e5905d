"""Write protection and its kinds; aging; making room for huge pages."""

import pytest

from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86 import tdp_dirty as dirty
from tests.x86.conftest import GPA

W, HOST_W, MMU_W, A = 1 << 1, 1 << 9, 1 << 10, 1 << 5


def under(machine, mode, make):
    async def work():
        lock = machine.kvm.mmu_lock
        async with lock.read if mode == "read" else lock.write:
            return await make(id_to_memslot(memslots(machine.kvm), 0))

    return machine.run(work())


@pytest.fixture(params=[1, 512, 4096])
def mapped(request, machine):
    made = machine(nbytes=4 << 20, grain=request.param)
    for page in range(0, 1024, 2):
        made.vcpu.write(GPA + page * 4096)
    return made


def test_protection_for_the_log_can_be_undone_without_a_lock(mapped):
    assert under(mapped, "read", lambda slot: dirty.tdp_mmu_wrprot_slot(mapped.mmu, slot, 1))
    spte, _ = mapped.leaf(GPA)
    assert not spte & W
    assert spte & HOST_W
    assert spte & MMU_W
    assert not under(mapped, "read", lambda slot: dirty.tdp_mmu_wrprot_slot(mapped.mmu, slot, 1))


def test_only_the_pages_of_the_mask(mapped):
    mask = 0b10101 | 1 << 62
    under(
        mapped,
        "write",
        lambda slot: dirty.tdp_mmu_clear_dirty_pt_masked(mapped.mmu, slot, 0x400 + 64, mask),
    )
    protected = [page for page in range(0, 1024, 2) if not mapped.leaf(GPA + page * 4096)[0] & W]
    assert protected == [64, 66, 68, 64 + 62]


def test_protection_for_good_takes_mmu_writable(mapped):
    assert under(
        mapped, "write", lambda slot: dirty.tdp_mmu_write_protect_gfn(mapped.mmu, slot, 0x402, 1)
    )
    spte, _ = mapped.leaf(GPA + 2 * 4096)
    assert not spte & (W | MMU_W)
    assert mapped.leaf(GPA)[0] & W
    assert not under(
        mapped, "write", lambda slot: dirty.tdp_mmu_write_protect_gfn(mapped.mmu, slot, 0x402, 1)
    )


def test_aging(mapped):
    def age(slot):
        return dirty.tdp_mmu_age_gfn_range(mapped.mmu, slot, 0x400, 0x410)

    async def test_young(slot):
        return dirty.tdp_mmu_test_age_gfn(mapped.mmu, slot, 0x400, 0x410)

    assert under(mapped, "write", test_young)
    assert under(mapped, "write", age)
    assert not mapped.leaf(GPA)[0] & A
    assert mapped.leaf(GPA + 16 * 4096)[0] & A
    assert not under(mapped, "write", test_young)
    assert not under(mapped, "write", age)


def test_tables_go_where_huge_pages_could_be(machine):
    made = machine("thp", 8 << 20)
    for page in range(4):
        made.vcpu.write(GPA + (page << 21))
    made.flags(1)
    assert made.pages() == (2048, 0, 0)
    before = made.stats["remote_tlb_flush_requests"]
    made.flags(0)
    assert made.pages() == (0, 0, 0)
    # one flush for each table: what a later rework did away with
    assert made.stats["remote_tlb_flush_requests"] - before == 4
    made.vcpu.write(GPA)
    assert made.pages() == (0, 1, 0)


def test_tables_of_small_pages_stay(machine):
    made = machine("anon4k", 4 << 20)
    made.vcpu.write(GPA)
    made.flags(1)
    made.flags(0)
    assert made.pages() == (1, 0, 0)
    assert not made.leaf(GPA)[0] & W
