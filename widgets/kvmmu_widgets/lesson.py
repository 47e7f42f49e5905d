"""What a lesson asks of the learner: to predict, to answer, and to take a hint.

Everything shows stable text where there is no front end, so that stored notebooks stay the
same, and escapes what it shows.  Ours.
"""

from collections.abc import Sequence
from typing import Any, Final

import anywidget
import traitlets

from kvmmu_widgets.bundle import script, style
from kvmmu_widgets.identity import identity
from kvmmu_widgets.verdict import Verdict, Why, code, judge

_NUMBER_HELP: Final = "expected a number, such as 512 or 0x200"


class Prediction(anywidget.AnyWidget):
    """A question that shows ``?`` until the learner commits to an answer.

    The page learns the right answer only when it is asked for.

    >>> p = Prediction("How many tables?", answer=lambda: 4)
    >>> p
    Predict: How many tables? [a number] Your prediction: ?
    >>> p.commit(5)
    almost: off by one
    >>> p
    Predict: How many tables? [a number] Your prediction: 5 (almost: off by one)
    """

    _esm = script(("dom", "predict"))
    _css = style("lesson")
    question = traitlets.Unicode().tag(sync=True)
    choices = traitlets.List(traitlets.Unicode()).tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    given = traitlets.Unicode("").tag(sync=True)
    verdict = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        question: str,
        choices: Sequence[object] = (),
        *,
        answer: object,
        why: Why = "",
        unit: str = "",
    ) -> None:
        """Ask *question*; see :func:`predict`."""
        texts = [str(choice) for choice in choices]
        shown = [question, texts, unit]
        super().__init__(
            question=question, choices=texts, unit=unit, **identity("prediction", shown)
        )
        self._values = dict(zip(texts, choices, strict=True))
        self._answer = answer
        self._why = why
        self.on_msg(self._asked)

    def commit(self, value: object) -> Verdict:
        """Commit to *value*, a choice or a number, and return what the engine says."""
        self.given = str(value)
        verdict = self._judge(self.given)
        self.verdict = {"state": verdict.state, "text": verdict.text}
        return verdict

    def reveal(self) -> str:
        """Show the right answer, and return it as text."""
        text = str(self._right())
        self.verdict = {"state": "shown", "text": text}
        return text

    def _judge(self, text: str) -> Verdict:
        value: object = self._values.get(text)
        if not self.choices:
            try:
                value = int(text.replace(" ", ""), 0)
            except ValueError:
                return Verdict("still missing", _NUMBER_HELP)
        elif text not in self._values:
            return Verdict("still missing", f"expected one of {', '.join(self.choices)}")
        return judge(value, self._right(), self._why)

    def _right(self) -> object:
        return self._answer() if callable(self._answer) else self._answer

    def _asked(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if content.get("do") == "commit" and isinstance(content.get("value"), str):
            self.commit(content["value"])
        elif content.get("do") == "reveal":
            self.reveal()

    def __repr__(self) -> str:
        """Return question and choices, and the prediction once there is one."""
        asked = " | ".join(self.choices) or f"a number{f' of {self.unit}' if self.unit else ''}"
        return f"Predict: {self.question} [{asked}] Your prediction: {self._state()}"

    def _state(self) -> str:
        if not self.verdict:
            return "?"
        verdict = self.verdict
        said = f"{verdict['state']}: {verdict['text']}" if verdict["text"] else verdict["state"]
        return f"{self.given} ({said})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        asked = "".join(f"<li>{code(choice)}</li>" for choice in self.choices)
        html = (
            f"<p><strong>Predict.</strong> {code(self.question)}</p>"
            f"{f'<ul>{asked}</ul>' if asked else ''}"
            f"<p>Your prediction: {code(self._state())} {code(self.unit)}</p>"
        )
        return data | {"text/plain": repr(self), "text/html": html}, metadata


def predict(
    question: str,
    choices: Sequence[object] = (),
    *,
    answer: object,
    why: Why = "",
    unit: str = "",
) -> Prediction:
    """Ask the learner to predict, and check the prediction when it was made.

    :param question: one sentence; what stands between backticks is shown as code
    :param choices: what may be chosen; none asks for a number
    :param answer: the right one; better a function that asks the engine when it is needed
    :param why: what to say of a wrong prediction: a text, a text for each wrong answer, or a
        function of the answer
    :param unit: what a number counts: pages, bytes, entries
    """
    return Prediction(question, choices, answer=answer, why=why, unit=unit)


def check(answer: object, expected: object, *, why: Why = "") -> Verdict:
    """Say whether *answer* is still missing, to be worked on, almost right, or correct.

    :param answer: the learner's; ``...`` as long as there is none
    :param expected: the value; or a function of the answer that returns true, false, the
        reason why it is wrong, or a verdict
    :param why: what to say of a wrong answer, as for :func:`predict`

    >>> check(..., 512)
    still missing: put your answer in place of `...`
    >>> check(2 << 20, 512, why="count entries, not bytes")
    almost: check the unit: bytes and pages of 4 KiB differ by 4096; count entries, not bytes
    >>> check(512, lambda n: "not a power of two" if n & (n - 1) else n == 512)
    correct
    """
    return judge(answer, expected, why)


class Hint:
    """Texts that are folded until the learner opens them, one inside the other."""

    def __init__(self, *texts: str) -> None:
        """Keep *texts*, the vaguest first."""
        self.texts = texts

    def __repr__(self) -> str:
        """Return that there is a hint, not which."""
        count = len(self.texts)
        return "Hint (folded)" if count == 1 else f"{count} hints (folded)"

    def _repr_mimebundle_(self, **_kwargs: Any) -> dict[str, str]:
        html = ""
        for n, text in reversed(list(enumerate(self.texts, 1))):
            name = f"Hint {n} of {len(self.texts)}" if len(self.texts) > 1 else "Hint"
            html = (
                f"<details><summary>{name}</summary>"
                f'<div style="padding:4px 16px">{code(text)}{html}</div></details>'
            )
        return {"text/plain": repr(self), "text/html": html}


def hint(*texts: str) -> Hint:
    """Offer hints, folded; several open one after the other, the vaguest first."""
    return Hint(*texts)
