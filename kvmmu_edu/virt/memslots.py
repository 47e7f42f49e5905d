"""The sets of memory slots: two for each address space, and readers use one of them.

vCPUs look up slots all the time and take no lock for it.  So a set that they can see must not
change.  Each address space therefore has an active set, which readers follow a pointer to,
and an inactive one.  A change is made in the inactive set; the pointer is switched; when no
reader of before is left, the same change is made in the other set::

                     kvm->memslots[as_id] ----.
                                              v
    kvm->__memslots[as_id]   [0] inactive   [1] active
                                |     |       |     |
                                |     '---.---'     |
                                v         v         v
                             (only while  slot   (only while
                              changing)           changing)

At rest both sets link the same slot objects, each through links of its own: the set's
``node_idx`` says through which.  Three structures find a slot: by id (hash table), by guest
frame (``gfn_tree.py``) and by host address (``hva_tree.py``).

Kernel: struct kvm_memslots, include/linux/kvm_host.h (v6.12)
"""

from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from kvmmu_edu.errors import InvariantError, ensure
from kvmmu_edu.lib import interval_tree, rbtree
from kvmmu_edu.lib.hashtable import HashTable, hash_32
from kvmmu_edu.lib.interval_tree import (
    interval_tree_insert,
    interval_tree_remove,
    interval_tree_root,
)
from kvmmu_edu.lib.rbtree import RbRoot
from kvmmu_edu.sync.cells import Shared
from kvmmu_edu.trace.events import LastUsedSlotChanged, ReplaceMemslot, TreeChanged
from kvmmu_edu.units import PAGE_SHIFT
from kvmmu_edu.virt import dirty_bitmap
from kvmmu_edu.virt.gfn_tree import erase_gfn_node, insert_gfn_node, replace_gfn_node
from kvmmu_edu.virt.memory_slot import (
    MEM_LOG_DIRTY_PAGES,
    MEMSLOT_INVALID,
    MemorySlot,
    free_memslot,
    serial_of,
)
from kvmmu_edu.virt.memslot_array import MemslotArray, replace_in_copy

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvmmu_edu.trace.recorder import Trace
    from kvmmu_edu.virt.kvm import Kvm

#: the part of a generation that says: the slots are being changed right now
MEMSLOT_GEN_UPDATE_IN_PROGRESS: Final = 1 << 63
#: the hash table of ids has 128 buckets, whether there are 3 slots or 32,764
_ID_HASH_BITS: Final = 7
#: what the gfn tree is ordered by, as a function of a node
_BASE_GFN: Final = attrgetter("owner.base_gfn")


