"""How large cards and cells are: the one place that knows the width of a character.

A card reserves room for all that it ever holds, so that it keeps its size over all steps.
Cells with a port stand at the lower edge, each at its own place for good; the other cells
follow them if there is room, and stand above them in rows if not.  Ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from kvmmu_widgets.scene import Card, Cell

#: left, top, width, height, px
Box: TypeAlias = tuple[float, float, float, float]

#: the widest of the usual monospaced fonts, px for each character
CHAR: Final = 7.25
SMALL_CHAR: Final = 6.65

CARD_PAD: Final = 10
CELL_PAD: Final = 8
GAP: Final = 6
HEADER: Final = 26
HEADER_WITH_SUB: Final = 40
CELL_LOW: Final = 22
CELL_HIGH: Final = 36
BOTTOM: Final = 9
#: cells without a port go on in a new row after this, px
ROW_WIDTH: Final = 330
MIN_WIDTH: Final = 96


def cell_size(cell: Cell) -> tuple[float, float]:
    """Return width and height that a cell needs, px."""
    widest = max(len(cell.text) * CHAR, len(cell.sub) * SMALL_CHAR)
    return round(widest) + 2 * CELL_PAD, CELL_HIGH if cell.sub else CELL_LOW


def _flow(cells: Iterable[Cell], left: float, limit: float) -> tuple[list[Box], float, float]:
    """Put cells in rows from *left* to *limit*; return boxes, right end and lower end."""
    boxes: list[Box] = []
    x, y, row, right = left, 0.0, 0.0, left
    for cell in cells:
        width, height = cell_size(cell)
        if x > left and x + width > limit:
            x, y, row = left, y + row + GAP, 0.0
        boxes.append((x, y, width, height))
        x, row = x + width + GAP, max(row, height)
        right = max(right, x - GAP)
    return boxes, right, y + row


def _header_width(card: Card) -> float:
    title = len(card.title) * CHAR + (len(card.badge) * CHAR + 16 if card.badge else 0)
    return max(title, len(card.sub) * SMALL_CHAR) + 2 * CARD_PAD


@dataclass(slots=True)
class Reserved:
    """The room that one card needs over all steps; it grows with what it is shown.

    :ivar ports: width of each port's cell, px
    :ivar least: height that its place has at least, px
    :ivar anchored: whether edges leave from its lower edge, so that it keeps all its height
    """

    width: float = MIN_WIDTH
    header: float = HEADER
    above: float = 0
    row: float = 0
    least: float = 0
    anchored: bool = False
    ports: dict[str, float] = field(default_factory=dict)

    def add_ports(self, card: Card) -> None:
        """Make room for the cells of *card* that have ports; all cards come here first."""
        for cell in card.cells:
            if cell.port:
                width, height = cell_size(cell)
                self.ports[cell.port] = max(self.ports.get(cell.port, 0), width)
                self.row = max(self.row, height)

    def add(self, card: Card) -> None:
        """Make room for *card*."""
        rest = [cell for cell in card.cells if not cell.port]
        if card.sub:
            self.header = HEADER_WITH_SUB
        self.width = max(self.width, round(_header_width(card)), self._ports_right() + CARD_PAD)
        if not rest:
            return
        beside, right, height = self._beside(card)
        if beside:
            self.row = max(self.row, height)
        else:
            _, right, height = _flow(rest, CARD_PAD, self._limit())
            self.above = max(self.above, height)
        self.width = max(self.width, right + CARD_PAD)

    def size(self) -> tuple[float, float]:
        """Return width and height of the card, px."""
        rows = [part for part in (self.above, self.row) if part]
        inside = sum(rows) + GAP * (len(rows) - 1) + BOTTOM if rows else 4
        return self.width, max(self.header + inside, self.least)

    def height_of(self, card: Card) -> float:
        """Return how high *card* is drawn, px: no higher than it needs to be."""
        if self.anchored:
            return self.size()[1]
        boxes = self.boxes(card)
        bottom = max((y + height + BOTTOM for _, y, _, height in boxes), default=self.header + 4)
        return min(bottom, self.size()[1])

    def port_boxes(self) -> dict[str, Box]:
        """Return where the cells with ports stand, relative to the card."""
        x, top = float(CARD_PAD), self._row_top()
        boxes = {}
        for port, width in sorted(self.ports.items(), key=_port_order):
            boxes[port] = (x, top, width, self.row)
            x += width + GAP
        return boxes

    def boxes(self, card: Card) -> list[Box]:
        """Return where each cell of *card* stands, relative to the card."""
        ports = self.port_boxes()
        rest = [cell for cell in card.cells if not cell.port]
        beside, _, _ = self._beside(card)
        if beside:
            places, _, _ = _flow(rest, self._left(card), float("inf"))
            top = self._row_top()
            places = [_moved(box, top + (self.row - box[3]) / 2) for box in places]
        else:
            places, _, _ = _flow(rest, CARD_PAD, self._limit())
            places = [_moved(box, self.header) for box in places]
        following = iter(places)
        return [ports[cell.port] if cell.port else next(following) for cell in card.cells]

    def _row_top(self) -> float:
        return self.header + (self.above + GAP if self.above else 0)

    def _limit(self) -> float:
        return max(ROW_WIDTH, self._ports_right())

    def _ports_right(self) -> float:
        """Return the right end of the cells with ports, px."""
        return CARD_PAD + sum(self.ports.values()) + GAP * max(0, len(self.ports) - 1)

    def _left(self, card: Card) -> float:
        """Return where the cells without a port may begin beside those with one, px."""
        boxes = self.port_boxes()
        ends = [boxes[cell.port][0] + boxes[cell.port][2] for cell in card.cells if cell.port]
        return max(ends) + GAP if ends else CARD_PAD

    def _beside(self, card: Card) -> tuple[bool, float, float]:
        """Return whether the cells without a port fit beside those with one.

        Also their right end and their height.
        """
        if not self.ports:
            return False, 0, 0
        rest = [cell for cell in card.cells if not cell.port]
        _, right, height = _flow(rest, self._left(card), float("inf"))
        return right <= max(ROW_WIDTH, self._ports_right() + 120), right, height


def reserve(cards: Iterable[Card]) -> Reserved:
    """Return the room for all of *cards*, which follow one another at one place."""
    every = list(cards)
    reserved = Reserved()
    for card in every:
        reserved.add_ports(card)
    for card in every:
        reserved.add(card)
    return reserved


def _moved(box: Box, down: float) -> Box:
    x, y, width, height = box
    return x, y + down, width, height


def _port_order(item: tuple[str, float]) -> tuple[int, str]:
    name = item[0]
    return (int(name) if name.isdecimal() else -1, name)
