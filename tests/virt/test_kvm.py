"""A new VM."""

from kvmmu_edu.virt import memslots, mmu_notifier
from kvmmu_edu.virt.kvm import ADDRESS_SPACE_NUM
from tests.virt.bench import make_kvm


def test_a_new_vm_is_at_rest(kvm):
    memslots.check(kvm)
    mmu_notifier.check(kvm)
    for lock in (kvm.lock, kvm.slots_lock, kvm.slots_arch_lock, kvm.mmu_lock):
        lock.check()
    kvm.srcu.check()


def test_it_has_two_address_spaces(kvm):
    assert len(kvm.memslots) == ADDRESS_SPACE_NUM == 2


def test_two_vms_share_nothing():
    first, second = make_kvm(), make_kvm()
    assert first.memslots[0] is not second.memslots[0]
    assert first.slots_by_serial is not second.slots_by_serial
