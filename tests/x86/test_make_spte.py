"""The values of new entries, as the real kernel makes them."""

import pytest

from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86 import make_spte as make
from kvmmu_edu.x86.mmu_page import calc_tdp_mmu_root_page_role
from tests.x86.conftest import GPA

FLAGS = ~0x000F_FFFF_FFFF_F000 & ((1 << 64) - 1)
ROLE = calc_tdp_mmu_root_page_role()


def flags(machine, level, *, old=0, prefetch=False, host_writable=True):
    slot = id_to_memslot(memslots(machine.kvm), 0)
    spte = make.make_spte(
        machine.mmu,
        ROLE - 4 + level,
        slot,
        0x400,
        0x200,
        old_spte=old,
        prefetch=prefetch,
        host_writable=host_writable,
    )
    assert spte >> 12 & 0xFFFFFFFFFF == 0x200
    return spte & FLAGS


@pytest.mark.parametrize(
    ("level", "options", "recorded"),
    [
        (1, {}, 0xE67),
        (2, {}, 0xEE7),
        (1, {"host_writable": False}, 0x825),
        (1, {"prefetch": True}, 0xE47),
        (2, {"prefetch": True}, 0xEC7),
        (1, {"old": 0xE67}, 0xE27),
    ],
)
def test_npt_values_are_the_recorded_ones(machine, level, options, recorded):
    assert flags(machine(), level, **options) == recorded


def test_nx_takes_execute_from_huge_pages_only(machine):
    made = machine()
    made.kvm.params.nx_huge_pages = "force"
    assert flags(made, 2) == 0xEE7 | 1 << 63
    assert flags(made, 1) == 0xE67


@pytest.mark.parametrize(("kernel", "suppress_ve"), [("6.12", 1 << 63), ("6.1", 0)])
def test_ept_values(machine, kernel, suppress_ve):
    # RWX, write-back and IPAT, accessed, dirty, present, host- and MMU-writable
    expected = 7 | 6 << 3 | 1 << 6 | 3 << 8 | 1 << 11 | 3 << 57
    made = machine(paging="ept", kernel=kernel)
    assert flags(made, 1) == expected | suppress_ve
    assert make.make_nonleaf_spte(made.mmu, 5) == (0x100005 << 12) | 0x907 | suppress_ve


def test_tables_holes_and_pieces(machine):
    made = machine()
    assert make.make_nonleaf_spte(made.mmu, 5) == (0x100005 << 12) | 0x827
    assert make.make_mmio_spte(made.mmu, 8, 0x400, 7) == 0x8000000400047
    pieces = make.make_huge_page_split_spte(made.mmu, 0x17FE00EE7, 1)
    assert [hex(int(spte)) for spte in pieces[:2]] == ["0x17fe00e67", "0x17fe01e67"]
    assert int(pieces[511]) == 0x17FFFFE67
    large = make.make_huge_page_split_spte(made.mmu, 0x140000EE7, 2)
    assert int(large[1]) == 0x140200EE7


def test_pieces_of_an_nx_page_may_be_executed(machine):
    made = machine()
    made.kvm.params.nx_huge_pages = "force"
    pieces = make.make_huge_page_split_spte(made.mmu, 1 << 63 | 0x17FE00EE7, 1)
    assert not (pieces >> 63).any()


def test_a_writable_page_of_a_logged_slot_is_dirty_at_once(machine):
    made = machine(flags=1)
    flags(made, 1)
    assert made.vm.get_dirty_log(0)[0] == 1
    made.vcpu.read(GPA + 4096)
    assert made.vm.get_dirty_log(0)[0] == 2
