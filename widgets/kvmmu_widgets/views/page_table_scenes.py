"""The page tables of a run as scenes, one for each event.

The run is folded twice: first to learn which tables there will ever be and which entries will
ever lead to a table, then to draw.  So every card has its place before it is there.  Ours.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace import events as ev
from kvmmu_edu.trace.stats import Counters
from kvmmu_edu.units import PT64_ROOT_4LEVEL
from kvmmu_edu.x86.spte import spte_format
from kvmmu_widgets.arrange import Arrangement, arrange_union
from kvmmu_widgets.scene import Card, Edge, Scene
from kvmmu_widgets.views.page_tables import Table, TablesModel, fold
from kvmmu_widgets.views.places import assign_places
from kvmmu_widgets.views.table_cards import table_card

#: a table that leads to more tables than this draws its entries as runs, without ports
MAX_PORTS: Final = 6


class PageTableScenes:
    """Draws page tables.

    :param events: all events of the run
    :param choices: the modelled kernel: what the bits of an entry mean
    :param before: events that came earlier; they are part of what is drawn at the beginning

    :ivar scene: the picture after the events so far
    :ivar model: the tables after the events so far
    """

    GUARD = "mmu_lock"
    #: kinds of events that have a step of their own though they change no table
    TOLD = frozenset(
        (
            ev.GuestAccess,
            ev.PageFaultTaken,
            ev.PageFaultDone,
            ev.FastPageFault,
            ev.SpteRequested,
            ev.MmioExit,
            ev.FlushRemoteTlbs,
            ev.VcpuTlbFlush,
            ev.HostMapped,
            ev.HostProtected,
            ev.HostUnmapped,
            ev.NotifierInvalidateStart,
            ev.NotifierInvalidateEnd,
            ev.NotifierAge,
            ev.PageMarkedDirty,
            ev.SetMemslot,
            ev.SwapActiveMemslots,
            ev.ZapAllFast,
            ev.ArchFlushShadowMemslot,
        )
    )

    def __init__(self, events: Sequence[Any], choices: Choices, before: Sequence[Any] = ()) -> None:
        """Look at the whole run, then stand at its beginning."""
        fmt = spte_format(choices)
        seen = fold([*before, *events], TablesModel(fmt))
        self.places = assign_places(seen.lives)
        self.ports = _ports(seen.lives, [place.name for place in self.places])
        self.model = fold(before, TablesModel(fmt))
        self.scene = Scene()
        self._stale = {table.life for table in self.model.tables.values()}
        self.model.relinked = True
        self._draw()
        self.scene = Scene(self.scene.cards, self.scene.edges)

    def step(self, event: Any) -> Scene:
        """Take *event* in and return the picture after it."""
        self.model.apply(event)
        self._draw()
        return self.scene

    def arrange(self, scenes: Sequence[Scene], backend: str = "") -> Arrangement:
        """Return where everything stands: one layout for all of *scenes*."""
        ranks = {place.name: max(PT64_ROOT_4LEVEL - place.level, 0) for place in self.places}
        return arrange_union(scenes, ranks, backend)

    def invariants(self, counters: Counters) -> dict[str, bool]:
        """Return whether the tables map as many pages as KVM's statistics say."""
        pages = {1: "pages_4k", 2: "pages_2m", 3: "pages_1g"}
        same = all(self.model.pages(level) == counters.vm[name] for level, name in pages.items())
        return {"leaves equal pages": same}

    def name(self, life: int) -> str:
        """Return the name of the place where this life of a table is drawn."""
        return self.places[life].name

    def _draw(self) -> None:
        """Draw what the last event touched, and once more what the event before touched."""
        model = self.model
        if not self._stale and not model.touched:
            if self.scene.marks:
                self.scene = Scene(self.scene.cards, self.scene.edges)
            return
        cards = dict(self.scene.cards)
        here = {table.life: table for table in model.tables.values()}
        for life in self._stale - here.keys():
            cards.pop(self.name(life), None)
        marks: list[str] = []
        for life in sorted((self._stale | model.touched) & here.keys()):
            marks += self._draw_card(here[life], cards)
        self._stale = model.touched
        edges = self._edges() if model.relinked else self.scene.edges
        marks += [name for name in edges if name not in self.scene.edges]
        self.scene = Scene(cards, edges, tuple(marks) if model.touched else ())

    def _draw_card(self, table: Table, cards: dict[str, Card]) -> list[str]:
        """Draw one card and return what is to be marked in it."""
        name, life = self.name(table.life), table.life
        change, new = self.model.changes.get(life), life in self.model.made
        card, hits = table_card(table, self.model.fmt, self.ports[name], change, new=new)
        before = cards.get(name)
        cards[name] = card
        if new or before is None or (before.kind, before.badge) != (card.kind, card.badge):
            return [name] if life in self.model.touched else []
        return [f"{name}#{n}" for n in hits]

    def _edges(self) -> dict[str, Edge]:
        edges = {}
        for (parent, column), child in sorted(self.model.links.items()):
            tail, head = self.name(parent), self.name(child)
            port = str(column) if column in self.ports[tail] else ""
            edges[f"{tail}:{column}>{head}"] = Edge(tail, head, "linked", port)
        return edges


def _ports(lives: Sequence[Table], names: Sequence[str]) -> dict[str, frozenset[int]]:
    """Return for each place the entries that ever lead to a table, if they are few."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for table in lives:
        if table.link is not None:
            found[names[table.link.parent]].add(table.link.column)
    few = {name: found[name] for name in names if len(found[name]) <= MAX_PORTS}
    return {name: frozenset(few.get(name, ())) for name in names}
