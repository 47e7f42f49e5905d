"""Capabilities."""

import pytest

from kvmmu_edu import KvmError, Vm
from kvmmu_edu.x86.mmu_state import mmu_of


@pytest.mark.parametrize(("cap", "answer"), [(10, 32764), (16, 1), (81, 1), (118, 2), (4242, 0)])
def test_check_extension(machine, cap, answer):
    assert machine().vm.check_extension(cap) == answer


@pytest.mark.parametrize(("kernel", "quirks", "prefault"), [("6.12", 0x7FF, 1), ("6.1", 0x7F, 0)])
def test_versions(machine, kernel, quirks, prefault):
    made = machine(kernel=kernel)
    assert made.vm.check_extension(213) == quirks
    assert made.vm.check_extension(236) == prefault


@pytest.mark.parametrize(
    ("cap", "args"), [(4242, (1,)), (213, (1 << 40,)), (168, (2,)), (220, (1,))]
)
def test_refusals_leave_the_state(machine, cap, args):
    made = machine()
    before = made.vm.state_hash()
    with pytest.raises(KvmError, match="EINVAL"):
        made.vm.enable_cap(cap, *args)
    assert made.vm.state_hash() == before


def test_the_old_quirk_capability_takes_what_it_knows(machine):
    made = machine()
    assert made.vm.enable_cap(116, 1 << 40 | 1) == 0
    assert made.mmu.disabled_quirks == 1


def test_nx_is_switched_off_before_the_first_vcpu(machine):
    made = machine()
    with pytest.raises(KvmError, match="EINVAL"):
        made.vm.enable_cap(220)


def test_nx_is_switched_off_only_by_who_may_reboot():
    vm = Vm()
    vm.host.cap_sys_boot = False
    for args in ((), (1,)):
        with pytest.raises(KvmError, match="EPERM"):
            vm.enable_cap(220, *args)
    vm.host.cap_sys_boot = True
    assert vm.enable_cap(220) == 0
    assert mmu_of(vm.kvm).disable_nx_huge_pages


@pytest.mark.parametrize(("kernel", "disabled"), [("6.12", 3), ("6.1", 2)])
def test_quirks_add_up_in_6_12_and_replace_one_another_in_6_1(machine, kernel, disabled):
    made = machine(kernel=kernel)
    made.vm.enable_cap(213, 1)
    made.vm.enable_cap(213, 2)
    assert made.mmu.disabled_quirks == disabled
