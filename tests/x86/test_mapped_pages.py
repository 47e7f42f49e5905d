"""Each SPTE that says something else than the slots or the host is found."""

import numpy as np
import pytest

from kvmmu_edu import InvariantError, Vm
from kvmmu_edu.units import GIB, MIB
from kvmmu_edu.virt.memory_slot import MEM_READONLY
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86.mapped_pages import _host_entries

GPA = 4 * MIB
HIGH = 1 * GIB
PAGE = 4096


@pytest.fixture
def vm():
    """Slots of small, 2M and 1G pages, in another order than the host's, a few pages mapped."""
    vm = Vm(hugepages2m=2, hugepages1g=1)
    small = vm.host.mmap("small", "anon4k", 4 * MIB)
    large = vm.host.mmap("large", "huge2m", 4 * MIB)
    giant = vm.host.mmap("giant", "huge1g", GIB)
    vm.set_user_memory_region(0, 0, GPA, 4 * MIB, large)
    vm.set_user_memory_region(1, 0, 2 * GPA, 4 * MIB, small)
    vm.set_user_memory_region(2, 0, HIGH, GIB, giant)
    vcpu = vm.create_vcpu()
    for gpa in (GPA, 2 * GPA, 2 * GPA + 3 * MIB, HIGH + 5 * PAGE):
        vcpu.write(gpa)
    vcpu.read(GPA - PAGE)
    stats = vm.counters.vm
    assert (stats["pages_4k"], stats["pages_2m"], stats["pages_1g"]) == (2, 1, 1)
    vm.check()
    return vm


def slot(vm, number):
    return id_to_memslot(memslots(vm.kvm), number)


def host_moves_a_page(vm):
    hva = slot(vm, 1).userspace_addr + 3 * MIB
    table = vm.kvm.mm.page_table
    table.set_pte(hva, table.walk(hva)[0] + PAGE)


def host_protects(vm):
    hva = slot(vm, 0).userspace_addr
    table = vm.kvm.mm.page_table
    table.set_huge(hva, 2, table.walk(hva)[0] & ~2)


def host_forgets_the_giant(vm):
    vm.kvm.mm.page_table.gigas.clear()


def host_splits(vm):
    from kvmmu_edu.host.page_table import new_table

    block = slot(vm, 0).userspace_addr >> 21
    first = vm.kvm.mm.page_table.blocks[block]
    entries = first + (np.arange(512, dtype=np.int64) << 12)
    vm.kvm.mm.page_table.blocks[block] = new_table(entries)


def slot_is_read_only(vm):
    slot(vm, 2).flags |= MEM_READONLY


def slot_ends_early(vm):
    slot(vm, 0).npages = 100


def slot_is_elsewhere(vm):
    slot(vm, 1).base_gfn += 1


def slot_where_there_was_none(vm):
    one = slot(vm, 0)
    one.base_gfn, one.npages = one.base_gfn - 1, one.npages + 1
    one.userspace_addr -= PAGE


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (host_moves_a_page, "gfn 0xb00 of level 1, but the host has another page there"),
        (host_protects, "gfn 0x400 of level 2, but it allows writes, the slot or the host does"),
        (host_forgets_the_giant, "gfn 0x40000 of level 3, but the host has another page there"),
        (host_splits, "gfn 0x400 of level 2, but the host's page is smaller"),
        (slot_is_read_only, "gfn 0x40000 of level 3, but it allows writes"),
        (slot_ends_early, "gfn 0x400 of level 2, but it does not lie within a slot"),
        (slot_is_elsewhere, "gfn 0x800 of level 1, but it does not lie within a slot"),
        (slot_where_there_was_none, "an MMIO SPTE denies memory at gfn 0x3ff, where there is"),
    ],
)
def test_broken(vm, damage, message, monkeypatch):
    # the slots and the host are right in themselves
    monkeypatch.setattr("kvmmu_edu.virt.memslots.check", lambda _kvm: None)
    monkeypatch.setattr("kvmmu_edu.host.mm.Mm.check", lambda _mm: None)
    damage(vm)
    with pytest.raises(InvariantError, match=message):
        vm.check()


def test_an_mmio_entry_of_older_slots_may_stay(vm):
    hva = vm.host.mmap("more", "anon4k", PAGE)
    vm.set_user_memory_region(3, 0, GPA - PAGE, PAGE, hva)
    vm.check()


def test_the_hosts_entries_are_those_of_its_own_lookup(vm):
    mm = vm.kvm.mm
    hvas = [slot(vm, n).userspace_addr + page * PAGE for n in (1, 0, 2) for page in (0, 1, 700)]
    entries, levels = _host_entries(mm, np.array(hvas, np.int64))
    for hva, entry, level in zip(hvas, entries.tolist(), levels.tolist(), strict=True):
        page = mm.page_for(hva, write=False)
        assert (entry >> 12, level) == ((page.pfn, page.level) if page else (0, 1))
