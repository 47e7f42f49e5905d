"""Where the cards of a run stand: one layout for all steps, or one for each structure.

:func:`arrange_union` lays out everything that is ever there, once: a card that appears late
has its place from the beginning, and nothing moves.  Ours.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kvmmu_widgets.dot import Arrow, to_dot
from kvmmu_widgets.layout import Layout, lay_out
from kvmmu_widgets.measure import Reserved, reserve
from kvmmu_widgets.scene import Card, Scene


class Arrangement(NamedTuple):
    """Layouts, and which of them each scene uses.

    :ivar layouts: what the painter gets
    :ivar which: for each scene the number of its layout
    :ivar rooms: for each card the room that it has
    """

    layouts: list[Layout]
    which: list[int]
    rooms: dict[str, Reserved]


def reserve_rooms(scenes: Sequence[Scene]) -> dict[str, Reserved]:
    """Return the room of each card that *scenes* ever show."""
    cards: dict[str, dict[Card, None]] = {}
    last: dict[str, Card] = {}
    for scene in scenes:
        for name, card in scene.cards.items():
            if last.get(name) is not card:
                last[name] = card
                cards.setdefault(name, {})[card] = None
    rooms = {name: reserve(every) for name, every in cards.items()}
    for tail in {edge.tail for scene in scenes for edge in scene.edges.values()}:
        rooms[tail].anchored = True
    return rooms


def arrange_union(
    scenes: Sequence[Scene], ranks: Mapping[str, int], backend: str = ""
) -> Arrangement:
    """Lay out all cards and edges of *scenes* at once.

    :param ranks: how far from the top a card that is never linked stands, rows
    """
    rooms = reserve_rooms(scenes)
    arrows = {
        name: Arrow(name, edge.tail, edge.head, edge.port)
        for scene in scenes
        for name, edge in scene.edges.items()
    }
    if not rooms:
        return Arrangement([Layout(160, 80, {}, {}, {})], [0] * len(scenes), rooms)
    _align_tops(rooms, ranks)
    ordered = sorted(rooms, key=lambda name: (ranks.get(name, 0), _natural(name)))
    dot = to_dot(
        {name: rooms[name] for name in ordered},
        sorted(arrows.values(), key=_edge_order),
        ranks,
    )
    return Arrangement([lay_out(dot, backend)], [0] * len(scenes), rooms)


def _align_tops(rooms: Mapping[str, Reserved], ranks: Mapping[str, int]) -> None:
    """Give cards of one rank places of one height: Graphviz aligns their middles.

    A card that no edge leaves is drawn no higher than before, at the top of its place.
    """
    heights: dict[int, float] = {}
    for name, room in rooms.items():
        rank = ranks.get(name, 0)
        heights[rank] = max(heights.get(rank, 0), room.size()[1])
    for name, room in rooms.items():
        if not room.anchored:
            room.least = heights[ranks.get(name, 0)]


def _natural(name: str) -> tuple[int, str]:
    digits = "".join(letter for letter in name if letter.isdecimal())
    return int(digits or 0), name


def _edge_order(arrow: Arrow) -> tuple[tuple[int, str], int, str]:
    column = arrow.name.partition(":")[2].partition(">")[0]
    return _natural(arrow.tail), int(column) if column.isdecimal() else 0, arrow.name