class Memslots:
    """One of the two sets of an address space.

    :ivar generation: which state of the slots this is; bit 63 while a change is under way
    :ivar last_used_slot: what the last search found; it is often asked for again
    :ivar hva_tree: the slots by host address; they may overlap there
    :ivar gfn_tree: the slots by guest frame; they may not
    :ivar id_hash: the slots by id
    :ivar array: the slots in an array instead, or None; see ``memslot_array.py``
    :ivar node_idx: which links of the slots this set uses, 0 or 1

    Locks: while active, read under srcu and not changed; while inactive, slots_lock.
    Kernel: struct kvm_memslots, include/linux/kvm_host.h (v6.12)
    """

    __slots__ = (
        "array",
        "as_id",
        "generation",
        "gfn_tree",
        "hva_tree",
        "id_hash",
        "last_used_slot",
        "node_idx",
        "trace",
    )

    def __init__(
        self, as_id: int, node_idx: int, trace: "Trace", *, in_array: bool = False
    ) -> None:
        """Make an empty set; the first generation of an address space is its number."""
        self.array = MemslotArray() if in_array else None
        self.as_id = as_id
        self.node_idx = node_idx
        self.trace = trace
        self.generation = Shared("slots->generation", as_id)
        self.last_used_slot: Shared[MemorySlot | None] = Shared("slots->last_used_slot", None)
        self.hva_tree = interval_tree_root()
        self.gfn_tree = RbRoot()
        self.id_hash = HashTable(_ID_HASH_BITS)
        if trace.keeps_steps:
            self.gfn_tree.observer = self._observer("gfn_tree", self.gfn_tree)
            self.hva_tree.observer = self._observer("hva_tree", self.hva_tree)

    def __str__(self) -> str:
        """Return which set it is."""
        return f"set {self.node_idx} of address space {self.as_id}"

    def _observer(self, name: str, root: RbRoot) -> "Callable[[str], None]":
        def tell(why: str) -> None:
            shape = rbtree.shape(root, serial_of)
            self.trace.emit(TreeChanged, name, self.as_id, self.node_idx, why, shape)

        return tell

    def remember_last_used(self, slot: MemorySlot | None) -> None:
        """Store *slot* as the last used one.

        Kernel: ____gfn_to_memslot(), include/linux/kvm_host.h (v6.12)
        """
        if self.last_used_slot.read_once() is not slot:
            self.last_used_slot.write_once(slot)
            self.trace.emit(LastUsedSlotChanged, self.as_id, self.node_idx, serial_of(slot))

    def slots_by_gfn(self) -> list[MemorySlot]:
        """Return the slots by rising guest frame.

        Ours.
        """
        if self.array is not None:
            return self.array.entries[::-1]
        return [node.owner for node in rbtree.in_order(self.gfn_tree)]

    def check(self) -> list[MemorySlot]:
        """Raise unless the three structures are valid and hold the same slots.

        :returns: the slots by rising guest frame
        :raises InvariantError: names the slot, the structures and what differs
        """
        if self.array is not None:
            return self.array.check()
        by_gfn: list[MemorySlot]
        by_gfn = [node.owner for node in rbtree.check(self.gfn_tree, _BASE_GFN)]
        for low, high in pairwise(by_gfn):
            if low.base_gfn + low.npages > high.base_gfn:
                raise InvariantError(f"{self}: {low} overlaps {high}")
        by_hva = [node.owner for node in interval_tree.check(self.hva_tree)]
        slots = set(by_gfn)
        for name, others in (("hva_tree", by_hva), ("id_hash", self.id_hash.check())):
            if set(others) != slots or len(others) != len(by_gfn):
                differ = sorted(slot.serial for slot in slots ^ set(others))
                raise InvariantError(f"{self}: gfn_tree and {name} differ in the serials {differ}")
        self._check_slots(by_gfn)
        last = self.last_used_slot.read_once()
        ensure(
            last is None or last in slots,
            f"{self}: last_used_slot is {last}, which is not in the set",
        )
        return by_gfn

    def _check_slots(self, slots: list[MemorySlot]) -> None:
        """Raise unless the links of each slot say what the slot says."""
        as_id, idx = self.as_id, self.node_idx
        for slot in slots:
            if slot.as_id != as_id:
                raise InvariantError(f"{self}: {slot} is of address space {slot.as_id}")
            node, hva = slot.hva_node[idx], slot.userspace_addr
            if node.start != hva or node.last != hva + (slot.npages << PAGE_SHIFT) - 1:
                has = f"{slot} has hva [{hva:#x}, {slot.end_hva:#x})"
                says = f"its node says [{node.start:#x}, {node.last:#x}]"
                raise InvariantError(f"{self}: {has} but {says}")
            key = slot.id_node[idx].key
            if key != slot.id:
                raise InvariantError(f"{self}: {slot} is in the id_hash as {key}")
            if slot.dirty_bitmap is not None:
                dirty_bitmap.check(slot)

    def snapshot(self) -> dict[str, Any]:
        """Return the set as plain values.

        The shapes of the trees and the order in a bucket are part of it: they decide what
        a lookup costs, though not what it finds.
        """
        last = self.last_used_slot.read_once()
        return {
            "node_idx": self.node_idx,
            "generation": self.generation.read_once(),
            "last_used_slot": None if last is None else last.id,
            "slots": [slot.snapshot() for slot in self.slots_by_gfn()],
            "gfn_tree": rbtree.shape(self.gfn_tree, lambda slot: slot.id),
            "hva_tree": rbtree.shape(self.hva_tree, lambda slot: slot.id),
            "id_hash": [slot.id for slot in self.id_hash.hash_for_each()],
        }


# --- finding the sets ------------------------------------------------------------------------


