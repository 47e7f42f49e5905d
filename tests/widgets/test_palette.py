"""One meaning, one look: unique without colour, readable in both themes."""

from itertools import groupby
from pathlib import Path

import pytest

from kvmmu_widgets import palette
from kvmmu_widgets.palette import DARK, KINDS, LIGHT, contrast, look, mix

STATIC = Path(palette.__file__).parent / "static" / "palette.css"
THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def grounds(kind, theme):
    """All that a text of this kind may stand on: the fill, and the hatch over it."""
    fill = look(kind, theme).fill
    for ground in [theme.paper, theme.sunk] if fill == "none" else [fill]:
        yield ground
        if kind.hatch != "none":
            yield mix(ground, theme.hatch[:7], int(theme.hatch[7:], 16) / 255)


@THEMES
@EACH_KIND
def test_texts_are_readable(kind, theme):
    text = look(kind, theme).text
    for ground in grounds(kind, theme):
        assert contrast(text, ground) >= 4.5


@THEMES
@EACH_KIND
def test_small_soft_texts_are_readable(kind, theme):
    if kind.tint >= 0:
        for ground in grounds(kind, theme):
            assert contrast(theme.soft, ground) >= 4.5


@THEMES
@EACH_KIND
def test_strokes_stand_out(kind, theme):
    assert contrast(look(kind, theme).stroke, theme.paper) >= 3


@THEMES
@pytest.mark.parametrize("name", ["ink", "soft", "accent", "ok", "bad"])
def test_page_colours_are_readable(theme, name):
    for ground in (theme.paper, theme.sunk):
        assert contrast(getattr(theme, name), ground) >= 4.5


def test_known_contrasts():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#0072b2", "#0072b2") == 1


def test_every_kind_has_a_sign_of_its_own_without_colour():
    for family, kinds in groupby(sorted(KINDS, key=lambda k: k.family), key=lambda k: k.family):
        signs = [(k.dash, k.hatch, k.width, k.letter) for k in kinds]
        assert len(set(signs)) == len(signs), family


def test_one_meaning_one_word():
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert len({kind.text for kind in KINDS}) == len(KINDS)


def test_legend_keeps_the_order_of_the_palette():
    assert [entry["cls"] for entry in palette.legend(["changed", "leaf4k", "root"])] == [
        "root",
        "leaf4k",
        "changed",
    ]


def test_every_kind_has_a_class_and_both_themes():
    text = palette.css()
    for kind in KINDS:
        assert f".kvmmu .{kind.name} {{" in text
        assert text.count(f"--kvmmu-{kind.name}-stroke:") == 4


def test_hatches_exist():
    assert {kind.hatch for kind in KINDS} - {"none"} <= set(palette.HATCHES)


def test_static_css_has_only_what_is_used():
    text = palette.static_css({"leaf4k", "changed"})
    assert ".leaf4k" in text
    assert ".changed" in text
    assert "mmio" not in text


def test_the_shipped_style_sheet_is_the_generated_one():
    assert STATIC.read_text(encoding="utf-8") == palette.css()
