"""Room for cards: everything fits, nothing overlaps, ports stay where they are."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from kvmmu_widgets.measure import CHAR, SMALL_CHAR, cell_size, reserve
from kvmmu_widgets.scene import Card, Cell

TEXTS = st.text("abc 0x", max_size=30)
CELLS = st.builds(Cell, TEXTS, st.one_of(st.just(""), TEXTS))


@st.composite
def cards(draw):
    """Cards that follow one another at one place: some ports, some other cells."""
    ports = draw(st.lists(st.integers(0, 511), unique=True, max_size=4))
    result = []
    for _ in range(draw(st.integers(1, 4))):
        shown = [port for port in sorted(ports) if draw(st.booleans())]
        cells = [Cell(draw(TEXTS), port=str(port)) for port in shown]
        cells += draw(st.lists(CELLS, max_size=7))
        result.append(Card(draw(TEXTS), draw(TEXTS), draw(TEXTS), "table", tuple(cells)))
    return result


def test_a_cell_is_as_wide_as_its_longer_line():
    assert cell_size(Cell("[0] 4K"))[0] >= 6 * CHAR
    assert cell_size(Cell("a", "b" * 30))[0] >= 30 * SMALL_CHAR
    assert cell_size(Cell("a"))[1] < cell_size(Cell("a", "b"))[1]


@given(cards())
def test_cells_are_inside_and_apart(every):
    room = reserve(every)
    width, height = room.size()
    for card in every:
        boxes = room.boxes(card)
        assert len(boxes) == len(card.cells)
        for x, y, w, h in boxes:
            assert x >= 0
            assert y >= room.header - 1
            assert x + w <= width + 0.5
            assert y + h <= height + 0.5
        for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(boxes, 2):
            assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay


@given(cards())
def test_cells_are_large_enough_for_their_texts(every):
    room = reserve(every)
    for card in every:
        for cell, (_, _, w, h) in zip(card.cells, room.boxes(card), strict=True):
            assert w >= cell_size(cell)[0]
            assert h >= cell_size(cell)[1]


@given(cards())
def test_ports_keep_their_place(every):
    room = reserve(every)
    places = room.port_boxes()
    for card in every:
        for cell, box in zip(card.cells, room.boxes(card), strict=True):
            if cell.port:
                assert box == places[cell.port]
    order = sorted(places, key=int)
    assert order == sorted(places, key=lambda port: places[port][0])


@given(cards())
def test_titles_fit(every):
    room = reserve(every)
    for card in every:
        texts = [(len(card.title) + len(card.badge)) * CHAR, len(card.sub) * SMALL_CHAR]
        assert max(texts) <= room.size()[0]


@given(cards())
def test_a_card_is_drawn_no_higher_than_its_room(every):
    room = reserve(every)
    for card in every:
        low = room.height_of(card)
        assert all(y + h < low for _, y, _, h in room.boxes(card))
        assert low <= room.size()[1]
        room.anchored = True
        assert room.height_of(card) == room.size()[1]
        room.anchored = False
