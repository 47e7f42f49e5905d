"""Slots by guest frame: the lookup of every page fault.

Slots of a set do not overlap in guest frames, so a plain red-black tree ordered by
``base_gfn`` holds them.  In front of the tree stand two shortcuts, because an address is
seldom alone: each vCPU remembers the slot it used last, and so does each set.

Kernel: search_memslots(), include/linux/kvm_host.h (v6.12)
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.lib.rb_erase import rb_erase, rb_replace_node
from kvmmu_edu.lib.rbtree import (
    RbNode,
    rb_insert_color,
    rb_last,
    rb_link_node,
    rb_next,
    rb_prev,
)
from kvmmu_edu.units import Gfn

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.memory_slot import MemorySlot
    from kvmmu_edu.virt.memslots import Memslots
    from kvmmu_edu.virt.vcpu import KvmVcpu


# --- changing the tree of the inactive set -----------------------------------------------------


def insert_gfn_node(slots: "Memslots", slot: "MemorySlot") -> None:
    """Add *slot* to the tree.

    :raises KernelBug: when a slot starts at the same frame

    Cost: O(log n).
    Kernel: kvm_insert_gfn_node(), virt/kvm/kvm_main.c (v6.12)
    """
    parent: RbNode | None = None
    below = slots.gfn_tree.rb_node
    base_gfn = slot.base_gfn
    on_left = False
    while below is not None:
        parent = below
        other = below.owner.base_gfn
        if base_gfn == other:
            raise KernelBug(f"{slot} starts where {below.owner} does")
        on_left = base_gfn < other
        below = below.left if on_left else below.right
    node = slot.gfn_node[slots.node_idx]
    rb_link_node(node, parent, slots.gfn_tree, on_left=on_left)
    rb_insert_color(node, slots.gfn_tree)


def erase_gfn_node(slots: "Memslots", slot: "MemorySlot") -> None:
    """Take *slot* out of the tree.

    Cost: O(log n).
    Kernel: kvm_erase_gfn_node(), virt/kvm/kvm_main.c (v6.12)
    """
    rb_erase(slot.gfn_node[slots.node_idx], slots.gfn_tree)


def replace_gfn_node(slots: "Memslots", old: "MemorySlot", new: "MemorySlot") -> None:
    """Let *new*, which starts at the same frame, take the place of *old*.

    Cost: O(1).
    Kernel: kvm_replace_gfn_node(), virt/kvm/kvm_main.c (v6.12)
    """
    if old.base_gfn != new.base_gfn:
        raise KernelBug(f"{new} cannot replace {old} in place: it starts elsewhere")
    idx = slots.node_idx
    rb_replace_node(old.gfn_node[idx], new.gfn_node[idx], slots.gfn_tree)


# --- lookups -----------------------------------------------------------------------------------


def search_memslots(slots: "Memslots", gfn: Gfn, *, approx: bool = False) -> "MemorySlot | None":
    """Return the slot that contains *gfn*, searching the tree.

    With *approx* a frame in a hole gives the slot that the descent came to last, which is the
    one before or the one behind the hole, as the shape of the tree has it.  x86 never asks so.

    The slot found may be INVALID: that is for the caller to look at.

    Cost: O(log n).
    Kernel: search_memslots(), include/linux/kvm_host.h (v6.12)
    """
    if slots.array is not None:
        return slots.array.find_gfn(gfn, approx=approx)
    slot: MemorySlot | None = None
    node = slots.gfn_tree.rb_node
    while node is not None:
        slot = node.owner
        base_gfn = slot.base_gfn
        if gfn < base_gfn:
            node = node.left
        elif gfn < base_gfn + slot.npages:
            return slot
        else:
            node = node.right
    return slot if approx else None


def try_get_memslot(slot: "MemorySlot | None", gfn: Gfn) -> "MemorySlot | None":
    """Return *slot* if it contains *gfn*.

    Kernel: try_get_memslot(), include/linux/kvm_host.h (v6.12)
    """
    if slot is not None and 0 <= gfn - slot.base_gfn < slot.npages:
        return slot
    return None


def _gfn_to_memslot(slots: "Memslots", gfn: Gfn, *, approx: bool = False) -> "MemorySlot | None":
    """Return the slot that contains *gfn*, trying the last used one first.

    Two readers may store different slots at once; either is right, so test and store need
    not be one atomic step.

    Locks: srcu.
    Kernel: __gfn_to_memslot(); ____gfn_to_memslot(), include/linux/kvm_host.h (v6.12)
    """
    slot = slots.last_used_slot.read_once()
    if slot is not None and 0 <= gfn - slot.base_gfn < slot.npages:
        return slot
    slot = search_memslots(slots, gfn, approx=approx)
    if slot is not None:
        slots.remember_last_used(slot)
    return slot


def gfn_to_memslot(kvm: "Kvm", gfn: Gfn) -> "MemorySlot | None":
    """Return the slot of address space 0 that contains *gfn*.

    Locks: srcu.
    Kernel: gfn_to_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    return _gfn_to_memslot(kvm.memslots[0].rcu_dereference(), gfn)


