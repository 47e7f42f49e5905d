"""Memory slots as cards: a slot in a tree, a set, the pointer that readers follow.  Ours."""

from typing import Final

from kvmmu_edu.lib.hashtable import hash_32
from kvmmu_edu.trace.events import SlotCreated
from kvmmu_edu.units import PAGE_SIZE, size_text
from kvmmu_widgets.narrate.context import SLOT_FLAGS, generation_text
from kvmmu_widgets.scene import Card, Cell
from kvmmu_widgets.views.memslots import GFN_TREE, HVA_TREE, RED, SlotSet

_INVALID: Final = 1 << 16
_SHORT_FLAGS: Final = {"LOG_DIRTY_PAGES": "LOG", "READONLY": "RO", "GUEST_MEMFD": "MEMFD"}
_ID_HASH_BITS: Final = 7


def pointer_card(as_id: int) -> Card:
    """Return the card of the pointer that leads readers to the active set."""
    return Card(f"kvm->memslots[{as_id}]", "readers start here", kind="pointer")


def set_card(slots: SlotSet, slot_names: dict[int, str], *, active: bool) -> Card:
    """Return the card of a set; *slot_names* are the slots by serial."""
    progress = "update in progress" if slots.generation >> 63 else ""
    generation = generation_text(slots.generation).partition(",")[0]
    last = slot_names.get(slots.last_used, "none")
    buckets = sorted((hash_32(slot_id, _ID_HASH_BITS), slot_id) for slot_id in slots.members)
    hashed = tuple(f"bucket {bucket}: slot {slot_id}" for bucket, slot_id in buckets)
    return Card(
        f"set {slots.node_idx}" + (f" of as {slots.as_id}" if slots.as_id else ""),
        "active: readers use it" if active else "inactive: changes are made here",
        kind="active" if active else "inactive",
        cells=(
            Cell(f"generation {generation}", progress),
            Cell(f"last used: {last}"),
            Cell(GFN_TREE, port=GFN_TREE),
            Cell(HVA_TREE, port=HVA_TREE),
            # no edge leaves here, but its place is beside the trees: the third way to a slot
            Cell(f"id_hash: {len(slots.members)}", more=hashed, port="id_hash"),
        ),
    )


def slot_card(
    slot: SlotCreated, tree: str, color: int | None, notes: list[str], *, active: bool
) -> Card:
    """Return the card of a slot in *tree*; *color* is None where the tree is not known."""
    cells = [] if color is None else [_color_cell(color)]
    cells += [Cell(_SHORT_FLAGS.get(name, name)) for bit, name in SLOT_FLAGS if slot.flags & bit]
    kind = "active" if active else "inactive"
    return Card(
        f"slot {slot.id}",
        _range(slot, tree),
        badge=f"#{slot.serial}",
        kind=f"{kind} invalidslot" if slot.flags & _INVALID else kind,
        cells=tuple(
            Cell(cell.text, cell.sub, cell.kind, _more(slot, notes) if n == 0 else ())
            for n, cell in enumerate(cells)
        ),
    )


def loose_card(slot: SlotCreated, notes: list[str]) -> Card:
    """Return the card of a slot object that no set links."""
    cells = [Cell("in no set", more=_more(slot, notes))]
    cells += [Cell(_SHORT_FLAGS.get(name, name)) for bit, name in SLOT_FLAGS if slot.flags & bit]
    return Card(
        f"slot {slot.id}",
        _range(slot, GFN_TREE),
        badge=f"#{slot.serial}",
        kind="inactive unlinked",
        cells=tuple(cells),
    )


def _color_cell(color: int) -> Cell:
    return Cell("R", kind="red") if color == RED else Cell("B", kind="black")


def _range(slot: SlotCreated, tree: str) -> str:
    if tree == HVA_TREE:
        return f"{slot.userspace_addr:#x}"
    return f"gfn {slot.base_gfn:#x} +{_size(slot)}"


def _size(slot: SlotCreated) -> str:
    return size_text(slot.npages * PAGE_SIZE).replace(" ", "").replace("iB", "")


def _more(slot: SlotCreated, notes: list[str]) -> tuple[str, ...]:
    last_gfn = slot.base_gfn + slot.npages - 1
    last_hva = slot.userspace_addr + slot.npages * PAGE_SIZE - 1
    return (
        f"gfn {slot.base_gfn:#x} … {last_gfn:#x}",
        f"hva {slot.userspace_addr:#x} … {last_hva:#x}",
        *notes,
    )
