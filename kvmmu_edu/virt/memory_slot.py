"""A memory slot: a range of guest memory and the host addresses behind it.

::

    guest frames     base_gfn                     base_gfn + npages
                        |------------------------------|
                        |   gfn <-> hva, in a line     |
                        |------------------------------|
    host addresses   userspace_addr        + npages * 4096 bytes

At rest a slot belongs to two sets at once (see ``memslots.py``), so it has two of each link:
number 0 is for the set with ``node_idx`` 0, number 1 for the other.

Kernel: struct kvm_memory_slot, include/linux/kvm_host.h (v6.12)
Simplified: no guest_memfd: the model has no private memory.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from kvmmu_edu.lib.hashtable import HlistNode
from kvmmu_edu.lib.interval_tree import IntervalNode
from kvmmu_edu.lib.rbtree import RbNode
from kvmmu_edu.trace.events import SlotCreated, SlotFreed
from kvmmu_edu.units import PAGE_SHIFT, Gfn, Hva

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray

    from kvmmu_edu.virt.arch import ArchMemorySlot
    from kvmmu_edu.virt.kvm import Kvm

# Flags of a slot; user space sets the first two, the last is KVM's own.
MEM_LOG_DIRTY_PAGES: Final = 1 << 0
MEM_READONLY: Final = 1 << 1
MEMSLOT_INVALID: Final = 1 << 16

#: slot numbers in an address space, and how many of the last x86 keeps for itself
MEM_SLOTS_NUM: Final = 32767
INTERNAL_MEM_SLOTS: Final = 3
USER_MEM_SLOTS: Final = MEM_SLOTS_NUM - INTERNAL_MEM_SLOTS
#: most pages in one slot: what the page counts in ``int`` can hold
MEM_MAX_NR_PAGES: Final = (1 << 31) - 1


class Change(IntEnum):
    """What a call does to the slots.

    Kernel: enum kvm_mr_change, include/linux/kvm_host.h (v6.12)
    """

    CREATE = 0
    DELETE = 1
    MOVE = 2
    FLAGS_ONLY = 3


class MemorySlot:
    """A range of guest memory.

    :ivar serial: ours: the number of this object, never used again in a VM
    :ivar id: the number that user space gave it, unique in its address space
    :ivar as_id: its address space: 0, or 1 for system management mode
    :ivar base_gfn: its first guest frame
    :ivar npages: its size in pages of 4 KiB
    :ivar userspace_addr: the hva of its first byte
    :ivar flags: ``MEM_*`` and ``MEMSLOT_INVALID``
    :ivar dirty_bitmap: words of 64 pages; the second half is scratch space; or None
    :ivar arch: what the x86 half keeps for it

    Locks: fields change only while no set that readers can see links the slot, but for the
    bits of ``dirty_bitmap`` (atomic) and for ``arch`` (slots_arch_lock).
    Kernel: struct kvm_memory_slot, include/linux/kvm_host.h (v6.12)
    """

    __slots__ = (
        "arch",
        "as_id",
        "base_gfn",
        "dirty_bitmap",
        "flags",
        "gfn_node",
        "hva_node",
        "id",
        "id_node",
        "npages",
        "serial",
        "userspace_addr",
    )

    def __init__(self, serial: int) -> None:
        """Make an empty slot that no set links."""
        self.serial = serial
        self.id = 0
        self.as_id = 0
        self.base_gfn: Gfn = 0
        self.npages = 0
        self.userspace_addr: Hva = 0
        self.flags = 0
        self.dirty_bitmap: NDArray[uint64] | None = None
        self.arch: ArchMemorySlot | None = None
        self.id_node = (HlistNode(self), HlistNode(self))
        self.hva_node = (IntervalNode(self), IntervalNode(self))
        self.gfn_node = (RbNode(self), RbNode(self))

    def __str__(self) -> str:
        """Return number, flags and guest frames as people write them."""
        flags = "".join(name for bit, name in _FLAG_LETTERS if self.flags & bit)
        where = f"[gfn {self.base_gfn:#x}, {self.end_gfn:#x})"
        return f"slot {self.id}{' ' if flags else ''}{flags} {where}"

    def __repr__(self) -> str:
        """Return the text and the number of the object."""
        return f"<{self} serial {self.serial}>"

    @property
    def end_gfn(self) -> Gfn:
        """The first frame behind the slot."""
        return self.base_gfn + self.npages

    @property
    def end_hva(self) -> Hva:
        """The first host address behind the slot."""
        return self.userspace_addr + (self.npages << PAGE_SHIFT)

    def snapshot(self) -> dict[str, Any]:
        """Return the data of the slot as plain values; links and the serial are no data."""
        return {
            "id": self.id,
            "as_id": self.as_id,
            "base_gfn": self.base_gfn,
            "npages": self.npages,
            "userspace_addr": self.userspace_addr,
            "flags": self.flags,
            "dirty_bitmap": None if self.dirty_bitmap is None else self.dirty_bitmap.tobytes(),
        }


_FLAG_LETTERS: Final = (
    (MEM_LOG_DIRTY_PAGES, "d"),
    (MEM_READONLY, "r"),
    (MEMSLOT_INVALID, " INVALID"),
)


def serial_of(slot: MemorySlot | None) -> int:
    """Return how events name *slot*: its serial, or 0 for none.

    Ours.
    """
    return 0 if slot is None else slot.serial


def is_visible_memslot(slot: MemorySlot | None) -> bool:
    """Return whether the guest's memory is to be found in *slot*.

    A lookup may return a slot that is on its way out (INVALID), or one that x86 keeps for
    itself; neither is the guest's memory.

    Kernel: kvm_is_visible_memslot(), include/linux/kvm_host.h (v6.12)
    """
    return slot is not None and slot.id < USER_MEM_SLOTS and not slot.flags & MEMSLOT_INVALID


def slot_dirty_track_enabled(slot: MemorySlot) -> bool:
    """Return whether writes to *slot* are to be remembered.

    Kernel: kvm_slot_dirty_track_enabled(), include/linux/kvm_host.h (v6.12)
    """
    return bool(slot.flags & MEM_LOG_DIRTY_PAGES)


def memslot_is_readonly(slot: MemorySlot) -> bool:
    """Return whether the guest may only read *slot*.

    Kernel: memslot_is_readonly(), virt/kvm/kvm_main.c (v6.12)
    """
    return bool(slot.flags & MEM_READONLY)


def copy_memslot(dest: MemorySlot, src: MemorySlot) -> None:
    """Copy the data of a slot, but none of its links.

    ``arch`` is copied as a struct is: the pointers in it, not what they point to.  Pointers
    that one of the two gets later, the other does not have.

    Kernel: kvm_copy_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    dest.base_gfn = src.base_gfn
    dest.npages = src.npages
    dest.dirty_bitmap = src.dirty_bitmap
    dest.arch = None if src.arch is None else src.arch.copy()
    dest.userspace_addr = src.userspace_addr
    dest.flags = src.flags
    dest.id = src.id
    dest.as_id = src.as_id


