"""Capabilities: values that are accepted, and what they change."""

import pytest

from kvmmu_edu.virt.enable_cap import (
    CAP_DIRTY_LOG_RING,
    CAP_DIRTY_LOG_RING_ACQ_REL,
    CAP_DIRTY_LOG_RING_WITH_BITMAP,
    CAP_MANUAL_DIRTY_LOG_PROTECT2,
    vm_ioctl_enable_cap_generic,
)
from tests.virt.bench import errno_of, run


def enable(kvm, cap, *args, flags=0):
    return run(kvm, vm_ioctl_enable_cap_generic(kvm, cap, args, flags))


@pytest.mark.parametrize("value", [0, 1, 3])
def test_manual_protection(kvm, value):
    assert enable(kvm, CAP_MANUAL_DIRTY_LOG_PROTECT2, value)
    assert kvm.manual_dirty_log_protect == value


@pytest.mark.parametrize("value", [2, 4, 5, 1 << 63])
def test_manual_protection_refused(kvm, value):
    # 2: initially set needs manual
    assert errno_of(enable, kvm, CAP_MANUAL_DIRTY_LOG_PROTECT2, value) == "EINVAL"
    assert kvm.manual_dirty_log_protect == 0


def test_flags_are_refused(kvm):
    assert errno_of(enable, kvm, CAP_MANUAL_DIRTY_LOG_PROTECT2, 1, flags=1) == "EINVAL"


def test_it_can_be_switched_off(kvm):
    enable(kvm, CAP_MANUAL_DIRTY_LOG_PROTECT2, 3)
    enable(kvm, CAP_MANUAL_DIRTY_LOG_PROTECT2)
    assert kvm.manual_dirty_log_protect == 0


@pytest.mark.parametrize("cap", [CAP_DIRTY_LOG_RING, CAP_DIRTY_LOG_RING_ACQ_REL])
def test_rings(kvm, cap):
    assert enable(kvm, cap, 65536)
    assert kvm.dirty_ring_size == 65536
    assert errno_of(enable, kvm, cap, 65536) == "EINVAL"


def test_rings_with_bitmap_are_not_for_x86(kvm):
    assert errno_of(enable, kvm, CAP_DIRTY_LOG_RING_WITH_BITMAP) == "EINVAL"


def test_other_capabilities_are_left_to_x86(kvm):
    assert not enable(kvm, 116, 1)