def init_memslots(kvm: "Kvm", address_spaces: int) -> None:
    """Give *kvm* two empty sets for each address space; set 0 is active.

    Ours: the kernel does it on the way.
    Kernel: kvm_create_vm(), virt/kvm/kvm_main.c (v6.12)
    """
    in_array = kvm.choices.memslots == "array"
    sets = [
        [Memslots(i, j, kvm.trace, in_array=in_array) for j in (0, 1)]
        for i in range(address_spaces)
    ]
    kvm._memslots = sets  # noqa: SLF001 - the kernel's __memslots, which is ours to fill
    kvm.memslots = [Shared(f"kvm->memslots[{i}]", pair[0]) for i, pair in enumerate(sets)]


def all_memslots(kvm: "Kvm") -> list[list[Memslots]]:
    """Return the two sets of each address space.

    Ours: the field ``__memslots`` of struct kvm.
    """
    return kvm._memslots  # noqa: SLF001 - the kernel's __memslots, which is ours to read


def memslots(kvm: "Kvm", as_id: int = 0) -> Memslots:
    """Return the active set of an address space.

    Locks: srcu or slots_lock: without either the set may be changed under the caller.
    Kernel: __kvm_memslots(); kvm_memslots(), include/linux/kvm_host.h (v6.12)
    """
    return kvm.memslots[as_id].rcu_dereference()


def get_inactive_memslots(kvm: "Kvm", as_id: int) -> Memslots:
    """Return the set of an address space that no new reader can find.

    Locks: slots_lock.
    Kernel: kvm_get_inactive_memslots(), virt/kvm/kvm_main.c (v6.12)
    """
    active = memslots(kvm, as_id)
    return all_memslots(kvm)[as_id][active.node_idx ^ 1]


def id_to_memslot(slots: Memslots, slot_id: int) -> MemorySlot | None:
    """Return the slot with that number, or None.

    Cost: O(n / 128): the number of buckets is fixed.
    Kernel: id_to_memslot(), include/linux/kvm_host.h (v6.12)
    """
    if slots.array is not None:
        return slots.array.find_id(slot_id)
    table = slots.id_hash
    node = table.heads[hash_32(slot_id, table.bits)]
    while node is not None:
        if node.key == slot_id:
            return node.owner  # type: ignore[no-any-return]
        node = node.next
    return None


# --- changing the inactive set -----------------------------------------------------------------


def memslots_get_as_id(a: MemorySlot | None, b: MemorySlot | None) -> int:
    """Return the address space of two slots of which one may be missing.

    Kernel: kvm_memslots_get_as_id(), virt/kvm/kvm_main.c (v6.12)
    """
    slot = a if a is not None else b
    assert slot is not None
    if a is not None and b is not None:
        ensure(a.as_id == b.as_id, f"{a} is of address space {a.as_id}, {b} of {b.as_id}")
    return slot.as_id


