"""Memory slots in one sorted array, as before Linux 5.17: what the trees are measured against.

A set is an array, sorted by falling guest frame.  Readers must not see it change, so each
change makes a copy of the whole array, changes the copy, and publishes it; the old array is
freed when no reader is left::

    CREATE, FLAGS    one copy of all slots
    DELETE, MOVE     two: one with the slot marked INVALID, one without it, or with it elsewhere

A frame is found by binary search.  A host address is not what the array is sorted by: every
slot is looked at.

Ours as a choice: ``Choices(memslots="array")``.  The functions are those of Linux 5.16, which
later ones replaced: kvm_dup_memslots() and update_memslots() in virt/kvm/kvm_main.c,
search_memslots() in include/linux/kvm_host.h.
Simplified: the array holds references to slots; in the kernel it held the slots themselves.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from kvmmu_edu.errors import ensure
from kvmmu_edu.trace.events import MemslotsCopied, ReplaceMemslot
from kvmmu_edu.virt.memory_slot import serial_of

if TYPE_CHECKING:
    from kvmmu_edu.units import Gfn, Hva
    from kvmmu_edu.virt.memory_slot import MemorySlot
    from kvmmu_edu.virt.memslots import Memslots


class MemslotArray:
    """The slots of one set.

    :ivar entries: the slots, by falling guest frame
    :ivar id_to_index: where each id stands

    Ours: in Linux 5.16 fields of struct kvm_memslots.
    """

    __slots__ = ("entries", "id_to_index")

    def __init__(self) -> None:
        """Start empty."""
        self.entries: list[MemorySlot] = []
        self.id_to_index: dict[int, int] = {}

    def find_id(self, slot_id: int) -> "MemorySlot | None":
        """Return the slot of that number, or None.

        Cost: O(1).
        """
        index = self.id_to_index.get(slot_id)
        return None if index is None else self.entries[index]

    def find_gfn(self, gfn: "Gfn", *, approx: bool = False) -> "MemorySlot | None":
        """Return the slot that contains *gfn*; with *approx*, else the next one below it.

        Cost: O(log n).
        """
        index = self._at_or_below(gfn)
        if index == len(self.entries):
            return None
        slot = self.entries[index]
        return slot if approx or gfn < slot.end_gfn else None

    def _at_or_below(self, gfn: "Gfn") -> int:
        """Return the index of the first slot that starts at or below *gfn*."""
        start, end = 0, len(self.entries)
        while start < end:
            middle = (start + end) // 2
            if gfn >= self.entries[middle].base_gfn:
                end = middle
            else:
                start = middle + 1
        return start

    def in_gfn_range(self, start: "Gfn", end: "Gfn") -> Iterator["MemorySlot"]:
        """Yield the slots that overlap the frames [*start*, *end*), by rising frame.

        Cost: O(n).
        """
        for slot in reversed(self.entries):
            if slot.base_gfn < end and start < slot.end_gfn:
                yield slot

    def in_hva_range(self, start_hva: "Hva", last_hva: "Hva") -> Iterator["MemorySlot"]:
        """Yield the slots that touch the host addresses [*start_hva*, *last_hva*].

        Cost: O(n): every slot is looked at.
        """
        for slot in self.entries:
            if slot.userspace_addr <= last_hva and start_hva < slot.end_hva:
                yield slot

    def copy_from(self, other: "MemslotArray") -> None:
        """Take over all that *other* holds.

        Cost: O(n).
        """
        self.entries = list(other.entries)
        self.id_to_index = dict(other.id_to_index)

    def replace(self, slot_id: int, new: "MemorySlot | None") -> int:
        """Let *new* take the place of the slot with that number, or remove that.

        Return how many other slots had to move to another place.

        Cost: O(n).
        """
        before = self.id_to_index
        if slot_id in before:
            del self.entries[before[slot_id]]
        if new is not None:
            self.entries.insert(self._at_or_below(new.base_gfn), new)
        self.id_to_index = {slot.id: index for index, slot in enumerate(self.entries)}
        others = ((i, index) for i, index in self.id_to_index.items() if i != slot_id)
        return sum(before[other] != index for other, index in others)

    def check(self) -> "list[MemorySlot]":
        """Raise unless the array is sorted and ids are where they are said to be.

        :returns: the slots by rising guest frame
        :raises InvariantError: names the slots or the id
        """
        for high, low in pairwise(self.entries):
            ensure(
                low.end_gfn <= high.base_gfn, f"{high} stands before {low}, which is not below it"
            )
        found = {slot.id: index for index, slot in enumerate(self.entries)}
        ensure(
            found == self.id_to_index,
            f"id_to_index says {self.id_to_index}, the array has {found}",
        )
        return self.entries[::-1]


def replace_in_copy(
    active: "Memslots", inactive: "Memslots", old: "MemorySlot | None", new: "MemorySlot | None"
) -> None:
    """Copy the array of the *active* set into the *inactive* one, and change the copy.

    Ours: kvm_dup_memslots() and update_memslots() of Linux 5.16.
    """
    assert active.array is not None
    assert inactive.array is not None
    inactive.array.copy_from(active.array)
    slot = old if new is None else new
    assert slot is not None
    was = inactive.array.find_id(slot.id)
    moved = inactive.array.replace(slot.id, new)
    where = (inactive.as_id, inactive.node_idx)
    inactive.trace.emit(MemslotsCopied, *where, len(active.array.entries), moved)
    # what is replaced is what readers find, the INVALID copy if there is one
    inactive.trace.emit(ReplaceMemslot, *where, serial_of(was), serial_of(new))
    inactive.remember_last_used(None)
