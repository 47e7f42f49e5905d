"""Mapping for a fault: tables on the way, the leaf, and what is in the way."""

import pytest

from kvmmu_edu.trace.events import (
    FlushRemoteTlbs,
    GetMmuPage,
    MarkMmioSpte,
    SetSpte,
    SplitHugePage,
    SpteRequested,
)
from tests.x86.conftest import GPA


@pytest.mark.parametrize(
    ("kind", "level", "tables"),
    [
        ("anon4k", 1, 3),
        ("thp", 2, 2),
        ("huge2m", 2, 2),
        ("shm", 1, 3),
    ],
)
def test_tables_on_the_way(machine, kind, level, tables):
    made = machine(kind, 4 << 20)
    made.vcpu.read(GPA)
    assert made.events(SpteRequested)[-1].level == level
    assert made.events(SetSpte)[-1].level == level
    assert made.mmu.tdp_mmu_pages.read_once() == tables
    assert sum(event.level < 4 for event in made.events(GetMmuPage)) == tables


def test_the_first_gigabyte_takes_514_tables(machine):
    made = machine("anon4k", 1 << 30, populate=False, trace="none")
    made.delete()
    made.vm.set_user_memory_region(0, 0, 1 << 30, 1 << 30, made.hva)
    for table in range(512):
        made.vcpu.read((1 << 30) + (table << 21))
    assert made.mmu.tdp_mmu_pages.read_once() == 514
    made.vm.set_user_memory_region(0, 0, 1 << 30, 0, made.hva)
    made.flags(0)


def test_a_hole_gets_an_mmio_entry(machine):
    made = machine()
    exits = made.vcpu.read(1 << 32)
    assert [(exit_.reason, exit_.gpa, exit_.is_write) for exit_ in exits] == [
        ("MMIO", 1 << 32, False)
    ]
    assert made.events(MarkMmioSpte)[-1].gfn == 1 << 20
    assert made.vcpu.stats["pf_mmio_spte_created"] == 1


def test_without_mmio_caching_nothing_is_mapped(machine):
    made = machine()
    made.kvm.params.mmio_caching = False
    made.vcpu.read(1 << 32)
    assert not made.events(MarkMmioSpte)
    assert made.vcpu.stats["pf_emulate"] == 1


@pytest.mark.parametrize(
    ("kernel", "pages", "flushes"),
    [
        ("6.12", (512, 0, 0), 0),
        ("6.1", (1, 0, 0), 1),
    ],
)
def test_a_huge_page_in_the_way(machine, kernel, pages, flushes):
    made = machine("thp", 2 << 20, kernel=kernel)
    made.kvm.params.eager_page_split = False
    made.vcpu.write(GPA)
    made.flags(1)
    before = made.stats["remote_tlb_flush_requests"]
    made.vcpu.write(GPA + 4096)
    assert made.pages() == pages
    assert made.stats["remote_tlb_flush_requests"] - before == flushes
    assert bool(made.events(SplitHugePage)) == (kernel == "6.12")


@pytest.mark.parametrize(
    ("kernel", "gfn", "npages"),
    [
        ("6.12", 0x400, 512),
        ("6.1", 0, 1 << 18),
    ],
)
def test_a_page_that_replaces_a_table_flushes(machine, kernel, gfn, npages):
    made = machine("thp", 2 << 20, kernel=kernel)
    made.vm.host.madvise(made.hva, 2 << 20, "nohugepage")
    made.vm.host.madvise(made.hva, 2 << 20, "dontneed")
    for page in range(512):
        made.vm.host.write(made.hva + page * 4096, 1)
    made.vcpu.read(GPA)
    made.vm.host.madvise(made.hva, 2 << 20, "hugepage")
    made.vm.host.madvise(made.hva, 2 << 20, "collapse")
    start = len(made.events(FlushRemoteTlbs))
    made.vcpu.read(GPA)
    assert made.pages() == (0, 1, 0)
    flush = made.events(FlushRemoteTlbs)[start:]
    assert [(event.gfn, event.npages) for event in flush] == [(gfn, npages)]


def test_an_execution_lists_its_table(machine):
    made = machine("thp", 2 << 20)
    made.kvm.params.nx_huge_pages = "force"
    made.vcpu.read(GPA)
    made.vcpu.exec(GPA)
    assert made.stats["nx_lpage_splits"] == 1
    assert made.pages() == (512, 0, 0)
    table = next(iter(made.mmu.possible_nx_huge_pages))
    assert made.mmu.arena.nx_huge_page_disallowed[table]