def vcpu_memslots(vcpu: "KvmVcpu") -> "Memslots":
    """Return the active set of the address space that *vcpu* uses.

    Locks: srcu.
    Kernel: kvm_vcpu_memslots(), include/linux/kvm_host.h (v6.12)
    """
    return vcpu.kvm.memslots[vcpu.memslots_id].rcu_dereference()


def vcpu_gfn_to_memslot(vcpu: "KvmVcpu", gfn: Gfn) -> "MemorySlot | None":
    """Return the slot that contains *gfn*, trying the one that *vcpu* used last.

    The vCPU's memory is good for one generation.  Since bit 63 of the generation is set while
    slots change, each change invalidates it twice: a slot found in between is not trusted
    afterwards.  On a miss the set's own last used slot is left alone, for other vCPUs.

    Locks: srcu.
    Kernel: kvm_vcpu_gfn_to_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    slots = vcpu.kvm.memslots[vcpu.memslots_id].rcu_dereference()
    generation = slots.generation.read_once()
    if generation != vcpu.last_used_slot_gen:
        vcpu.last_used_slot = None
        vcpu.last_used_slot_gen = generation
    slot = vcpu.last_used_slot
    if slot is not None and 0 <= gfn - slot.base_gfn < slot.npages:
        return slot
    slot = search_memslots(slots, gfn)
    if slot is not None:
        vcpu.last_used_slot = slot
    return slot


# --- ranges ------------------------------------------------------------------------------------


def for_each_memslot_in_gfn_range(
    slots: "Memslots", start: Gfn, end: Gfn
) -> Iterator["MemorySlot"]:
    """Yield the slots that overlap the frames ``[start, end)``, by rising frame.

    Cost: O(log n) for the first, O(1) on average for each further one.
    Kernel: kvm_for_each_memslot_in_gfn_range, include/linux/kvm_host.h (v6.12)
    """
    if slots.array is not None:
        yield from slots.array.in_gfn_range(start, end)
        return
    node = _first_that_may_overlap(slots, start)
    if node is not None and node.owner.base_gfn + node.owner.npages <= start:
        node = rb_next(node)
    while node is not None and node.owner.base_gfn < end:
        yield node.owner
        node = rb_next(node)


def _first_that_may_overlap(slots: "Memslots", start: Gfn) -> RbNode | None:
    """Return the last slot that starts at or before *start*; if there is none, the first.

    Kernel: kvm_memslot_iter_start(), include/linux/kvm_host.h (v6.12)
    """
    behind: RbNode | None = None
    node = slots.gfn_tree.rb_node
    while node is not None:
        if start < node.owner.base_gfn:
            behind, node = node, node.left
        else:
            node = node.right
    if behind is None:
        return rb_last(slots.gfn_tree)
    return rb_prev(behind) or behind
