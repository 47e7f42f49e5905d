"""Cards of page tables."""

import numpy as np
import pytest

from kvmmu_widgets.views.page_tables import FREED, GOING, LINKED, WAITING, Change, Link, Table
from kvmmu_widgets.views.table_cards import MAX_CELLS, table_card

EMPTY = 1 << 63
LEAF = 0x200400E67


@pytest.fixture
def table():
    sptes = np.full(512, EMPTY, np.uint64)
    return Table(3, 5, 2, 0x40000, 0, sptes, 0, state=LINKED, link=Link(1, 1))


def large(page):
    return (0x200000 + page * 512) << 12 | 0xEE7


def texts(card):
    return [(cell.text, cell.sub, cell.kind, cell.port) for cell in card.cells]


def test_an_empty_table(table, fmt):
    card, marks = table_card(table, fmt)
    assert (card.title, card.sub, card.badge) == ("table L2", "gfn 0x40000 · table 5", "")
    assert texts(card) == [("512 empty", "", "empty", "")]
    assert marks == []


def test_links_leaves_and_the_rest(table, fmt):
    table.sptes[2] = 0x100007827
    table.sptes[3:5] = [large(0), large(1)]
    card, _ = table_card(table, fmt, ports={2})
    assert texts(card) == [
        ("[2] table 7", "RWX A", "link", "2"),
        ("[3 … 4] 2 × 2M RWX D A", "pfn 0x200000 … 0x2003ff", "leaf2m", ""),
        ("509 empty", "", "empty", ""),
    ]


def test_scattered_frames_are_said_to_be(table, fmt):
    table.sptes[3:5] = [large(0), large(7)]
    card, _ = table_card(table, fmt)
    assert card.cells[0].sub == "pfns scattered"


def test_a_port_keeps_a_leaf_apart(table, fmt):
    table.sptes[2:5] = large(0)
    card, _ = table_card(table, fmt, ports={3})
    assert [cell.port for cell in card.cells] == ["3", "", "", ""]


def test_a_port_keeps_nothing_apart_that_is_frozen(table, fmt):
    table.sptes[:] = fmt.FROZEN_SPTE
    card, _ = table_card(table, fmt, ports={3})
    assert texts(card) == [("[0 … 511] 512 × frozen", "", "frozen", "")]


def test_what_changed_is_marked_and_says_what_it_was(table, fmt):
    table.sptes[2] = 0x100007827
    change = Change(np.array([2]), np.array([large(0)], np.uint64))
    card, marks = table_card(table, fmt, ports={2}, change=change)
    assert card.cells[0].sub == "was 2M RWX D A"
    assert marks == [0]


def test_what_was_emptied_is_seen(table, fmt):
    change = Change(np.array([9]), np.array([large(0)], np.uint64))
    card, marks = table_card(table, fmt, change=change)
    assert texts(card)[0] == ("[9] empty", "was 2M RWX D A", "empty", "")
    assert card.cells[1].text == "511 empty"
    assert marks == [0]


def test_a_change_of_unlike_entries_says_how_many(table, fmt):
    old = np.array([large(0), EMPTY], np.uint64)
    table.sptes[4:6] = fmt.FROZEN_SPTE
    card, _ = table_card(table, fmt, change=Change(np.array([4, 5]), old))
    assert card.cells[0].sub == "2 entries changed"


def test_many_runs_are_folded_but_what_changed_is_not(table, fmt):
    table.sptes[0:60:2] = large(0)
    change = Change(np.array([50]), np.array([EMPTY], np.uint64))
    card, marks = table_card(table, fmt, change=change)
    assert len(card.cells) == MAX_CELLS + 1
    assert card.cells[marks[0]].text == "[50] 2M RWX D A"
    fold = card.cells[MAX_CELLS - 1]
    assert fold.text == "… 25 more runs"
    assert "[58] 2M RWX D A" in fold.more


def test_mmio_tells_its_generation(table, fmt):
    table.sptes[1] = fmt.shadow_mmio_value | 6 << 3
    card, _ = table_card(table, fmt)
    assert texts(card)[0] == ("[1] MMIO", "generation 6", "mmio", "")


@pytest.mark.parametrize(
    ("state", "kind", "badge"),
    [
        (GOING, "table going", "unlinked"),
        (WAITING, "table going", "waits for RCU"),
        (FREED, "table freed", "freed"),
    ],
)
def test_the_way_out(table, fmt, state, kind, badge):
    table.state = state
    card, _ = table_card(table, fmt)
    assert (card.kind, card.badge) == (kind, badge)


def test_an_invalid_root(fmt):
    sptes = np.full(512, EMPTY, np.uint64)
    root = Table(0, 1, 4, 0, 1, sptes, 0, state=LINKED, invalid=True)
    card, _ = table_card(root, fmt)
    assert (card.title, card.sub) == ("root L4", "gfn 0x0 · table 1 · as 1")
    assert (card.kind, card.badge) == ("root invalid", "invalid")


def test_more_shows_words_of_entries(table, fmt):
    table.sptes[3:9] = large(0)
    card, _ = table_card(table, fmt)
    assert card.cells[0].more == (
        "gfn 0x40600 … 0x411ff",
        *(f"[{n}] {large(0):#018x}" for n in range(3, 7)),
        "… 2 more",
    )