# --- the life of a slot ------------------------------------------------------------------------


def alloc_memslot(kvm: "Kvm") -> MemorySlot:
    """Return an empty slot with a serial of its own; :func:`announce_slot` must follow.

    Ours: in the kernel a call of kzalloc().
    """
    kvm.slot_serials += 1
    return MemorySlot(kvm.slot_serials)


def announce_slot(kvm: "Kvm", slot: MemorySlot) -> None:
    """Tell the trace of a slot whose data is complete.

    Ours.
    """
    kvm.slots_by_serial[slot.serial] = slot
    kvm.trace.emit(
        SlotCreated,
        slot.serial,
        slot.id,
        slot.as_id,
        slot.base_gfn,
        slot.npages,
        slot.userspace_addr,
        slot.flags,
    )


def forget_slot(kvm: "Kvm", slot: MemorySlot) -> None:
    """Free the slot itself; what it points to may live on in another slot.

    Ours: in the kernel a call of kfree().
    """
    del kvm.slots_by_serial[slot.serial]
    kvm.trace.emit(SlotFreed, slot.serial)


def free_memslot(kvm: "Kvm", slot: MemorySlot) -> None:
    """Free a slot and everything that belongs to it; no set may link it any more.

    Kernel: kvm_free_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    slot.dirty_bitmap = None
    kvm.arch.free_memslot(kvm, slot)
    forget_slot(kvm, slot)
