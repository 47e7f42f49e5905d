"""What the x86 half keeps for a memory slot.

Kernel: struct kvm_arch_memory_slot, arch/x86/include/asm/kvm_host.h (v6.12)
"""

from typing import TYPE_CHECKING, Any

from kvmmu_edu.sync.cells import Shared
from kvmmu_edu.units import MAX_HUGEPAGE_LEVEL
from kvmmu_edu.x86.lpage_info import LpageInfo

if TYPE_CHECKING:
    from kvmmu_edu.virt.memory_slot import MemorySlot


class SlotArch:
    """The arrays of a slot.

    Ours as a name: the kernel's is longer.

    :ivar lpage_info: where large pages are not allowed
    :ivar rmap: for each level a pointer to the reverse map, None until it is needed

    Kernel: struct kvm_arch_memory_slot, arch/x86/include/asm/kvm_host.h (v6.12)
    """

    __slots__ = ("lpage_info", "rmap")

    def __init__(self, lpage_info: LpageInfo) -> None:
        """Make what every slot has from the start."""
        self.lpage_info = lpage_info
        self.rmap: list[Shared[Any]] = [
            Shared("slot->arch.rmap", None) for _ in range(MAX_HUGEPAGE_LEVEL)
        ]

    def copy(self) -> "SlotArch":
        """Return a copy as of a struct in C: the same arrays, but pointers of its own."""
        twin = SlotArch(self.lpage_info)
        for mine, theirs in zip(twin.rmap, self.rmap, strict=True):
            mine.write_once(theirs.read_once())
        return twin


def arch_of(slot: "MemorySlot") -> SlotArch:
    """Return the x86 data of a slot.

    Ours: ``slot->arch``.
    """
    assert isinstance(slot.arch, SlotArch)
    return slot.arch
