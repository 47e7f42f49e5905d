"""The memory slots of a run, as far as its events tell: two sets, their trees, the pointer.

The model is a fold over events, from the beginning of the VM on.  Ours.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from kvmmu_edu.trace.events import (
    DirtyBitmapAllocated,
    GenerationChanged,
    LastUsedSlotChanged,
    MemslotsCopied,
    ReplaceMemslot,
    SlotCreated,
    SlotFreed,
    SwapActiveMemslots,
    SynchronizeSrcu,
    TreeChanged,
)

#: nested ``(serial, colour, left, right)``, or None where there is no node
Shape: TypeAlias = tuple[int, int, Any, Any] | None

RED: Final = 0
GFN_TREE: Final = "gfn_tree"
HVA_TREE: Final = "hva_tree"


@dataclass(slots=True)
class SlotSet:
    """One of the two sets of an address space.

    :ivar members: serials of its slots, by id
    :ivar trees: the shapes of its trees, by name; only recorded steps have them
    :ivar last_used: serial of the slot that was used last, 0 for none
    """

    as_id: int
    node_idx: int
    generation: int
    members: dict[int, int] = field(default_factory=dict)
    trees: dict[str, Shape] = field(default_factory=dict)
    last_used: int = 0


class SlotsModel:
    """All slots after the events so far.

    :ivar slots: how each slot object that exists came to be, by serial
    :ivar notes: what was allocated for a slot object, by serial
    :ivar sets: both sets of each address space that has had a slot, by address space
    :ivar active: which of them readers are led to, by address space
    :ivar has_shapes: whether the events tell the shapes of the trees
    """

    def __init__(self, events: Iterable[Any]) -> None:
        """Start without slots; *events* are looked through for what they will tell."""
        self.slots: dict[int, SlotCreated] = {}
        self.notes: dict[int, list[str]] = {}
        self.sets: dict[int, tuple[SlotSet, SlotSet]] = {}
        self.active: dict[int, int] = {}
        self.has_shapes = any(isinstance(event, TreeChanged) for event in events)
        self._swapping: dict[int, int] = {}
        self._add_space(0)

    def apply(self, event: Any) -> bool:
        """Take *event* in; return whether it says anything about slots."""
        function = _APPLY.get(type(event))
        if function is None:
            return False
        function(self, event)
        return True

    def linked(self) -> set[int]:
        """Return the serials of the slots that some set links."""
        found: set[int] = set()
        for both in self.sets.values():
            for slots in both:
                if self.has_shapes:
                    found.update(*(walk(shape) for shape in slots.trees.values()))
                else:
                    found.update(slots.members.values())
        return found

    def loose(self) -> list[int]:
        """Return the serials of the slots that no set links, by age."""
        linked = self.linked()
        return [serial for serial in self.slots if serial not in linked]

    def _add_space(self, as_id: int) -> None:
        if as_id not in self.sets:
            self.sets[as_id] = (SlotSet(as_id, 0, as_id), SlotSet(as_id, 1, as_id))
            self.active[as_id] = 0

    def _slot_created(self, event: SlotCreated) -> None:
        self._add_space(event.as_id)
        self.slots[event.serial] = event
        self.notes[event.serial] = []

    def _slot_freed(self, event: SlotFreed) -> None:
        self.slots.pop(event.serial, None)
        self.notes.pop(event.serial, None)

    def _replace_memslot(self, event: ReplaceMemslot) -> None:
        members = self.sets[event.as_id][event.node_idx].members
        if event.old:
            for slot_id in [key for key, serial in members.items() if serial == event.old]:
                del members[slot_id]
        if event.new:
            members[self.slots[event.new].id] = event.new

    def _memslots_copied(self, event: MemslotsCopied) -> None:
        both = self.sets[event.as_id]
        both[event.node_idx].members = dict(both[event.node_idx ^ 1].members)

    def _swap_active_memslots(self, event: SwapActiveMemslots) -> None:
        self.sets[event.as_id][event.node_idx].generation = event.generation
        self._swapping[event.as_id] = event.node_idx

    def _synchronize_srcu(self, event: SynchronizeSrcu) -> None:
        # the pointer is set just before; no other task can run in between
        if event.caller == "kvm_swap_active_memslots":
            self.active.update(self._swapping)
            self._swapping.clear()

    def _generation_changed(self, event: GenerationChanged) -> None:
        self.sets[event.as_id][event.node_idx].generation = event.generation

    def _last_used_slot_changed(self, event: LastUsedSlotChanged) -> None:
        self.sets[event.as_id][event.node_idx].last_used = event.serial

    def _tree_changed(self, event: TreeChanged) -> None:
        self._add_space(event.as_id)
        self.sets[event.as_id][event.node_idx].trees[event.tree] = event.shape

    def _dirty_bitmap_allocated(self, event: DirtyBitmapAllocated) -> None:
        self.notes.setdefault(event.serial, []).append(f"dirty bitmaps: {event.nbytes} bytes")


_APPLY: Final[dict[type[Any], Callable[[SlotsModel, Any], None]]] = {
    SlotCreated: SlotsModel._slot_created,  # noqa: SLF001
    SlotFreed: SlotsModel._slot_freed,  # noqa: SLF001
    ReplaceMemslot: SlotsModel._replace_memslot,  # noqa: SLF001
    MemslotsCopied: SlotsModel._memslots_copied,  # noqa: SLF001
    SwapActiveMemslots: SlotsModel._swap_active_memslots,  # noqa: SLF001
    SynchronizeSrcu: SlotsModel._synchronize_srcu,  # noqa: SLF001
    GenerationChanged: SlotsModel._generation_changed,  # noqa: SLF001
    LastUsedSlotChanged: SlotsModel._last_used_slot_changed,  # noqa: SLF001
    TreeChanged: SlotsModel._tree_changed,  # noqa: SLF001
    DirtyBitmapAllocated: SlotsModel._dirty_bitmap_allocated,  # noqa: SLF001
}


def fold(events: Iterable[Any], model: SlotsModel) -> SlotsModel:
    """Let *model* take in all *events* and return it."""
    for event in events:
        model.apply(event)
    return model


def walk(shape: Shape) -> Iterator[int]:
    """Yield the serials in a tree, in order."""
    if shape is not None:
        serial, _, left, right = shape
        yield from walk(left)
        yield serial
        yield from walk(right)
