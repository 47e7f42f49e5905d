"""Static pictures: valid, escaped, in both themes."""

import re
import xml.etree.ElementTree as ET

import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_edu.trace.events import OperationBegin
from kvmmu_edu.trace.recorder import Record
from kvmmu_widgets.message import build_message
from kvmmu_widgets.svg import svg
from kvmmu_widgets.synthetic import synthetic_message

NS = "{http://www.w3.org/2000/svg}"


def tree(message, step=-1):
    return ET.fromstring(svg(message, step))


def texts(element):
    return [text.text for text in element.iter(f"{NS}text")]


def test_every_step_is_valid_xml(tables_message, slots_message):
    for message in (tables_message, slots_message):
        for step in range(len(message["steps"])):
            assert tree(message, step).tag == f"{NS}svg"


def test_it_says_what_it_is(tables_message):
    root = tree(tables_message, 5)
    assert root.get("role") == "img"
    title = root.find(f"{NS}title").text
    assert title == f"Dirty logging: {tables_message['steps'][5]['text']}"


def test_cards_cells_and_the_sentence_are_there():
    root = tree(synthetic_message(4, 3))
    said = " ".join(texts(root))
    assert "root L4" in said
    assert "[0 … 511] 512 × 4K" in said
    assert root.get("viewBox")


def test_what_changed_is_marked(tables_message):
    at = next(
        n for n, step in enumerate(tables_message["steps"]) if "ready 4K entries" in step["text"]
    )
    root = tree(tables_message, at)
    changed = [group for group in root.iter(f"{NS}g") if "changed" in group.get("class").split()]
    assert any(group.find(f"{NS}path") is not None for group in changed)
    assert any("was 2M RWX D A" in texts(group) for group in changed)


def test_both_themes_and_only_what_is_used(tables_message):
    text = svg(tables_message)
    assert "prefers-color-scheme: dark" in text
    assert ".kvmmu .red {" not in text
    assert ".kvmmu .root {" in text


def test_it_can_be_read_without_its_style_sheet(tables_message):
    root = tree(tables_message)
    assert root.get("fill") == "none"
    assert {text.get("fill") for text in root.iter(f"{NS}text")} == {"currentColor"}


def test_texts_are_escaped():
    message = build_message([Record(0, "t", OperationBegin(1, "<script>&\"'"), ())], title="<b>&")
    text = svg(message)
    assert "<script" not in text
    assert "<b>" not in text
    assert ET.fromstring(text).find(f"{NS}title").text.startswith("<b>&: ")


def test_hostile_messages_are_escaped():
    message = synthetic_message(4, 1)
    evil = '"><script>alert(1)</script>'
    for content in message["contents"]:
        content["title"] = content["cls"] = content["badge"] = content["sub"] = evil
        for cell in content["cells"]:
            cell["t"] = cell["s"] = cell["cls"] = evil
    for step in message["steps"]:
        step["edges"] = dict.fromkeys(step.get("edges", {}), evil)
    text = svg(message)
    assert "<script>" not in text
    assert ET.fromstring(text) is not None


def test_nothing_stands_outside_of_the_picture(tables_message):
    root = tree(tables_message)
    _, _, width, height = map(float, root.get("viewBox").split())
    for rect in root.iter(f"{NS}rect"):
        if rect.get("x"):
            x, y, w, h = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
            assert x >= 0
            assert y >= 0
            assert x + w <= width
            assert y + h <= height


def test_hatches_that_are_used_are_defined(tables_message):
    for step in range(0, len(tables_message["steps"]), 7):
        text = svg(tables_message, step)
        defined = set(re.findall(r'<pattern id="kvmmu-(\w+)"', text))
        for kind in re.findall(r"--hatch:var\(--kvmmu-hatch-(\w+)\)", text):
            assert kind in defined


def test_no_such_step(tables_message):
    with pytest.raises(UsageError, match="there is no step 100000"):
        svg(tables_message, 100000)
