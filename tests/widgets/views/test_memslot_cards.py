"""Cards of slots."""

from kvmmu_edu.trace.events import SlotCreated
from kvmmu_widgets.views.memslot_cards import loose_card, pointer_card, set_card, slot_card
from kvmmu_widgets.views.memslots import SlotSet

SLOT = SlotCreated(3, 7, 0, 0x100, 256, 0x7F0000000000, 1)


def test_a_slot_in_the_gfn_tree():
    card = slot_card(SLOT, "gfn_tree", 0, [], active=True)
    assert (card.title, card.badge, card.sub, card.kind) == (
        "slot 7",
        "#3",
        "gfn 0x100 +1M",
        "active",
    )
    assert [(cell.text, cell.kind) for cell in card.cells] == [("R", "red"), ("LOG", "field")]
    assert card.cells[0].more[0] == "gfn 0x100 … 0x1ff"


def test_a_slot_in_the_hva_tree():
    card = slot_card(SLOT, "hva_tree", 1, [], active=False)
    assert (card.sub, card.kind) == ("0x7f0000000000", "inactive")
    assert card.cells[0].kind == "black"


def test_an_invalid_slot():
    card = slot_card(SLOT._replace(flags=1 << 16), "gfn_tree", 1, [], active=True)
    assert card.kind == "active invalidslot"
    assert card.cells[1].text == "INVALID"


def test_a_slot_whose_tree_is_not_known():
    card = slot_card(SLOT, "gfn_tree", None, [], active=True)
    assert [cell.text for cell in card.cells] == ["LOG"]


def test_a_loose_slot_tells_what_was_allocated():
    card = loose_card(SLOT, ["dirty bitmaps: 64 bytes"])
    assert card.cells[0].text == "in no set"
    assert card.cells[0].more[-1] == "dirty bitmaps: 64 bytes"


def test_a_set():
    slots = SlotSet(0, 1, 1 << 63 | 6, {7: 3}, {}, 3)
    card = set_card(slots, {3: "slot 7 #3"}, active=False)
    assert (card.title, card.kind) == ("set 1", "inactive")
    assert [(cell.text, cell.sub) for cell in card.cells] == [
        ("generation 6", "update in progress"),
        ("last used: slot 7 #3", ""),
        ("gfn_tree", ""),
        ("hva_tree", ""),
        ("id_hash: 1", ""),
    ]
    assert card.cells[4].more == ("bucket 86: slot 7",)


def test_sets_of_the_second_address_space_say_so():
    assert set_card(SlotSet(1, 0, 1), {}, active=True).title == "set 0 of as 1"
    assert pointer_card(1).title == "kvm->memslots[1]"
