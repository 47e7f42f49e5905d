"""The one message that the painter gets: all steps of a run as plain values.

What it holds is described in ``widgets/README.md``.  It is made for JSON, the same for the same
run, and small: a step says only what changed, equal contents are said once.  Ours.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kvmmu_edu.choices import Choices
from kvmmu_edu.errors import UsageError
from kvmmu_edu.trace.events import OperationBegin
from kvmmu_edu.trace.recorder import Record
from kvmmu_widgets import palette
from kvmmu_widgets.arrange import Arrangement
from kvmmu_widgets.layout import Layout
from kvmmu_widgets.scene import Card, Scene
from kvmmu_widgets.source import Listing, choose_site, listing
from kvmmu_widgets.steps import Scenes, Step, Story
from kvmmu_widgets.views.memslot_scenes import MemslotScenes
from kvmmu_widgets.views.page_table_scenes import PageTableScenes

VERSION: Final = 1

#: what can be drawn: made from all events of the run, the modelled kernel, earlier events
VIEWS: Final[dict[str, Callable[[list[Any], Choices, list[Any]], Scenes]]] = {
    "tables": PageTableScenes,
    "slots": MemslotScenes,
}


def build_message(
    records: Sequence[Record],
    *,
    view: str = "tables",
    title: str = "",
    choices: Choices | None = None,
    before: Sequence[Record] = (),
    checks: Mapping[int, Mapping[str, bool]] | None = None,
    backend: str = "",
) -> dict[str, Any]:
    """Return the message for *records*.

    :param records: what a trace recorded, or a part of it
    :param view: what is drawn, a key of ``VIEWS``: ``"tables"`` or ``"slots"``
    :param choices: the modelled kernel; by default Linux 6.12 on AMD
    :param before: records of the same VM that came earlier, and are not shown
    :param checks: invariants by name, by the id of the record after which they were evaluated
    :param backend: how to reach Graphviz; by default whatever is there
    :raises UsageError: no such view, too many steps, or no Graphviz
    """
    if view not in VIEWS:
        raise UsageError(f"view is {view!r}; expected one of {', '.join(map(repr, VIEWS))}")
    choices = choices or Choices()
    events = [record.event for record in records]
    scenes = VIEWS[view](events, choices, [record.event for record in before])
    story = Story(scenes, records, choices, before, checks)
    arrangement = scenes.arrange([step.scene for step in story.steps], backend)
    return _Writer(story, arrangement).message(title)


class _Writer:
    """Writes steps down, each as its difference from the one before."""

    def __init__(self, story: Story, arrangement: Arrangement) -> None:
        self.story = story
        self.arrangement = arrangement
        self.contents: list[dict[str, Any]] = []
        self.sources: list[Listing] = []
        self.counters: list[str] = []
        self.kinds: set[str] = set()
        self._content_numbers: dict[tuple[Any, ...], int] = {}
        self._places: dict[tuple[str, Card], int] = {}

    def message(self, title: str) -> dict[str, Any]:
        steps = []
        before = Scene()
        shown: dict[str, int] = {}
        for n, step in enumerate(self.story.steps):
            steps.append(self._step(n, step, before, shown))
            before = step.scene
        return {
            "v": VERSION,
            "title": title,
            "layouts": [_layout(layout) for layout in self.arrangement.layouts],
            "contents": self.contents,
            "ops": [
                {"n": op.n, "text": op.text, "first": op.first, "last": op.last}
                for op in self.story.operations
            ],
            "sources": [source.as_dict() for source in self.sources],
            "counters": self.counters,
            "legend": palette.legend(self.kinds),
            "hatches": {name: palette.HATCHES[name] for name in self._hatches()},
            "steps": steps,
        }

    def _hatches(self) -> list[str]:
        used = {palette.BY_NAME[kind].hatch for kind in self.kinds}
        return [name for name in palette.HATCHES if name in used]

    def _step(self, n: int, step: Step, before: Scene, shown: dict[str, int]) -> dict[str, Any]:
        record, scene = step.record, step.scene
        said: dict[str, Any] = {"layout": self.arrangement.which[n]}
        said["nodes"] = self._node_changes(scene, before, shown)
        said["edges"] = self._edge_changes(scene, before)
        said["marks"] = list(scene.marks)
        if scene.marks:
            self.kinds.add("changed")
        said["text"], said["short"] = step.line
        said["event"] = type(record.event).__name__ if record else ""
        said["ftrace"] = "\n".join(step.ftrace)
        # what the program does outside of any task is done by no task
        said["task"] = record.task if record and record.task != "swapper" else ""
        said["locks"] = step.locks
        said["counters"] = {
            str(self._counter(name)): list(ends) for name, ends in step.counters.items()
        }
        said["checks"] = step.checks
        said = {
            key: value for key, value in said.items() if value or key in ("layout", "text", "nodes")
        }
        said["op"] = step.op
        return said | self._source(record)

    def _node_changes(
        self, scene: Scene, before: Scene, shown: dict[str, int]
    ) -> dict[str, int | None]:
        changes: dict[str, int | None] = {}
        if scene.cards is before.cards:
            return changes
        for name in before.cards:
            if name not in scene.cards:
                changes[name] = None
                del shown[name]
        for name, card in scene.cards.items():
            if before.cards.get(name) is card:
                continue
            number = self._content(name, card)
            if shown.get(name) != number:
                changes[name] = shown[name] = number
        return changes

    def _edge_changes(self, scene: Scene, before: Scene) -> dict[str, str | None]:
        changes: dict[str, str | None] = {}
        if scene.edges is before.edges:
            return changes
        for name in before.edges:
            if name not in scene.edges:
                changes[name] = None
        for name, edge in scene.edges.items():
            old = before.edges.get(name)
            if old is None or old.kind != edge.kind:
                changes[name] = edge.kind
                self.kinds.update(edge.kind.split())
        return changes

    def _content(self, name: str, card: Card) -> int:
        """Return the number of a card's content, which depends on the room of its place."""
        place = (name, card)
        number = self._places.get(place)
        if number is None:
            room = self.arrangement.rooms[name]
            boxes = room.boxes(card)
            height = room.height_of(card)
            low = height if height < room.size()[1] else 0
            key = (card, tuple(boxes), low)
            number = self._content_numbers.setdefault(key, len(self.contents))
            if number == len(self.contents):
                self.contents.append(_content(card, boxes, low))
                self.kinds.update(card.kind.split())
                for cell in card.cells:
                    self.kinds.update(cell.kind.split())
            self._places[place] = number
        return number

    def _counter(self, name: str) -> int:
        if name not in self.counters:
            self.counters.append(name)
        return self.counters.index(name)

    def _source(self, record: Record | None) -> dict[str, int]:
        if record is None or isinstance(record.event, OperationBegin):
            return {}
        site = choose_site(record.sites)
        found = listing(site.code) if site else None
        if site is None or found is None or not found.has(site.line):
            return {}
        if found not in self.sources:
            self.sources.append(found)
        return {"source": self.sources.index(found), "line": site.line}


