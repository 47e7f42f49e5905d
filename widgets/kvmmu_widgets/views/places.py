"""Where tables stand: the same place for tables that come one after the other.

A table that is freed and made again below the same entry is drawn at the same place; two that
are there at the same time are not.  So a run that throws its tables away ten times needs the
room of one or two trees.  Ours.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from kvmmu_widgets.views.page_tables import Table


class Place(NamedTuple):
    """A place in the picture.

    :ivar name: what the painter calls it
    :ivar level: level of the tables that stand here
    :ivar parent: name of the place above, empty for roots and for what is never linked
    :ivar column: the entry of the table above that leads here
    :ivar gfn: first frame that the first table here translates
    """

    name: str
    level: int
    parent: str
    column: int
    gfn: int


def assign_places(lives: Sequence[Table]) -> list[Place]:
    """Return a place for each life, in the order of *lives*."""
    places: dict[int, Place] = {}
    taken: dict[tuple[Hashable, ...], list[tuple[int, Place]]] = {}
    for table in sorted(lives, key=lambda life: (-life.level, life.born, life.life)):
        parent = places[table.link.parent] if table.link else None
        column = table.link.column if table.link else -1
        key = (parent.name if parent else "", column, table.level, table.gfn, table.as_id)
        copies = taken.setdefault(key, [])
        for n, (free_from, place) in enumerate(copies):
            if free_from < table.born:
                copies[n] = (_end(table), place)
                places[table.life] = place
                break
        else:
            name = f"t{table.life}"
            place = Place(name, table.level, parent.name if parent else "", column, table.gfn)
            copies.append((_end(table), place))
            places[table.life] = place
    return [places[table.life] for table in lives]


def _end(table: Table) -> int:
    """Return the number of the last event that shows *table*."""
    return 1 << 62 if table.died is None else table.died
