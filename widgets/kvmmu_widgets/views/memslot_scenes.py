"""The memory slots of a run as scenes, one for each event: both sets with their trees.  Ours."""

from collections.abc import Iterator, Sequence
from typing import Any

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace import events as ev
from kvmmu_edu.trace.stats import Counters
from kvmmu_widgets.arrange import Arrangement
from kvmmu_widgets.arrange_trees import Block, Node, Pane, Structure, Tree, arrange_trees
from kvmmu_widgets.scene import Card, Edge, Scene
from kvmmu_widgets.views.memslot_cards import loose_card, pointer_card, set_card, slot_card
from kvmmu_widgets.views.memslots import GFN_TREE, HVA_TREE, Shape, SlotSet, SlotsModel, fold


class MemslotScenes:
    """Draws memory slots.

    :param events: all events of the run
    :param before: events that came earlier; they are part of what is drawn at the beginning

    :ivar scene: the picture after the events so far
    :ivar model: the slots after the events so far
    """

    GUARD = "slots_lock"
    #: kinds of events that have a step of their own though they may change no card
    TOLD = frozenset(
        (
            ev.SlotFreed,
            ev.SetMemslot,
            ev.ReplaceMemslot,
            ev.SynchronizeSrcu,
            ev.TreeChanged,
            ev.ArchPrepareMemoryRegion,
            ev.ArchFlushShadowMemslot,
            ev.ArchCommitMemoryRegion,
            ev.DirtyBitmapAllocated,
            ev.NotifierInvalidateStart,
            ev.NotifierInvalidateEnd,
        )
    )

    def __init__(self, events: Sequence[Any], choices: Choices, before: Sequence[Any] = ()) -> None:
        """Look at the whole run, then stand at its beginning."""
        del choices  # both kernels keep slots alike
        self.model = fold(before, SlotsModel([*before, *events]))
        self.scene = Scene()
        self._draw()
        self.scene = Scene(self.scene.cards, self.scene.edges, (), self.scene.structure)

    def step(self, event: Any) -> Scene:
        """Take *event* in and return the picture after it."""
        if self.model.apply(event):
            self._draw()
        elif self.scene.marks:
            self.scene = Scene(self.scene.cards, self.scene.edges, (), self.scene.structure)
        return self.scene

    def arrange(self, scenes: Sequence[Scene], backend: str = "") -> Arrangement:
        """Return where everything stands: one layout for each structure of the trees."""
        del backend  # a binary tree knows its places: left is left
        return arrange_trees(scenes)

    def invariants(self, counters: Counters) -> dict[str, bool]:
        """Return whether both sets of each address space have the same slots."""
        del counters
        return {"both sets equal": all(a.members == b.members for a, b in self.model.sets.values())}

    def _draw(self) -> None:
        model, old = self.model, self.scene
        cards: dict[str, Card] = {}
        edges: dict[str, Edge] = {}
        blocks = []
        for as_id, both in model.sets.items():
            pointer, active = f"p{as_id}", model.active[as_id]
            cards[pointer] = pointer_card(as_id)
            home = f"n{as_id}.{active}"
            edges[f"{pointer}>{home}"] = Edge(pointer, home, "published")
            panes = [self._draw_set(slots, cards, edges) for slots in both]
            blocks.append(Block(pointer, tuple(panes)))
        loose = model.loose()
        for serial in loose:
            cards[f"s{serial}"] = loose_card(model.slots[serial], model.notes[serial])
        cards = {name: _same(old.cards.get(name), card) for name, card in cards.items()}
        structure = Structure(tuple(blocks), tuple(f"s{serial}" for serial in loose))
        self.scene = Scene(cards, edges, tuple(_marks(old, cards, edges)), structure)

    def _draw_set(self, slots: SlotSet, cards: dict[str, Card], edges: dict[str, Edge]) -> Pane:
        """Draw a set with its trees; return what its layout depends on."""
        model = self.model
        active = model.active[slots.as_id] == slots.node_idx
        home = f"n{slots.as_id}.{slots.node_idx}"
        names = {serial: f"slot {slot.id} #{serial}" for serial, slot in model.slots.items()}
        cards[home] = set_card(slots, names, active=active)
        if not model.has_shapes:
            return Pane(home, (self._draw_row(slots, cards, active=active),))
        trees = []
        for tree in (GFN_TREE, HVA_TREE):
            nodes = []
            for serial, color, parent in _nodes(slots.trees.get(tree), None):
                slot = model.slots[serial]
                name = tree_node(tree, slots, serial)
                above = "" if parent is None else tree_node(tree, slots, parent)
                cards[name] = slot_card(slot, tree, color, model.notes[serial], active=active)
                edge = f"{above}>{name}" if above else f"{home}:{tree}>{name}"
                edges[edge] = Edge(above or home, name, "child", "" if above else tree)
                key = slot.base_gfn if tree == GFN_TREE else slot.userspace_addr
                nodes.append(Node(name, key, above))
            trees.append(Tree(tree, tuple(nodes)))
        return Pane(home, tuple(trees))

    def _draw_row(self, slots: SlotSet, cards: dict[str, Card], *, active: bool) -> Tree:
        """Draw the slots of a set side by side: the events do not tell the shapes of trees."""
        model = self.model
        members = [model.slots[serial] for serial in slots.members.values()]
        nodes = []
        for slot in sorted(members, key=lambda slot: slot.base_gfn):
            name = tree_node(GFN_TREE, slots, slot.serial)
            notes = model.notes[slot.serial]
            cards[name] = slot_card(slot, GFN_TREE, None, notes, active=active)
            nodes.append(Node(name, slot.base_gfn, ""))
        return Tree(GFN_TREE, tuple(nodes), flat=True)


def tree_node(tree: str, slots: SlotSet, serial: int) -> str:
    """Return the name of the card of a slot in a tree of a set."""
    return f"{tree[0]}{slots.as_id}.{slots.node_idx}.{serial}"


def _nodes(shape: Shape, parent: int | None) -> Iterator[tuple[int, int | None, int | None]]:
    if shape is not None:
        serial, color, left, right = shape
        yield from _nodes(left, serial)
        yield serial, color, parent
        yield from _nodes(right, serial)


def _same(old: Card | None, new: Card) -> Card:
    return old if old is not None and old == new else new


def _marks(old: Scene, cards: dict[str, Card], edges: dict[str, Edge]) -> Iterator[str]:
    """Yield what is new, and which cells changed."""
    for name, card in cards.items():
        before = old.cards.get(name)
        if before is None:
            yield name
        elif before is not card:
            if name.startswith("n") and before.kind != card.kind:
                yield name
            pairs = zip(before.cells, card.cells, strict=False)
            yield from (f"{name}#{n}" for n, (a, b) in enumerate(pairs) if a != b)
    yield from (name for name in edges if name not in old.edges)
