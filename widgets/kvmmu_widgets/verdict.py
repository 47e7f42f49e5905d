"""How an answer of the learner compares with what is expected, in one of four states.

``still missing``, ``keep working``, ``almost``, ``correct``; the last but one only where the
difference says what kind of slip it was.  A verdict never tells the expected value.  Ours.
"""

import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Literal, TypeAlias

import numpy as np

State: TypeAlias = Literal["still missing", "keep working", "almost", "correct"]
#: reasons by wrong answer, or a function from the answer, or one reason for all
Why: TypeAlias = Mapping[Any, str] | Callable[[Any], str] | str

_STYLE: Final[dict[State, str]] = {
    "still missing": "#7a8590",
    "keep working": "#b34700",
    "almost": "#cc7f00",
    "correct": "#00734f",
}
#: factors by which answers are off when the unit is another one
_UNITS: Final = {
    4096: "bytes and pages of 4 KiB differ by 4096",
    512: "a table has 512 entries, a huge page 512 pages of the next level",
    1024: "KiB, MiB and GiB differ by 1024",
    8: "bits and bytes differ by 8",
    64: "a word of a bitmap has 64 bits",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says; true if the answer is correct."""

    state: State
    text: str = ""

    def __bool__(self) -> bool:
        """Return whether the answer is correct."""
        return self.state == "correct"

    def __str__(self) -> str:
        """Return state and reason in one line."""
        return f"{self.state}: {self.text}" if self.text else self.state

    __repr__ = __str__

    def _repr_mimebundle_(self, **_kwargs: Any) -> dict[str, str]:
        colour = _STYLE[self.state]
        html = (
            f'<div role="status" style="border-left:6px solid {colour};padding:4px 12px">'
            f"<strong>{escape(self.state.capitalize())}</strong>"
            f"{': ' if self.text else ''}{code(self.text)}</div>"
        )
        return {"text/plain": str(self), "text/html": html}


def code(text: str) -> str:
    """Return *text* as HTML; what stands between backticks becomes code.

    >>> code("`a < b` & c")
    '<code>a &lt; b</code> &amp; c'
    """
    parts = escape(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def is_missing(answer: object) -> bool:
    """Return whether *answer* is a placeholder: None, ``...``, ``"?"`` or an empty text."""
    return answer is None or answer is ... or (isinstance(answer, str) and answer in ("", "?"))


def judge(answer: Any, expected: Any, why: Why = "") -> Verdict:
    """Compare *answer* with *expected*.

    :param expected: a value; or a function of the answer that returns true, false, the reason
        why it is wrong, or a verdict
    :param why: what to say about a wrong answer
    """
    if is_missing(answer):
        return Verdict("still missing", "put your answer in place of `...`")
    verdict = _ask(answer, expected) if callable(expected) else _compare(answer, expected)
    if verdict or not (reason := _reason(answer, why)):
        return verdict
    return Verdict(verdict.state, f"{verdict.text}; {reason}" if verdict.text else reason)


def _ask(answer: Any, expected: Callable[[Any], Any]) -> Verdict:
    try:
        result = expected(answer)
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        return Verdict("keep working", f"with this answer: {error}")
    if isinstance(result, Verdict):
        return result
    if isinstance(result, str):
        return Verdict("keep working", result)
    return Verdict("correct" if result else "keep working")


def _reason(answer: Any, why: Why) -> str:
    if callable(why):
        return why(answer)
    if isinstance(why, str):
        return why
    return next((text for wrong, text in why.items() if _equal(wrong, answer)), "")


def _compare(answer: Any, expected: Any) -> Verdict:
    if _equal(answer, expected):
        return Verdict("correct")
    for kinds, compare in _COMPARISONS:
        if isinstance(expected, kinds):
            if isinstance(answer, kinds):
                return compare(answer, expected)
            return Verdict("keep working", f"expected {_kind(expected)}, this is {_kind(answer)}")
    return Verdict("keep working")


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, bool | np.bool_) != isinstance(b, bool | np.bool_):
        return False
    if isinstance(a, float | np.floating) or isinstance(b, float | np.floating):
        return _is_number(a) and _is_number(b) and math.isclose(a, b, rel_tol=1e-9)
    if isinstance(a, str) and isinstance(b, str):
        return a.split() == b.split()
    return bool(operator.eq(a, b))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "True or False"
    if _is_number(value):
        return "a number"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__)


def _numbers(answer: float, expected: float) -> Verdict:
    if isinstance(expected, bool) != isinstance(answer, bool):
        return Verdict("keep working", f"expected {_kind(expected)}, this is {_kind(answer)}")
    if isinstance(expected, bool):
        return Verdict("keep working")
    if abs(answer - expected) == 1:
        return Verdict("almost", "off by one")
    for factor, text in _UNITS.items():
        if answer and expected and (answer == expected * factor or expected == answer * factor):
            return Verdict("almost", f"check the unit: {text}")
    if math.isclose(answer, expected, rel_tol=0.01):
        return Verdict("almost", "off by less than one percent")
    return Verdict("keep working", "too small" if answer < expected else "too large")


def _texts(answer: str, expected: str) -> Verdict:
    if answer.casefold().split() == expected.casefold().split():
        return Verdict("almost", "upper and lower case matter here")
    return Verdict("keep working")


def _sets(answer: set[Any], expected: set[Any]) -> Verdict:
    missing, extra = len(expected - answer), len(answer - expected)
    text = f"{missing} missing, {extra} too many"
    return Verdict("almost" if missing + extra == 1 else "keep working", text)


def _lists(answer: Sequence[Any], expected: Sequence[Any]) -> Verdict:
    if len(answer) != len(expected):
        return Verdict("keep working", f"{len(answer)} items; expected {len(expected)}")
    wrong = [i for i, pair in enumerate(zip(answer, expected, strict=True)) if not _equal(*pair)]
    if not wrong:
        return Verdict("correct")
    if Counter(map(repr, answer)) == Counter(map(repr, expected)):
        return Verdict("almost", "the right items in another order")
    first = f"item {wrong[0]} is the first that differs"
    return Verdict("almost" if len(wrong) == 1 < len(expected) else "keep working", first)


def _dicts(answer: Mapping[Any, Any], expected: Mapping[Any, Any]) -> Verdict:
    if answer.keys() != expected.keys():
        missing, extra = expected.keys() - answer.keys(), answer.keys() - expected.keys()
        return Verdict("keep working", f"keys: {len(missing)} missing, {len(extra)} too many")
    wrong = [key for key in expected if not _equal(answer[key], expected[key])]
    text = f"{len(expected) - len(wrong)} of {len(expected)} values are right"
    return Verdict("almost" if len(wrong) == 1 < len(expected) else "keep working", text)


def _arrays(answer: np.ndarray, expected: np.ndarray) -> Verdict:
    if answer.shape != expected.shape:
        return Verdict("keep working", f"shape {answer.shape}; expected {expected.shape}")
    wrong = int(np.count_nonzero(answer != expected))
    return Verdict("almost" if wrong == 1 < expected.size else "keep working", f"{wrong} differ")


_KINDS: Final[tuple[tuple[Any, str], ...]] = (
    (str, "a text"),
    (dict, "a dict"),
    (set | frozenset, "a set"),
    (list | tuple, "a list"),
    (np.ndarray, "an array"),
)
_COMPARISONS: Final[tuple[tuple[Any, Callable[[Any, Any], Verdict]], ...]] = (
    (int | float | np.number, _numbers),
    (str, _texts),
    (set | frozenset, _sets),
    (list | tuple, _lists),
    (dict, _dicts),
    (np.ndarray, _arrays),
)
