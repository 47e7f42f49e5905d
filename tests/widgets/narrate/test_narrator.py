"""Every kind of event has its sentence, and sentences are sentences."""

import inspect
import re

import pytest

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace import events as ev
from kvmmu_widgets.narrate import Narrator
from kvmmu_widgets.narrate.narrator import TELLERS

KINDS = [
    kind
    for _, kind in inspect.getmembers(ev, inspect.isclass)
    if kind.__module__.startswith(ev.__name__) and hasattr(kind, "_fields")
]


def plain(kind):
    """An event of *kind* with plain values."""
    special = {
        "sites": (),
        "cause": ev.Cause.MAP,
        "mode": "read",
        "kind": "read",
        "access": "rw" if kind is ev.HostProtected else 7,
        "shape": None,
        "change": 0,
        "flags": 0,
        "level": 1,
        "new": 0x200400E67
        if kind in (ev.SpteChanged, ev.ShadowSpteChanged, ev.FastPageFault)
        else 2,
        "old": 1 << 63
        if kind in (ev.SpteChanged, ev.ShadowSpteChanged, ev.FrozenSpteHandled)
        else 1,
    }
    texts = {"text", "lock", "caller", "tree", "why", "request"}
    return kind(
        *(special.get(name, f"some {name}" if name in texts else 1) for name in kind._fields)
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_told_in_a_sentence(kind):
    line = Narrator(Choices()).tell(plain(kind))
    assert line.text[0].isupper() or line.text.startswith(("vCPU", "some"))
    assert line.text.endswith(".")
    assert len(line.text) < 240
    assert 0 < len(line.short) <= 60
    for text in line:
        assert not re.search(r"[<>{}`*\n]|None|  ", text)


def test_no_teller_without_a_kind():
    assert set(TELLERS) == set(KINDS)


def test_a_whole_run_is_told(dirty_log_vm):
    narrator = Narrator(Choices())
    for event in dirty_log_vm.trace.events():
        line = narrator.tell(event)
        assert line.text.endswith(".")
        assert "{" not in line.text


def test_what_is_heard_without_a_word_is_known_later():
    narrator = Narrator(Choices())
    narrator.hear(ev.SlotCreated(1, 7, 0, 0, 1, 0, 0))
    assert narrator.tell(ev.SlotFreed(1)).text == "The object of slot 7 (#1) is freed."


def test_all_slot_changes_of_a_run_are_told(slots_vm):
    narrator = Narrator(Choices())
    texts = [narrator.tell(event).text for event in slots_vm.trace.events()]
    assert "Slot 3 (#8) takes the place of object #4 in set 1, which no reader uses." in texts
    assert "The hva_tree of set 1: rotated right at slot 4." in texts
    assert not [text for text in texts if "gfn_tree" in text and "[gfn" in text]
