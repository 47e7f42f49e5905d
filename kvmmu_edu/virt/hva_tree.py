"""Slots by host address: the lookup of every MMU notifier call.

The host tells KVM which range of user addresses is about to change, and KVM has to find the
guest frames there.  Two slots may show the same host memory at two guest addresses, so ranges
of host addresses overlap, and an interval tree holds them.

Kernel: kvm_for_each_memslot_in_hva_range, virt/kvm/kvm_main.c (v6.12)
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kvmmu_edu.lib.interval_tree import interval_tree_iter_first, interval_tree_iter_next
from kvmmu_edu.units import PAGE_SHIFT, PAGE_SIZE, Gfn, Hva

if TYPE_CHECKING:
    from kvmmu_edu.virt.memory_slot import MemorySlot
    from kvmmu_edu.virt.memslots import Memslots


def for_each_memslot_in_hva_range(
    slots: "Memslots", start_hva: Hva, last_hva: Hva
) -> Iterator["MemorySlot"]:
    """Yield the slots that touch the host addresses ``[start_hva, last_hva]``, both included.

    Cost: O(log n) for each slot.
    Locks: srcu or slots_lock.
    Kernel: kvm_for_each_memslot_in_hva_range, virt/kvm/kvm_main.c (v6.12)
    """
    if slots.array is not None:
        yield from slots.array.in_hva_range(start_hva, last_hva)
        return
    tree = slots.hva_tree
    node = interval_tree_iter_first(tree, start_hva, last_hva)
    while node is not None:
        yield node.owner
        node = interval_tree_iter_next(node, start_hva, last_hva)


def hva_to_gfn_memslot(hva: Hva, slot: "MemorySlot") -> Gfn:
    """Return the guest frame that *slot* shows the host address *hva* at.

    Kernel: hva_to_gfn_memslot(), include/linux/kvm_host.h (v6.12)
    """
    return slot.base_gfn + ((hva - slot.userspace_addr) >> PAGE_SHIFT)


def gfns_in_hva_range(slot: "MemorySlot", start_hva: Hva, end_hva: Hva) -> tuple[Gfn, Gfn]:
    """Return the frames ``[start, end)`` of *slot* with a byte in ``[start_hva, end_hva)``.

    Ours: a part of the following.
    Kernel: __kvm_handle_hva_range(), virt/kvm/kvm_main.c (v6.12)
    """
    first = max(start_hva, slot.userspace_addr)
    end = min(end_hva, slot.end_hva)
    return hva_to_gfn_memslot(first, slot), hva_to_gfn_memslot(end + PAGE_SIZE - 1, slot)
