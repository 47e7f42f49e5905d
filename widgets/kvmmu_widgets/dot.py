"""From cards and edges to DOT, the language of Graphviz.

Cards keep the size that ``measure.py`` gave them: a node is an invisible table of fixed size
whose lower row has a port for each cell from which edges leave.  One point of Graphviz is one
pixel of ours.  Ours.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import graphviz

from kvmmu_widgets.measure import CARD_PAD, GAP, Reserved

#: leaves of one parent that stand side by side before a further row is begun
LEAVES_IN_ROW: Final = 4
#: rows of leaves at most
LEAF_ROWS: Final = 8


class Arrow(NamedTuple):
    """An edge as the layout sees it: *name*, from a port of *tail* (or none) to *head*."""

    name: str
    tail: str
    head: str
    port: str = ""


def to_dot(cards: Mapping[str, Reserved], arrows: Iterable[Arrow], ranks: Mapping[str, int]) -> str:
    """Return the DOT text of a picture.

    :param cards: the room of each card, by name
    :param arrows: all edges that the picture ever shows
    :param ranks: how far from the top a card without any edge is to stand, rows
    """
    graph = graphviz.Digraph(
        graph_attr={"nodesep": "0.25", "ranksep": "0.55", "ordering": "out", "margin": "0"},
        node_attr={"shape": "plain", "fontname": "Courier", "fontsize": "10"},
        edge_attr={"arrowsize": "0.7"},
    )
    drawn = list(arrows)
    rows = _rows_of_leaves(drawn)
    for name, card in cards.items():
        graph.node(name, label=_label(card))
    for arrow in drawn:
        port = f"{arrow.tail}:p{arrow.port}:s" if arrow.port else f"{arrow.tail}:s"
        extra = {"minlen": str(rows[arrow.head])} if rows.get(arrow.head, 1) > 1 else {}
        graph.edge(port, f"{arrow.head}:n", id=arrow.name, **extra)
    _hang_up_loose_cards(graph, cards, drawn, ranks)
    return str(graph.source)


def _label(card: Reserved) -> str:
    width, height = card.size()
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0" FIXEDSIZE="TRUE"'
    if not card.ports:
        return f'<{table} WIDTH="{width:g}" HEIGHT="{height:g}"><TR><TD></TD></TR></TABLE>>'
    cells = _cell(CARD_PAD)
    right = float(CARD_PAD)
    for port, (_x, _y, cell_width, _height) in card.port_boxes().items():
        cells += _cell(cell_width, f' PORT="p{port}"') + _cell(GAP)
        right += cell_width + GAP
    cells += _cell(max(width - right, 1))
    span = f'COLSPAN="{2 * len(card.ports) + 2}"'
    return (
        f'<{table} WIDTH="{width:g}" HEIGHT="{height:g}">'
        f'<TR><TD {span} HEIGHT="{height - 4:g}"></TD></TR><TR>{cells}</TR></TABLE>>'
    )


def _cell(width: float, port: str = "") -> str:
    return f'<TD FIXEDSIZE="TRUE" WIDTH="{width:g}" HEIGHT="4"{port}></TD>'


def _rows_of_leaves(arrows: list[Arrow]) -> dict[str, int]:
    """Return how many rows below its parent each leaf of a large family stands."""
    parents = {arrow.tail for arrow in arrows}
    families: defaultdict[str, list[str]] = defaultdict(list)
    for arrow in arrows:
        if arrow.head not in parents and arrow.head not in families[arrow.tail]:
            families[arrow.tail].append(arrow.head)
    rows: dict[str, int] = {}
    for leaves in families.values():
        count = min(LEAF_ROWS, -(-len(leaves) // LEAVES_IN_ROW))
        rows |= {leaf: 1 + n % count for n, leaf in enumerate(leaves)}
    return rows


def _hang_up_loose_cards(
    graph: graphviz.Digraph,
    cards: Mapping[str, Reserved],
    arrows: list[Arrow],
    ranks: Mapping[str, int],
) -> None:
    """Let a card that is never linked stand at the height of its like, not at the top."""
    tied = {name for arrow in arrows for name in (arrow.tail, arrow.head)}
    loose = [name for name in cards if name not in tied and ranks.get(name, 0) > 0]
    top = [name for name in cards if ranks.get(name, 0) == 0 and name not in loose]
    for name in loose if top else []:
        graph.edge(top[0], name, style="invis", minlen=str(ranks[name]), weight="0")
