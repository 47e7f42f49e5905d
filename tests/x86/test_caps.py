"""Capabilities."""

import pytest

from kvmmu_edu import KvmError


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
