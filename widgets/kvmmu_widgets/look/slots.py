"""Memory slots: what there is, both sets of it, and the way of a lookup.  Ours."""

from kvmmu_edu.lib.hashtable import HashTable
from kvmmu_edu.lib.rbtree import RED, RbNode
from kvmmu_edu.units import PAGE_SIZE, Gfn, size_text
from kvmmu_edu.virt.memory_slot import MemorySlot
from kvmmu_edu.virt.memslots import all_memslots, memslots
from kvmmu_edu.vm import Vm
from kvmmu_widgets.grid import Grid
from kvmmu_widgets.narrate.context import flags_text, generation_text, plural

#: more slots than this are counted, not listed
_LISTED = 64


def slots(vm: Vm, as_id: int = 0) -> Grid:
    """Return the slots that readers find, by rising guest frame; at most 64."""
    active = memslots(vm.kvm, as_id)
    found = active.slots_by_gfn()
    rows = [
        (slot.id, gfns(slot), size_text(slot.npages * PAGE_SIZE), hvas(slot), flags(slot))
        for slot in found[:_LISTED]
    ]
    more = f", the first {_LISTED}" if len(found) > _LISTED else ""
    generation = generation_text(active.generation.read_once())
    caption = f"{plural(len(found), 'slot')}{more}; generation {generation}"
    return Grid(("slot", "gfn", "size", "hva", "flags"), rows, caption)


def sets(vm: Vm, as_id: int = 0) -> Grid:
    """Return both sets of an address space, the depth of their trees and of their buckets."""
    active = memslots(vm.kvm, as_id)
    rows = []
    for one in all_memslots(vm.kvm)[as_id]:
        last = one.last_used_slot.read_once()
        rows.append(
            (
                one.node_idx,
                "active" if one is active else "inactive",
                generation_text(one.generation.read_once()),
                len(one.slots_by_gfn()),
                "none" if last is None else f"slot {last.id}",
                depth(one.gfn_tree.rb_node),
                depth(one.hva_tree.rb_node),
                longest_bucket(one.id_hash),
            )
        )
    columns: tuple[str, ...] = ("set", "readers", "generation", "slots", "last_used_slot")
    columns = (*columns, "gfn tree", "hva tree", "id hash")
    caption = f"Address space {as_id}: two sets; depth of the trees, longest bucket of the hash"
    return Grid(columns, rows, caption)


def path(vm: Vm, gfn: Gfn, as_id: int = 0) -> Grid:
    """Return the way from the top of the gfn tree to the slot that contains *gfn*, if any."""
    active = memslots(vm.kvm, as_id)
    rows: list[tuple[int, str, str, str, str]] = []
    node: RbNode | None = active.gfn_tree.rb_node
    found = False
    while node is not None and not found:
        slot: MemorySlot = node.owner
        colour = "red" if node.color == RED else "black"
        found = slot.base_gfn <= gfn < slot.end_gfn
        left = gfn < slot.base_gfn
        says = "here it is" if found else f"go {'left' if left else 'right'}"
        rows.append((len(rows) + 1, f"slot {slot.id}", colour, gfns(slot), says))
        if not found:
            node = node.left if left else node.right
    end = rows[-1][1] if found else "no slot: there is no memory"
    caption = f"gfn {gfn:#x} in the gfn tree of set {active.node_idx}: {end}"
    return Grid(("depth", "node", "colour", "gfn", "so"), rows, caption)


def gfns(slot: MemorySlot) -> str:
    """Return the first and the last guest frame of *slot*."""
    return f"{slot.base_gfn:#x} to {slot.end_gfn - 1:#x}"


def hvas(slot: MemorySlot) -> str:
    """Return the first and the last host address of *slot*."""
    return f"{slot.userspace_addr:#x} to {slot.end_hva - 1:#x}"


def flags(slot: MemorySlot) -> str:
    """Return the flags of *slot* by name."""
    return flags_text(slot.flags)


def depth(node: RbNode | None) -> int:
    """Return the number of nodes on the longest way down from *node*."""
    longest = 0
    todo = [(node, 1)]
    while todo:
        here, level = todo.pop()
        if here is not None:
            longest = max(longest, level)
            todo += [(here.left, level + 1), (here.right, level + 1)]
    return longest


def longest_bucket(table: HashTable) -> int:
    """Return the number of nodes in the longest bucket."""
    longest = 0
    for head in table.heads:
        node, count = head, 0
        while node is not None:
            node, count = node.next, count + 1
        longest = max(longest, count)
    return longest
