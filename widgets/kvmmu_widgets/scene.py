"""A picture as data: cards with cells, edges between them, frames around them.

A scene says what there is and what it means, never where it stands or which colour it has:
``measure.py`` gives sizes, ``layout.py`` places, ``palette.py`` looks.  Scenes are values, so
tests compare them, and two scenes of neighbouring steps share what did not change.  Ours.
"""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Cell:
    """A box inside a card.

    :ivar text: the line that counts
    :ivar sub: a smaller line below it
    :ivar kind: kinds of the palette, separated by blanks
    :ivar more: lines that a click opens
    :ivar port: names the place at the lower edge of the card from which edges leave; cells
        with a port keep their place over all steps
    """

    text: str
    sub: str = ""
    kind: str = "field"
    more: tuple[str, ...] = ()
    port: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A node of the picture.

    :ivar title: what it is
    :ivar sub: a smaller line below it
    :ivar badge: one word at the upper right
    :ivar kind: kinds of the palette, separated by blanks
    :ivar cells: what is in it, in reading order
    """

    title: str
    sub: str = ""
    badge: str = ""
    kind: str = "table"
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow from a card, or from a port of it, to a card."""

    tail: str
    head: str
    kind: str = "linked"
    port: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture.

    :ivar cards: by the name of their place
    :ivar edges: by name
    :ivar marks: what changed in this step: names of cards and edges, and ``card#n`` for the
        cell number *n*
    :ivar structure: equal for scenes that may share a layout; only trees that rotate use it
    """

    cards: dict[str, Card] = field(default_factory=dict)
    edges: dict[str, Edge] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    structure: object = None


EMPTY: Final = Scene()