def _content(card: Card, boxes: Sequence[tuple[float, ...]], low: float) -> dict[str, Any]:
    """Write a card down; *low* is its height if it is lower than its place, else 0."""
    said: dict[str, Any] = {"cls": card.kind, "title": card.title}
    said |= {key: text for key, text in (("sub", card.sub), ("badge", card.badge)) if text}
    if low:
        said["h"] = _number(low)
    cells = []
    for cell, box in zip(card.cells, boxes, strict=True):
        entry: dict[str, Any] = {"t": cell.text, "cls": cell.kind, "box": [_number(n) for n in box]}
        if cell.sub:
            entry["s"] = cell.sub
        if cell.more:
            entry["more"] = list(cell.more)
        cells.append(entry)
    if cells:
        said["cells"] = cells
    return said


def _number(value: float) -> float:
    return int(value) if value == int(value) else round(value, 1)


def _layout(layout: Layout) -> dict[str, Any]:
    return {
        "w": _number(layout.width),
        "h": _number(layout.height),
        "nodes": {name: [_number(n) for n in box] for name, box in layout.nodes.items()},
        "edges": {
            name: {"d": spline.d, "tip": [_number(n) for n in spline.tip]}
            for name, spline in layout.edges.items()
        },
        "groups": {
            name: {"box": [_number(n) for n in box], "label": label}
            for name, (box, label) in layout.groups.items()
        },
    }
