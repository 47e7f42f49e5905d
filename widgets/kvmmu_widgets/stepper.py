"""The stepper: a recorded run, step by step, in a notebook or in a page of its own.

All steps travel to the browser once, so stepping asks the kernel for nothing: it works live,
in a saved notebook and in an exported page.  Ours.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from kvmmu_widgets.bundle import script, style
from kvmmu_widgets.identity import identity
from kvmmu_widgets.page import stepper_page


class Stepper(anywidget.AnyWidget):
    """Shows a run step by step: the picture, the sentence, the code, the costs, the checks.

    :param run: what was recorded, or a message made before
    :param step: the step that is shown first; 0 is the state before anything happened

    >>> from kvmmu_widgets.synthetic import synthetic_message
    >>> Stepper(synthetic_message(4, 3))
    Stepper: 4 tables in 3 steps, 3 steps
    """

    _esm = script()
    _css = style("stepper")
    message = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(self, run: Mapping[str, Any], *, step: int = 0) -> None:
        """Show *run*, at first at *step*."""
        message = dict(run)
        super().__init__(message=message, step=step, **identity("stepper", message))

    @property
    def last(self) -> int:
        """The number of the last step."""
        return len(self.message["steps"]) - 1

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
        return f"Stepper: {self.message.get('title', '')}, {self.last} steps"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return data | {"text/plain": repr(self)}, metadata
