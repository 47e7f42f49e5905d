"""A copy of a slot has pointers of its own to the same arrays."""

import pytest

from kvmmu_edu.virt.memory_slot import MemorySlot
from kvmmu_edu.x86.lpage_info import LpageInfo
from kvmmu_edu.x86.slot_arch import SlotArch, arch_of


def test_copy():
    arch = SlotArch(LpageInfo(0, 512, 0))
    twin = arch.copy()
    assert twin.lpage_info is arch.lpage_info
    arch.rmap[0].write_once("array")
    assert twin.rmap[0].read_once() is None
    assert arch.copy().rmap[0].read_once() == "array"


def test_arch_of():
    slot = MemorySlot(1)
    with pytest.raises(AssertionError):
        arch_of(slot)
    slot.arch = SlotArch(LpageInfo(0, 512, 0))
    assert arch_of(slot) is slot.arch
