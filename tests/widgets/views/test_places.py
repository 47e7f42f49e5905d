"""Tables that come one after the other share a place; tables at one time never do."""

from itertools import combinations

import numpy as np

from kvmmu_widgets.views.page_tables import Link, Table, TablesModel, fold
from kvmmu_widgets.views.places import assign_places

NOTHING = np.zeros(512, np.uint64)


def table(life, born, died, level=4, link=None, gfn=0):
    return Table(life, life, level, gfn, 0, NOTHING, born, link=link, died=died)


def names(lives):
    return [place.name for place in assign_places(lives)]


def test_one_after_the_other():
    assert names([table(0, 0, 5), table(1, 6, None)]) == ["t0", "t0"]


def test_at_the_same_time():
    assert names([table(0, 0, 7), table(1, 6, None)]) == ["t0", "t1"]


def test_the_step_that_frees_still_shows_the_table():
    assert names([table(0, 0, 6), table(1, 6, None)]) == ["t0", "t1"]


def test_children_follow_the_place_of_their_parent():
    lives = [
        table(0, 0, 5),
        table(1, 1, 4, level=3, link=Link(0, 2)),
        table(2, 6, None),
        table(3, 7, None, level=3, link=Link(2, 2)),
    ]
    assert names(lives) == ["t0", "t1", "t0", "t1"]


def test_another_column_is_another_place():
    lives = [
        table(0, 0, None),
        table(1, 1, 4, level=3, link=Link(0, 2)),
        table(2, 6, None, level=3, link=Link(0, 3)),
    ]
    assert names(lives) == ["t0", "t1", "t2"]


def test_what_is_never_linked_has_a_place():
    place = assign_places([table(0, 0, None), table(1, 1, 2, level=1, gfn=0x400)])[1]
    assert (place.parent, place.level, place.gfn) == ("", 1, 0x400)


def test_no_two_tables_of_a_real_run_share_a_place_at_one_time(dirty_log_vm, fmt):
    lives = fold(dirty_log_vm.trace.events(), TablesModel(fmt)).lives
    places = assign_places(lives)
    ends = [1 << 60 if life.died is None else life.died for life in lives]
    for a, b in combinations(range(len(lives)), 2):
        if lives[a].born <= ends[b] and lives[b].born <= ends[a]:
            assert places[a].name != places[b].name
    assert len({place.name for place in places}) < len(lives)
