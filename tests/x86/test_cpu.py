"""The CPU walks, faults with the right code, and sets bits."""

import pytest

from kvmmu_edu import Guest, UsageError
from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import Cause, PageFaultTaken, SpteChanged
from kvmmu_edu.x86.guest import Access, Instruction
from tests.x86.conftest import GPA

A, D = 1 << 5, 1 << 6


def codes(machine):
    return [(event.address, event.error_code) for event in machine.events(PageFaultTaken)]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("read", 0x100000004),
        ("write", 0x100000006),
        ("rmw", 0x100000004),
        ("exec", 0x100000014),
    ],
)
def test_error_codes(machine, kind, code):
    made = machine()
    getattr(made.vcpu, kind)(GPA + 0x10)
    assert codes(made) == [(GPA + 0x10, code)]


def test_a_locked_increment_on_a_page_that_came_read_only(machine):
    made = machine(populate=False)
    made.vcpu.rmw(GPA)
    # the load maps the zero page; the store then finds it read-only
    assert [code for _, code in codes(made)][:2] == [0x100000004, 0x100000007]
    assert made.vm.host.read(made.hva) == 1


def test_memory_holds_what_the_guest_wrote(machine):
    made = machine()
    made.vcpu.write(GPA + 8, 0x1122334455667788)
    made.vcpu.write(GPA + 9, 0xFF, 1)
    made.vcpu.rmw(GPA + 8)
    assert made.vm.host.read(made.hva + 8) == 0x112233445566FF89


def test_reads_set_a_and_writes_set_d(machine):
    made = machine(tlb_empty_at_entry=True)
    left = made.vcpu.pre_fault_memory(GPA, 4096)
    assert left == 0
    assert not made.leaf(GPA)[0] & A
    made.vcpu.read(GPA)
    assert made.leaf(GPA)[0] & A
    # the leaf came with D set; clear it to see the CPU set it
    table = max(event.table for event in made.events(SpteChanged))
    made.mmu.arena.words[table * 512] &= ~D
    made.vcpu.write(GPA)
    assert made.leaf(GPA)[0] & D
    assert [event.cause for event in made.events(SpteChanged)][-2:] == [Cause.CPU, Cause.CPU]


@pytest.mark.parametrize("paging", ["npt", "ept"])
def test_both_formats_run_the_same_program(machine, paging):
    made = machine("thp", 4 << 20, paging=paging)
    made.vcpu.write(GPA, 5)
    made.vcpu.read(GPA + 8)
    made.vcpu.exec(GPA)
    assert made.vcpu.stats["pf_taken"] == 1
    assert made.vcpu.read(1 << 32)[0].reason == "MMIO"
    assert made.vcpu.read(1 << 32)[0].reason == "MMIO"


def test_guest_tables_are_read_as_if_written(machine):
    made = machine(nbytes=8 << 20)
    tables = [GPA + i * 4096 for i in range(4)]
    # one path of four levels from virtual 0x5000 to the slot's page 16
    for level, table in enumerate(tables):
        entry = (tables[level + 1] if level < 3 else GPA + 0x10000) | 0x27
        made.vm.host.write(made.hva + (table - GPA) + (5 * 8 if level == 3 else 0), entry)
    guest = made.vm.create_vcpu(Guest("long64", cr3=tables[0]))
    guest.run([Instruction(None, (Access("write", 0x5008, 8, 77),))], [])
    assert made.vm.host.read(made.hva + 0x10008) == 77
    seen = codes(made)
    assert seen[:4] == [
        (table + (40 if i == 3 else 0), 0x200000006) for i, table in enumerate(tables)
    ]
    assert seen[4] == (GPA + 0x10008, 0x100000006)


def test_an_unmapped_guest_address_is_the_users_mistake(machine):
    made = machine()
    guest = made.vm.create_vcpu(Guest("long64", cr3=GPA))
    with pytest.raises(UsageError, match="the guest's page tables do not map 0x1234"):
        guest.run([Instruction(None, (Access("read", 0x1234),))], [])


def test_a_tlb_saves_walks_until_it_is_flushed(machine):
    made = machine()
    made.vcpu.write(GPA)
    tlb = made.vcpu.state.arch.cpu.tlb
    assert len(tlb.snapshot()) == 1
    made.flags(1)
    made.vcpu.read(GPA)
    # the flush of enabling the log was served; the entry is now the protected one
    assert not tlb.snapshot()[0][2] & 2


def test_walks_begin_at_the_lowest_table_that_is_remembered(machine):
    made = machine()
    made.vcpu.write(GPA)
    tlb, cpu = made.vcpu.state.arch.cpu.tlb, made.vcpu.state.arch.cpu
    # level 1 for its 2M, level 2 for its 1G
    assert [(level, number) for level, number, _ in tlb.tables_snapshot()] == [(1, 2), (2, 0)]
    small = tlb.tables[2]
    made.mmu.arena.words[small * 512 + 9] = made.mmu.arena.words[small * 512]
    first = cpu._translate(GPA, 4)
    # an entry that only the remembered table has
    assert cpu._translate(GPA + 9 * 4096, 4) == first
    made.mmu.arena.words[small * 512 + 9] = made.mmu.fmt.SHADOW_NONPRESENT_VALUE
    tlb.flush()


def test_an_emulated_cpu_remembers_no_tables(machine):
    made = machine(tlb_empty_at_entry=True)
    made.vcpu.write(GPA)
    assert made.vcpu.state.arch.cpu.tlb.tables_snapshot() == ()


@pytest.mark.parametrize(
    ("where", "message"),
    [("tables", "through page table 20, which was freed"), ("directories", "holds no page table")],
)
def test_a_walk_through_what_is_no_table_any_more_is_a_bug(machine, where, message):
    made = machine()
    made.vcpu.write(GPA + 2 * 4096)
    tlb, arena = made.vcpu.state.arch.cpu.tlb, made.mmu.arena
    # a leaf table taken for a directory leads into the host's memory
    known = 20 if where == "tables" else tlb.tables[2]
    tlb.flush()
    getattr(tlb, where)[2 if where == "tables" else 0] = known
    assert not arena.allocated[20]
    with pytest.raises(KernelBug, match=message):
        made.vcpu.read(GPA)
    tlb.flush()
