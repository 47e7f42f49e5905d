"""The stepper: a recorded run, step by step, in a notebook or in a page of its own.

All steps travel to the browser once, so stepping asks the kernel for nothing: it works live,
in a saved notebook and in an exported page.  Ours.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import anywidget
import traitlets

from kvmmu_edu.trace.recorder import Record
from kvmmu_edu.vm import Vm
from kvmmu_widgets.bundle import script, style
from kvmmu_widgets.excerpt import records_of, split_at
from kvmmu_widgets.identity import identity
from kvmmu_widgets.message import build_message
from kvmmu_widgets.page import stepper_page
from kvmmu_widgets.svg import svg
from kvmmu_widgets.table import table


def _compact(message: Mapping[str, Any], _widget: object) -> str:
    """Return *message* as one line: stored notebooks would spread a dict over thousands."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


#: what can be stepped through: a VM that kept its steps, such records, or a message
Run: TypeAlias = Vm | Sequence[Record] | Mapping[str, Any]


class Stepper(anywidget.AnyWidget):
    """Shows a run step by step: the picture, the sentence, the code, the costs, the checks.

    :param run: a VM made with ``trace="steps"``, records of its trace, or a message
    :param step: the step that is shown first; 0 is the state before anything happened, -1 the
        last step
    :param options: ``since``, the number of the first operation that is shown, and what
        :func:`~kvmmu_widgets.message.build_message` takes: title, view, ...
    :raises UsageError: nothing was recorded, or the message cannot be made

    >>> from kvmmu_edu import Vm
    >>> vm = Vm(trace="steps")
    >>> hva = vm.host.mmap("A", "anon4k", 1 << 20)
    >>> Stepper(vm, title="A mapping")
    Stepper: A mapping, 1 step
    """

    _esm = script()
    _css = style("stepper")
    message = traitlets.Dict().tag(sync=True, to_json=_compact)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(self, run: Run, *, step: int = 0, **options: Any) -> None:
        """Show *run*, at first at *step*."""
        message = message_of(run, **options)
        step %= len(message["steps"])
        super().__init__(message=message, step=step, **identity("stepper", message))

    @property
    def last(self) -> int:
        """The number of the last step."""
        return len(self.message["steps"]) - 1

    def svg(self, step: int | None = None) -> "Still":
        """Return the picture of a step, by default the one that is shown, without any script.

        :raises UsageError: no such step
        """
        return Still(svg(self.message, self.step if step is None else step))

    def table(self, *, full: bool = True) -> "PlainText":
        """Return all steps as a text table: for screen readers, for comparing, for terminals."""
        return PlainText(table(self.message, full=full))

    def to_html(self, step: int | None = None) -> str:
        """Return a page that shows this run without kernel and network, at first at *step*."""
        return stepper_page(self.message, self.step if step is None else step)

    def export_html(self, path: str | Path, step: int | None = None) -> Path:
        """Write :meth:`to_html` to *path* and return it."""
        path = Path(path)
        path.write_text(self.to_html(step), encoding="utf-8")
        return path

    def __repr__(self) -> str:
        """Return the title and the number of steps: the same whenever the notebook runs."""
        steps = "1 step" if self.last == 1 else f"{self.last} steps"
        return f"Stepper: {self.message['title'] or 'a run'}, {steps}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return data | {"text/plain": repr(self), "image/svg+xml": str(self.svg(-1))}, metadata


class PlainText(str):
    """A text that a notebook shows as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the text."""
        return str(self)


class Still(str):
    """The source of an SVG picture, which a notebook shows as the picture."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Say that it is a picture: its source is long."""
        return "a picture; str() gives its SVG source"

    def _repr_svg_(self) -> str:
        return str(self)


def picture(run: Run, step: int | None = None, **options: Any) -> Still:
    """Return a picture of *run* and no widget: of one step, or of how things stand at its end.

    :param step: -1 is the last; by default the end, where nothing is marked as changed
    :param options: what :class:`Stepper` takes
    :raises UsageError: nothing was recorded, or there is no such step
    """
    if step is not None:
        return Still(svg(message_of(run, **options), step))
    if isinstance(run, Vm):
        options = {"choices": run.kvm.choices, **options}
        run = records_of(run)
    if isinstance(run, Mapping):
        return Still(svg(run, -1, said=False))
    title = options.pop("title", "How things stand")
    return Still(svg(build_message([], before=run, title=title, **options), 0, said=False))


def message_of(run: Run, *, since: int | None = None, **options: Any) -> dict[str, Any]:
    """Return the message for *run*, whatever it is.

    :param since: number of the first operation that is shown, -1 for the last; all by default
    :raises UsageError: nothing was recorded, or the message cannot be made
    """
    if isinstance(run, Mapping):
        return dict(run)
    records: Sequence[Record]
    if isinstance(run, Vm):
        records, options = records_of(run), {"choices": run.kvm.choices, **options}
    else:
        records = run
    if since is not None:
        before, records = split_at(records, since)
        options = {"before": before, **options}
    return build_message(records, **options)
