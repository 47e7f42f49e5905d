"""Scenes are values."""

import pytest

from kvmmu_widgets.scene import Card, Cell, Edge, Scene


def test_scenes_compare_by_value():
    def scene():
        card = Card("table L1", cells=(Cell("[0] 4K", "pfn 0x1", "leaf4k"),))
        return Scene({"t1": card}, {"t0>t1": Edge("t0", "t1")}, ("t1",))

    assert scene() == scene()
    assert hash(scene().cards["t1"]) == hash(scene().cards["t1"])


def test_cards_do_not_change():
    with pytest.raises(AttributeError):
        Card("a").title = "b"
