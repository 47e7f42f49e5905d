"""The model of page tables against the engine, and by hand."""

import numpy as np
import pytest

from kvmmu_edu import Vm
from kvmmu_edu.trace.events import (
    Cause,
    GetMmuPage,
    LockAcquired,
    MmuPageFreed,
    NxHugePageTracked,
    PrepareZapPage,
    RcuCallbackQueued,
    RootInvalidated,
    SpteChanged,
)
from kvmmu_widgets.views.page_tables import (
    BUILT,
    FREED,
    GOING,
    LINKED,
    WAITING,
    Link,
    TablesModel,
    columns_of,
    fold,
    grid,
    rows_of,
)

LEAF = 0x200400E67
EMPTY = 1 << 63


def link_to(row):
    return ((0x100000 + row) << 12) | 0x827


@pytest.fixture
def model(fmt):
    model = TablesModel(fmt)
    model.apply(GetMmuPage(0, 0, 0, 4, 0, created=True))
    model.apply(GetMmuPage(1, 0, 0, 3, 0, created=True))
    return model


def test_a_new_table_is_built_then_linked(model):
    assert model.tables[1].state == BUILT
    model.apply(SpteChanged(0, 4, 0, 0, 0, EMPTY, link_to(1), Cause.LINK, 0))
    assert model.tables[1].state == LINKED
    assert model.tables[1].link == Link(0, 0)
    assert model.links == {Link(0, 0): 1}
    assert model.relinked


def test_a_root_needs_no_link(model):
    assert model.tables[0].is_root
    assert model.tables[0].state == LINKED


def test_the_way_out(model):
    model.apply(SpteChanged(0, 4, 0, 0, 0, EMPTY, link_to(1), Cause.LINK, 0))
    model.apply(SpteChanged(0, 4, 0, 0, 0, link_to(1), EMPTY, Cause.ZAP, 0))
    assert not model.links
    states = []
    for event in (PrepareZapPage(1, 0, 0, 3, 0), RcuCallbackQueued(1), MmuPageFreed(1)):
        model.apply(event)
        states.append(model.tables[1].state)
    assert states == [GOING, WAITING, FREED]
    model.apply(LockAcquired("mmu_lock", "read"))
    assert 1 not in model.tables
    assert model.lives[1].died == 6


def test_a_row_has_several_lives(model):
    model.apply(MmuPageFreed(1))
    model.apply(GetMmuPage(1, 0, 512, 2, 0, created=True))
    assert [table.row for table in model.lives] == [0, 1, 1]
    assert model.tables[1].life == 2
    assert model.tables[1].gfn == 512


def test_a_table_that_is_found_is_not_made(model):
    model.apply(GetMmuPage(0, 0, 0, 4, 0, created=False))
    assert len(model.lives) == 2
    assert not model.made


def test_what_changed_is_what_differs(model):
    old = np.full(512, EMPTY, np.uint64)
    new = old.copy()
    new[3:5] = LEAF
    model.apply(SpteChanged(0, 3, 0, 1, slice(0, 512), old, new, Cause.MAP, 0))
    change = model.changes[1]
    assert change.columns.tolist() == [3, 4]
    assert change.old.tolist() == [EMPTY, EMPTY]
    assert model.touched == {1}


def test_an_entry_that_stays_changes_nothing(model):
    model.apply(SpteChanged(0, 3, 0, 1, 3, LEAF, LEAF, Cause.MAP, 0))
    assert not model.changes
    assert not model.touched


def test_a_span_over_many_tables(model):
    for row in (2, 3):
        model.apply(GetMmuPage(row, 0, (row - 2) * 512, 1, 0, created=True))
    rows = np.array([2, 3], np.int64)
    new = np.full((2, 512), LEAF, np.uint64)
    model.apply(SpteChanged(0, 1, 0, rows, slice(0, 512), EMPTY, new, Cause.MAP, 1024))
    assert set(model.changes) == {2, 3}
    assert model.tables[3].leaves == 512


def test_pages_of_unlinked_tables_do_not_count(model):
    model.apply(GetMmuPage(2, 0, 0, 1, 0, created=True))
    model.apply(SpteChanged(0, 1, 0, 2, slice(0, 4), EMPTY, LEAF, Cause.SPLIT_CHILD, 0))
    assert model.pages(1) == 0
    model.apply(SpteChanged(0, 2, 0, 1, 0, EMPTY, link_to(2), Cause.LINK, 0))
    assert model.pages(1) == 4


def test_marks_of_roots_and_nx(model):
    model.apply(RootInvalidated(0))
    assert model.tables[0].invalid
    model.apply(NxHugePageTracked(1, tracked=True))
    assert model.tables[1].nx_split


def test_a_trace_that_begins_late(fmt):
    model = TablesModel(fmt)
    model.apply(SpteChanged(0, 1, 0x403, 7, 3, EMPTY, LEAF, Cause.MAP, 1))
    table = model.tables[7]
    assert (table.gfn, table.level, table.state) == (0x400, 1, LINKED)


def test_events_of_others_are_ignored(model):
    assert not model.apply(LockAcquired("mmu_lock", "read"))


def test_rows_columns_and_grids():
    assert rows_of(np.array([3, 4])) == [3, 4]
    assert columns_of(slice(2, 4)).tolist() == [2, 3]
    assert grid(7, (2, 3)).tolist() == [[7] * 3] * 2
    assert grid(np.arange(6, dtype=np.uint64), (2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert grid(np.arange(3, dtype=np.uint64), (2, 3)).tolist() == [[0, 1, 2]] * 2


def assert_same_tables(vm, model):
    real = vm.snapshot()["tables"]
    assert set(model.tables) == set(real)
    for row, table in real.items():
        seen = model.tables[row]
        assert (seen.level, seen.gfn, seen.as_id) == (table["level"], table["gfn"], table["as_id"])
        assert (seen.sptes == table["sptes"]).all()


def test_the_model_ends_where_the_engine_does(dirty_log_vm, fmt):
    events = dirty_log_vm.trace.events()
    # one event more, so that tables that were freed last are gone
    assert_same_tables(dirty_log_vm, fold([*events, LockAcquired("x", "lock")], TablesModel(fmt)))


@pytest.mark.parametrize("grain", [1, 512, 4096])
def test_the_model_follows_at_any_grain(grain, fmt):
    vm = Vm(trace="events", grain=grain)
    hva = vm.host.mmap("A", "anon4k", 4 << 20)
    vm.set_user_memory_region(0, 0, 0, 4 << 20, hva)
    vcpu = vm.create_vcpu()
    for gpa in range(0, 4 << 20, 0x40000):
        vcpu.write(gpa)
    vm.set_user_memory_region(0, 1, 0, 4 << 20, hva)
    vm.host.madvise(hva, 1 << 20, "dontneed")
    events = [*vm.trace.events(), LockAcquired("x", "lock")]
    model = fold(events, TablesModel(fmt))
    assert_same_tables(vm, model)
    assert model.pages(1) == vm.counters.vm["pages_4k"]
