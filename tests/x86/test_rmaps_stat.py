"""The file mmu_rmaps_stat, to the letter."""

import pytest

from kvmmu_edu import ModuleParams
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86.pte_list import RmapHead
from kvmmu_edu.x86.rmap import rmaps_of
from tests.x86.conftest import GPA

HEADER = "Rmap_Count:\t0\t1\t2-3\t4-7\t8-15\t16-31\t32-63\t64-127\t128-255\t256-511\t512-1023\t\n"


def row(level, *columns):
    return (
        f"Level={level}:\t"
        + "".join(f"{n}\t" for n in (*columns, *[0] * (11 - len(columns))))
        + "\n"
    )


def test_it_is_empty_with_the_tdp_mmu(machine):
    assert machine().vm.rmaps_stat() == ""


def test_what_is_mapped_once(machine):
    made = machine("thp", params=ModuleParams(tdp_mmu=False))
    made.vcpu.read(GPA)
    expected = HEADER + row("4K", 2048) + row("2M", 3, 1) + row("1G", 1)
    assert made.vm.rmaps_stat() == expected


@pytest.mark.parametrize(
    ("count", "column"), [(1, 1), (2, 2), (3, 1), (4, 3), (6, 2), (8, 4), (15, 1), (1024, 10)]
)
def test_the_column_is_that_of_the_lowest_bit(machine, monkeypatch, count, column):
    made = machine(params=ModuleParams(tdp_mmu=False))
    head = RmapHead()
    heads = rmaps_of(id_to_memslot(memslots(made.kvm), 0), 1).heads
    heads[5] = head
    monkeypatch.setattr("kvmmu_edu.x86.rmaps_stat.pte_list_count", lambda head: count)
    line = made.vm.rmaps_stat().splitlines()[1].split("\t")
    assert line[1] == "2047"
    assert line[1 + column] == "1"
    del heads[5]