def replace_memslot(kvm: "Kvm", old: MemorySlot | None, new: MemorySlot | None) -> None:
    """Let *new* take the place of *old* in the inactive set.

    Without *old* this adds, without *new* it removes.  Where the guest frame stays the same,
    the gfn tree needs no search and no rebalancing.  The hva tree always does, though the
    host address never changes: an interval tree has no such shortcut.

    Cost: O(log n); for the gfn tree alone O(1) where ``base_gfn`` stays.
    Locks: slots_lock.
    Kernel: kvm_replace_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    as_id = memslots_get_as_id(old, new)
    slots = get_inactive_memslots(kvm, as_id)
    idx = slots.node_idx
    if slots.array is not None:
        replace_in_copy(memslots(kvm, as_id), slots, old, new)
        return
    kvm.trace.emit(ReplaceMemslot, as_id, idx, serial_of(old), serial_of(new))

    if old is not None:
        slots.id_hash.hash_del(old.id_node[idx])
        interval_tree_remove(old.hva_node[idx], slots.hva_tree)
        # or the next lookup in this set would return a slot that is freed by then
        if slots.last_used_slot.read_once() is old:
            slots.remember_last_used(new)
    _enter_hash_and_hva_tree(slots, new)
    _change_gfn_tree(slots, old, new)


def _enter_hash_and_hva_tree(slots: Memslots, new: MemorySlot | None) -> None:
    """Link *new*; also when it is a copy of another slot: copies share data, never links."""
    if new is not None:
        hva_node = new.hva_node[slots.node_idx]
        hva_node.start, hva_node.last = new.userspace_addr, new.end_hva - 1
        slots.id_hash.hash_add(new.id_node[slots.node_idx], new.id)
        interval_tree_insert(hva_node, slots.hva_tree)


def _change_gfn_tree(slots: Memslots, old: MemorySlot | None, new: MemorySlot | None) -> None:
    """Put *new* where *old* was if that is the same place; else take one out, put one in."""
    if old is not None and new is not None and old.base_gfn == new.base_gfn:
        replace_gfn_node(slots, old, new)
        return
    if old is not None:
        erase_gfn_node(slots, old)
    if new is not None:
        insert_gfn_node(slots, new)


def free_memslots(kvm: "Kvm") -> None:
    """Free all slots of a VM that goes away; nobody runs it any more.

    Kernel: kvm_free_memslots(), virt/kvm/kvm_main.c (v6.12)
    """
    for pair in all_memslots(kvm):
        # both sets have the same slots: each is freed once
        found = pair[1].id_hash.hash_for_each()
        if pair[1].array is not None:
            found = iter(memslots(kvm, pair[1].as_id).slots_by_gfn())
        for slot in found:
            free_memslot(kvm, slot)
    init_memslots(kvm, len(kvm.memslots))
    kvm.nr_memslot_pages = 0
    kvm.nr_memslots_dirty_logging.write_once(0)


# --- what holds at rest --------------------------------------------------------------------------


def check(kvm: "Kvm") -> None:
    """Raise unless every set is valid and the two of each address space are equal.

    Ours: for use at rest, when no change of slots is under way.

    :raises InvariantError: names the two sets and what differs
    """
    pages = 0
    logging = 0
    linked = set()
    for as_id, (first, second) in enumerate(all_memslots(kvm)):
        slots, others = first.check(), second.check()
        if first.array is not None:
            # the other array is as good as freed
            slots = others = memslots(kvm, as_id).slots_by_gfn()
        if slots != others:
            ours, theirs = ([slot.serial for slot in found] for found in (slots, others))
            raise InvariantError(f"{first} has the serials {ours}, {second} has {theirs}")
        active = memslots(kvm, as_id)
        generation = active.generation.read_once()
        ensure(
            generation < MEMSLOT_GEN_UPDATE_IN_PROGRESS and generation % len(kvm.memslots) == as_id,
            f"{active} has the generation {generation:#x}, expected {as_id} modulo"
            f" {len(kvm.memslots)} without bit 63",
        )
        linked |= {slot.serial for slot in slots}
        invalid = [slot for slot in slots if slot.flags & MEMSLOT_INVALID]
        ensure(not invalid, f"{active} has {invalid[:1]} at rest")
        pages += sum([slot.npages for slot in slots])
        logging += sum([slot.flags & MEM_LOG_DIRTY_PAGES for slot in slots])
    ensure(
        kvm.nr_memslot_pages == pages,
        f"nr_memslot_pages is {kvm.nr_memslot_pages} but the slots have {pages} pages",
    )
    counted = kvm.nr_memslots_dirty_logging.read_once()
    ensure(
        counted == logging,
        f"nr_memslots_dirty_logging is {counted} but {logging} slots have the flag",
    )
    known = kvm.slots_by_serial.keys()
    if linked != known:
        raise InvariantError(f"slots_by_serial and the sets differ in {sorted(linked ^ known)}")


def snapshot(kvm: "Kvm") -> dict[str, Any]:
    """Return all sets of slots as plain values.

    Ours.
    """
    return {
        "active": [memslots(kvm, as_id).node_idx for as_id in range(len(kvm.memslots))],
        "sets": [[slots.snapshot() for slots in pair] for pair in all_memslots(kvm)],
        "nr_memslot_pages": kvm.nr_memslot_pages,
        "nr_memslots_dirty_logging": kvm.nr_memslots_dirty_logging.read_once(),
    }
