"""From guest frames to host addresses, and the two ways to fail."""

import pytest

from kvmmu_edu.virt.gfn_to_hva import (
    HVA_ERR_BAD,
    HVA_ERR_RO_BAD,
    gfn_to_hva,
    gfn_to_hva_memslot_prot,
    is_error_hva,
    vcpu_gfn_to_hva,
)
from tests.virt.bench import by_id, delete, ioctl

PAGE = 4096
HVA = 0x7F00_0000_0000


@pytest.fixture
def two(kvm):
    """Slot 0 may be written, slot 1 not."""
    ioctl(kvm, 0, 0x100000, 4 * PAGE, hva=HVA)
    ioctl(kvm, 1, 0x200000, 4 * PAGE, flags=2, hva=HVA + 0x100000)
    return kvm


def test_inside_a_slot(two, vcpu):
    assert gfn_to_hva(two, 0x103) == HVA + 3 * PAGE
    assert vcpu_gfn_to_hva(vcpu, 0x103) == HVA + 3 * PAGE
    assert gfn_to_hva_memslot_prot(by_id(two, 0), 0x102) == (HVA + 2 * PAGE, True)


def test_outside(two):
    assert gfn_to_hva(two, 0x104) == HVA_ERR_BAD
    assert gfn_to_hva_memslot_prot(None, 0x104) == (HVA_ERR_BAD, False)


def test_read_only(two):
    assert gfn_to_hva(two, 0x201) == HVA_ERR_RO_BAD
    assert gfn_to_hva_memslot_prot(by_id(two, 1), 0x201) == (HVA + 0x100000 + PAGE, False)


def test_a_slot_on_its_way_out_is_no_slot(two):
    seen = []
    two.arch.during_flush = lambda kvm, _slot: seen.append(gfn_to_hva(kvm, 0x103))
    delete(two, 0)
    assert seen == [HVA_ERR_BAD]


def test_errors_cannot_be_mistaken_for_user_addresses():
    assert is_error_hva(HVA_ERR_BAD)
    assert is_error_hva(HVA_ERR_RO_BAD)
    assert not is_error_hva((1 << 47) - 1)
