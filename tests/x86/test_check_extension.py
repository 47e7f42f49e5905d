"""What KVM answers to KVM_CHECK_EXTENSION."""

import pytest

from kvmmu_edu import Choices, Vm


@pytest.mark.parametrize(
    ("cap", "in_6_12", "in_6_1"),
    [
        (9, 2, 2),  # NR_VCPUS
        (10, 32764, 32764),  # NR_MEMSLOTS
        (13, 0, 0),  # PV_MMU
        (16, 1, 1),  # SYNC_MMU
        (66, 4096, 1024),  # MAX_VCPUS
        (81, 1, 1),  # READONLY_MEM
        (118, 2, 2),  # MULTI_ADDRESS_SPACE
        (128, 16384, 4096),  # MAX_VCPU_ID
        (168, 3, 3),  # MANUAL_DIRTY_LOG_PROTECT2
        (192, 1 << 20, 1 << 20),  # DIRTY_LOG_RING
        (223, 1 << 20, 1 << 20),  # DIRTY_LOG_RING_ACQ_REL
        (225, 0, 0),  # DIRTY_LOG_RING_WITH_BITMAP
        (213, 0x7FF, 0x7F),  # DISABLE_QUIRKS2
        (220, 1, 1),  # VM_DISABLE_NX_HUGE_PAGES
        (231, 1, 0),  # USER_MEMORY2
        (235, 1, 0),  # VM_TYPES
        (236, 1, 0),  # PRE_FAULT_MEMORY
        (238, 1, 0),  # X86_GUEST_MODE
        (100_000, 0, 0),
    ],
)
def test_answers(cap, in_6_12, in_6_1):
    assert Vm().check_extension(cap) == in_6_12
    assert Vm(choices=Choices(kernel="6.1")).check_extension(cap) == in_6_1
