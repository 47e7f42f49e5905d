"""Where slots stand in their trees: columns by key, rows by depth.

A node's column is that of its key among all keys that the run ever has, so a rotation moves
nodes up and down but never sideways: the order that rotations keep is what one sees.  In a
binary search tree, neighbours in order are never on the same row, so columns may be half a
card wide.  No Graphviz: it does not know left from right.  Ours.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kvmmu_widgets.arrange import Arrangement, reserve_rooms
from kvmmu_widgets.layout import Box, Layout, Spline
from kvmmu_widgets.measure import Reserved
from kvmmu_widgets.scene import Scene

_MARGIN: Final = 10
_GAP: Final = 14
_ROW_GAP: Final = 30
_FRAME: Final = 14
#: wider than this, the two trees of a set stand one below the other, px
_SIDE_BY_SIDE: Final = 300


class Node(NamedTuple):
    """A slot in a tree: its card, the key that orders it, and the card above it if any."""

    card: str
    key: int
    parent: str


class Tree(NamedTuple):
    """A tree: its nodes in order; *flat* if nothing is known but the order."""

    name: str
    nodes: tuple[Node, ...]
    flat: bool = False


class Pane(NamedTuple):
    """A set of slots: the card that stands for it, and its trees."""

    card: str
    trees: tuple[Tree, ...]


class Block(NamedTuple):
    """An address space: its pointer, and its sets."""

    pointer: str
    panes: tuple[Pane, ...]


class Structure(NamedTuple):
    """All that a layout depends on."""

    blocks: tuple[Block, ...]
    loose: tuple[str, ...]


class _Extent(NamedTuple):
    """The columns and the rows that a tree needs over all steps."""

    columns: dict[tuple[int, int], int]
    rows: int
    flat: bool


def arrange_trees(scenes: Sequence[Scene]) -> Arrangement:
    """Lay out each structure that *scenes* have, once."""
    rooms = reserve_rooms(scenes)
    structures: dict[Structure, int] = {}
    which = []
    for scene in scenes:
        assert isinstance(scene.structure, Structure)
        which.append(structures.setdefault(scene.structure, len(structures)))
    builder = _Builder(structures, rooms)
    return Arrangement([builder.build(structure) for structure in structures], which, rooms)


def _places(tree: Tree) -> Iterable[tuple[Node, tuple[int, int]]]:
    """Yield each node with its key and how many nodes before it have the same."""
    seen: Counter[int] = Counter()
    for node in tree.nodes:
        yield node, (node.key, seen[node.key])
        seen[node.key] += 1


def _depths(tree: Tree) -> dict[str, int]:
    parents = {node.card: node.parent for node in tree.nodes}
    depths: dict[str, int] = {}
    for card in parents:
        chain = [card]
        while parents[chain[-1]] and chain[-1] not in depths:
            chain.append(parents[chain[-1]])
        start = depths.setdefault(chain[-1], 0)
        depths |= {name: start + n for n, name in enumerate(reversed(chain))}
    return depths


class _Builder:
    """Builds the layouts of one run; what they share is measured first."""

    def __init__(self, structures: Iterable[Structure], rooms: Mapping[str, Reserved]) -> None:
        self.rooms = rooms
        self.extents: dict[str, _Extent] = {}
        keys: dict[str, set[tuple[int, int]]] = {}
        rows: Counter[str] = Counter()
        self.loose = 0
        for structure in structures:
            self.loose = max(self.loose, len(structure.loose))
            for tree in _trees(structure):
                keys.setdefault(tree.name, set()).update(place for _, place in _places(tree))
                deepest = max(_depths(tree).values(), default=0)
                rows[tree.name] = max(rows[tree.name], deepest + 1)
                self.extents[tree.name] = _Extent({}, 1, tree.flat)
        for name, extent in self.extents.items():
            columns = {key: n for n, key in enumerate(sorted(keys[name]))}
            self.extents[name] = _Extent(columns, rows[name], extent.flat)
        sizes = [room.size() for name, room in rooms.items() if name[0] in "ghs"]
        self.card = (max((w for w, _ in sizes), default=96), max((h for _, h in sizes), default=60))

    def build(self, structure: Structure) -> Layout:
        """Return where everything of *structure* stands."""
        layout = Layout(0, 0, {}, {}, {})
        top, right = float(_MARGIN), 0.0
        for block in structure.blocks:
            top, end = self._build_block(block, layout, top)
            right = max(right, end)
        right = max(right, self._build_loose(structure, layout))
        return layout._replace(width=right + _MARGIN, height=top + _MARGIN)

    def _build_block(self, block: Block, layout: Layout, top: float) -> tuple[float, float]:
        """Put a pointer and its sets; return the lower and the right end."""
        width, height = self.rooms[block.pointer].size()
        left, bottom = float(_MARGIN), top + height
        frames = top + height + 40
        for pane in block.panes:
            left, low = self._build_pane(pane, layout, left, frames)
            left += 2 * _GAP
            bottom = max(bottom, low)
        right = left - 2 * _GAP
        x = _MARGIN + max(right - _MARGIN - width, 0) / 2
        layout.nodes[block.pointer] = (x, top, width, height)
        for pane in block.panes:
            name = f"{block.pointer}>{pane.card}"
            layout.edges[name] = _between(layout.nodes[block.pointer], layout.nodes[pane.card])
        return bottom + 2 * _GAP, max(right, x + width)

    def _build_pane(
        self, pane: Pane, layout: Layout, left: float, top: float
    ) -> tuple[float, float]:
        """Put a set and its trees into a frame; return its right and its lower end."""
        width, height = self.rooms[pane.card].size()
        sizes = [self._tree_size(tree.name) for tree in pane.trees]
        together = sum(w for w, _ in sizes) + 2 * _GAP * (len(sizes) - 1)
        beside = together <= _SIDE_BY_SIDE
        inside = max(width, together if beside else max(w for w, _ in sizes) + _GAP)
        x = left + _FRAME + (inside - width) / 2
        layout.nodes[pane.card] = (x, top + _FRAME, width, height)
        y = top + _FRAME + height + _ROW_GAP
        at_x, at_y, low = left + _FRAME, y, y
        for n, (tree, (w, h)) in enumerate(zip(pane.trees, sizes, strict=True)):
            self._build_tree(tree, layout, (at_x, at_y))
            around = left + inside + 1.5 * _FRAME if n and not beside else 0
            self._hang_up(tree, pane, layout, around)
            low = max(low, at_y + h)
            at_x, at_y = (at_x + w + 2 * _GAP, at_y) if beside else (at_x, at_y + h + _ROW_GAP)
        frame = (left, top, inside + 2 * _FRAME, low + _FRAME - top)
        layout.groups[f"frame {pane.card}"] = (frame, "")
        return left + inside + 2 * _FRAME, low + _FRAME

    def _pitch(self, name: str) -> float:
        pitch = self.card[0] + _GAP
        return pitch if self.extents[name].flat else pitch / 2

    def _tree_size(self, name: str) -> tuple[float, float]:
        extent = self.extents[name]
        columns = max(len(extent.columns) - 1, 0)
        height = extent.rows * (self.card[1] + _ROW_GAP) - _ROW_GAP
        return columns * self._pitch(name) + self.card[0], height

    def _build_tree(self, tree: Tree, layout: Layout, corner: tuple[float, float]) -> None:
        depths, pitch = _depths(tree), self._pitch(tree.name)
        columns = self.extents[tree.name].columns
        for node, place in _places(tree):
            x = corner[0] + columns[place] * pitch
            y = corner[1] + depths[node.card] * (self.card[1] + _ROW_GAP)
            layout.nodes[node.card] = (x, y, *self.card)
        for node in tree.nodes:
            if node.parent:
                ends = layout.nodes[node.parent], layout.nodes[node.card]
                layout.edges[f"{node.parent}>{node.card}"] = _between(*ends)

    def _hang_up(self, tree: Tree, pane: Pane, layout: Layout, around: float) -> None:
        """Draw the edge from the set to the root of *tree*, if need be past *around*, px."""
        for node in tree.nodes:
            if node.parent or tree.flat:
                continue
            x, _, width, _ = self.rooms[pane.card].port_boxes()[tree.name]
            home, root = layout.nodes[pane.card], layout.nodes[node.card]
            tail = (home[0] + x, home[1], width, home[3])
            spline = _past(tail, root, around) if around else _between(tail, root)
            layout.edges[f"{pane.card}:{tree.name}>{node.card}"] = spline

    def _build_loose(self, structure: Structure, layout: Layout) -> float:
        """Put slots that no set links beside the pointer; return the right end of the row."""
        x, top, width, _ = layout.nodes[structure.blocks[0].pointer]
        left = x + width + 4 * _GAP
        step = self.card[0] + _GAP
        for n, card in enumerate(structure.loose):
            layout.nodes[card] = (left + n * step, top, *self.rooms[card].size())
        return left + self.loose * step if self.loose else 0


def _trees(structure: Structure) -> Iterable[Tree]:
    for block in structure.blocks:
        for pane in block.panes:
            yield from pane.trees


def _between(tail: Box, head: Box) -> Spline:
    """Return a curve from the lower edge of *tail* to the upper edge of *head*."""
    x1, y1 = round(tail[0] + tail[2] / 2, 1), round(tail[1] + tail[3], 1)
    x2, y2 = round(head[0] + head[2] / 2, 1), round(head[1], 1)
    bend = (y2 - y1) / 2
    d = f"M{x1:g},{y1:g}C{x1:g},{y1 + bend:g} {x2:g},{y2 - bend:g} {x2:g},{y2 - 8:g}"
    return Spline(d, (x2, y2 - 8, x2, y2))


def _past(tail: Box, head: Box, x: float) -> Spline:
    """Return a way from *tail* to *head* that goes down at *x*, to the right of all between."""
    x1, y1 = round(tail[0] + tail[2] / 2, 1), round(tail[1] + tail[3], 1)
    x2, y2 = round(head[0] + head[2] / 2, 1), round(head[1], 1)
    out, back, bow = y1 + 10, y2 - _ROW_GAP + 10, 8
    d = (
        f"M{x1:g},{y1:g}Q{x1:g},{out:g} {x1 + bow:g},{out:g}L{x - bow:g},{out:g}"
        f"Q{x:g},{out:g} {x:g},{out + bow:g}L{x:g},{back - bow:g}"
        f"Q{x:g},{back:g} {x - bow:g},{back:g}L{x2 + bow:g},{back:g}"
        f"Q{x2:g},{back:g} {x2:g},{back + bow:g}L{x2:g},{y2 - 8:g}"
    )
    return Spline(d, (x2, y2 - 8, x2, y2))
