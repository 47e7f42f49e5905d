import numpy as np
import pytest

from kvmmu_edu import UsageError
from kvmmu_widgets.verdict import Verdict, code, is_missing, judge

MISSING, KEEP, ALMOST, CORRECT = "still missing", "keep working", "almost", "correct"


@pytest.mark.parametrize("answer", [None, ..., "", "?"])
def test_placeholders_are_missing(answer):
    assert is_missing(answer)
    assert judge(answer, 512).state == MISSING
    assert judge(answer, lambda _: True).state == MISSING


@pytest.mark.parametrize("answer", [0, False, [], {}, set(), np.zeros(3)])
def test_what_is_only_empty_is_an_answer(answer):
    assert not is_missing(answer)


@pytest.mark.parametrize(
    ("answer", "expected", "state", "words"),
    [
        (512, 512, CORRECT, ""),
        (np.int64(512), 512, CORRECT, ""),
        (0.1 + 0.2, 0.3, CORRECT, ""),
        (511, 512, ALMOST, "off by one"),
        (512 * 4096, 512, ALMOST, "unit"),
        (1, 512, ALMOST, "512 entries"),
        (1000, 1005, ALMOST, "one percent"),
        (100, 512, KEEP, "too small"),
        (1000, 512, KEEP, "too large"),
        ("512", 512, KEEP, "expected a number, this is a text"),
        (True, 1, KEEP, "this is True or False"),
        (1, True, KEEP, "expected True or False"),
        (True, False, KEEP, ""),
        ("wrprot", "wrprot", CORRECT, ""),
        ("mmu  lock ", "mmu lock", CORRECT, ""),
        ("MMU lock", "mmu lock", ALMOST, "case"),
        ("srcu", "mmu lock", KEEP, ""),
        ({1, 2}, {1, 2}, CORRECT, ""),
        ({1}, {1, 2}, ALMOST, "1 missing"),
        ({1, 3}, {1, 2}, KEEP, "1 missing, 1 too many"),
        ([1, 2, 3], [1, 2, 3], CORRECT, ""),
        ((1, 2, 3), [1, 2, 3], CORRECT, ""),
        ([2, 1, 3], [1, 2, 3], ALMOST, "another order"),
        ([1, 2, 4], [1, 2, 3], ALMOST, "item 2"),
        ([4, 4, 4], [1, 2, 3], KEEP, "item 0"),
        ([1], [1, 2], KEEP, "1 items; expected 2"),
        ({"a": 1}, {"a": 1}, CORRECT, ""),
        ({"a": 1, "b": 3}, {"a": 1, "b": 2}, ALMOST, "1 of 2"),
        ({"b": 1}, {"a": 1}, KEEP, "1 missing, 1 too many"),
        (np.arange(3), np.arange(3), CORRECT, ""),
        (np.array([0, 1, 3]), np.arange(3), ALMOST, "1 differ"),
        (np.arange(4), np.arange(3), KEEP, "shape"),
        ([1], 5, KEEP, "expected a number, this is a list"),
    ],
)
def test_states(answer, expected, state, words):
    verdict = judge(answer, expected)
    assert verdict.state == state
    assert words in verdict.text
    assert bool(verdict) == (state == CORRECT)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(7, 123_457), ("x", "the_secret"), ({1}, {123_457, 1}), ([0, 0], [123_457, 9])],
)
def test_a_verdict_never_tells_the_answer(answer, expected):
    said = str(judge(answer, expected))
    assert "123457" not in said
    assert "secret" not in said


def test_a_function_decides():
    assert judge(4, lambda n: n == 4).state == CORRECT
    assert judge(5, lambda n: n == 4) == Verdict(KEEP)
    assert judge(5, lambda n: "count the root, too") == Verdict(KEEP, "count the root, too")
    assert judge(5, lambda n: Verdict(ALMOST, "so near")) == Verdict(ALMOST, "so near")


def test_a_function_that_cannot_take_the_answer_gives_a_reason():
    def refuse(answer):
        raise UsageError("expected a gfn")

    assert judge("x", refuse) == Verdict(KEEP, "with this answer: expected a gfn")
    assert judge("x", lambda n: n + 1).state == KEEP


@pytest.mark.parametrize(
    "why",
    ["count entries", {2048: "count entries"}, lambda n: "count entries"],
)
def test_reasons(why):
    assert judge(2048, 5000, why).text == "too small; count entries"
    assert judge(5000, 5000, why) == Verdict(CORRECT)


def test_a_reason_for_another_answer_is_not_given():
    assert judge(2049, 5000, {2048: "count entries"}).text == "too small"


def test_shown_escaped_and_the_same_in_plain_text():
    verdict = Verdict(KEEP, "`<b>` & <i>")
    data = verdict._repr_mimebundle_()
    assert data["text/plain"] == "keep working: `<b>` & <i>"
    assert "<code>&lt;b&gt;</code> &amp; &lt;i&gt;" in data["text/html"]
    assert "Keep working" in data["text/html"]


def test_a_lonely_backtick_stays():
    assert code("a ` b") == "a ` b"
