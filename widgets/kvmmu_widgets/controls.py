"""Controls that choose the parameters of a run, run it again, and show it in a stepper.

    explore(run, kernel=["6.12", "6.1"], pages=range(1, 65), dirty_logging=False)

A change of a control calls ``run(kernel=..., pages=..., dirty_logging=...)``.  What it returns
is shown in the same stepper, at the same place of the same operation where there is one.  A
parameter that the engine refuses gives one line of help.  Ours.
"""

import inspect
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, Final, TypeAlias

import ipywidgets

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_widgets.identity import steady
from kvmmu_widgets.stepper import Run, Stepper, message_of

#: choices, a range of numbers, labelled values, or the value to begin with
Control: TypeAlias = Any

_FEW: Final = 4
_STYLE: Final = {"description_width": "initial"}


class Explorer:
    """Controls, a line of help, and a stepper; see :func:`explore`.

    :ivar stepper: shows the last run that succeeded; None if there was none
    :ivar help: why the last run did not succeed, or ""
    """

    def __init__(
        self,
        run: Callable[..., Run],
        controls: Mapping[str, Control],
        options: Mapping[str, Any],
    ) -> None:
        """Make the controls and run once."""
        self.run = run
        self.options = dict(options)
        self._step = self.options.pop("step", 0)
        self.controls = {name: _widget(name, control) for name, control in controls.items()}
        for name, widget in self.controls.items():
            _begin_with_default(run, name, widget)
        self.stepper: Stepper | None = None
        self.help = ""
        self._line = steady(ipywidgets.HTML)
        for widget in self.controls.values():
            widget.observe(self._changed, names="value")
        row = steady(ipywidgets.HBox, children=list(self.controls.values()))
        row.layout.flex_flow = "row wrap"
        self.box = steady(ipywidgets.VBox, children=[row, self._line])
        self.refresh()

    @property
    def values(self) -> dict[str, Any]:
        """What the controls say now, by name."""
        return {name: widget.value for name, widget in self.controls.items()}

    def set(self, **values: Any) -> None:
        """Move controls, as the reader would, and run once.

        :raises UsageError: no such control, or it does not take this value
        """
        for name in values:
            if name not in self.controls:
                known = ", ".join(self.controls)
                raise UsageError(f"there is no control {name!r}; expected one of {known}")
        before = self.values
        for widget in self.controls.values():
            widget.unobserve(self._changed, names="value")
        try:
            for name, value in values.items():
                _move(name, self.controls[name], value)
        finally:
            for widget in self.controls.values():
                widget.observe(self._changed, names="value")
        if self.values != before:
            self.refresh()

    def refresh(self) -> None:
        """Run with the values of the controls, and show the run or one line of help."""
        try:
            message = message_of(self.run(**self.values), **self.options)
        except Exception as error:  # noqa: BLE001 - whatever it is, a reader gets one line
            self._refuse(error)
            return
        self.help = self._line.value = ""
        if self.stepper is None:
            self.stepper = Stepper(message, step=self._step)
            self.box.children = (*self.box.children, self.stepper)
            return
        place = same_place(self.stepper.message, self.stepper.step, message)
        with self.stepper.hold_sync():
            self.stepper.message = message
            self.stepper.step = place

    def _changed(self, _change: object) -> None:
        self.refresh()

    def _refuse(self, error: Exception) -> None:
        said = " ".join(str(error).split())
        known = isinstance(error, KvmError | UsageError)
        self.help = said if known else f"{type(error).__name__}: {said}"
        shown = " The picture is that of the run before." if self.stepper else ""
        self._line.value = f"<strong>Not run.</strong> {escape(self.help)}.{shown}"

    def __repr__(self) -> str:
        """Return the controls with their values, and what is shown."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        shown = f"not run: {self.help}" if self.help else repr(self.stepper)
        return f"Explore {values}. {shown}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        data: dict[str, Any] = dict(self.box._repr_mimebundle_(**kwargs))
        if self.stepper is not None:
            data["image/svg+xml"] = str(self.stepper.svg(-1))
        return data | {"text/plain": repr(self)}


def explore(
    run: Callable[..., Run], *, show: Mapping[str, Any] | None = None, **controls: Control
) -> Explorer:
    """Let the reader choose the parameters of *run* and step through what it does.

    :param run: takes the controls' values by name and returns a VM made with
        ``trace="steps"``, records, or a message
    :param show: how to show it: what :class:`~kvmmu_widgets.stepper.Stepper` takes; ``step``
        is where it begins
    :param controls: for each parameter a list of choices, a dict from labels to values, a
        ``range`` of numbers, or a first value: a bool, a number, a text; a range begins with
        the default of *run* if that lies in it

    >>> from kvmmu_edu import Choices, Vm
    >>> def touch(kernel, pages):
    ...     vm = Vm(choices=Choices(kernel=kernel), trace="steps")
    ...     hva = vm.host.mmap("A", "anon4k", 1 << 20)
    ...     vm.set_user_memory_region(0, 0, 0, pages << 12, hva)
    ...     vm.create_vcpu().write(0)
    ...     return vm
    >>> explorer = explore(touch, show={"title": "A write"}, kernel=["6.12", "6.1"], pages=16)
    >>> explorer.help
    ''
    >>> explorer.set(pages=0)
    >>> explorer
    Explore kernel='6.12', pages=0. not run: EINVAL: there is no slot 0 to delete
    """
    return Explorer(run, controls, show or {})


def same_place(old: Mapping[str, Any], step: int, new: Mapping[str, Any]) -> int:
    """Return the step of *new* that is closest to step *step* of *old*.

    That is as far into the operation of the same number; the last step stays the last.
    """
    last = len(new["steps"]) - 1
    if step >= len(old["steps"]) - 1:
        return last
    for before, after in zip(old.get("ops", ()), new.get("ops", ()), strict=False):
        if before["first"] <= step <= before["last"]:
            return int(min(after["first"] + step - before["first"], after["last"]))
    return min(step, last)


def _widget(name: str, control: Control) -> Any:
    """Return the widget that chooses a value for the parameter *name*."""
    common = {"description": name.replace("_", " "), "style": _STYLE}
    if isinstance(control, ipywidgets.ValueWidget):
        return control
    if isinstance(control, bool):
        return steady(ipywidgets.Checkbox, value=control, indent=False, **common)
    if isinstance(control, range):
        slider = ipywidgets.IntSlider if len(control) > 1 else ipywidgets.IntText
        ends = {"min": control[0], "max": control[-1], "step": control.step}
        return steady(slider, value=control[0], continuous_update=False, **ends, **common)
    if isinstance(control, Mapping | list | tuple):
        options = list(control.items()) if isinstance(control, Mapping) else list(control)
        few = len(options) <= _FEW
        kind = ipywidgets.ToggleButtons if few else ipywidgets.Dropdown
        if few:
            common["style"] = _STYLE | {"button_width": "auto"}
        return steady(kind, options=options, **common)
    if isinstance(control, int):
        return steady(ipywidgets.IntText, value=control, continuous_update=False, **common)
    if isinstance(control, str):
        return steady(ipywidgets.Text, value=control, continuous_update=False, **common)
    what = "a list, a dict, a range, a bool, a number, or a text"
    raise UsageError(f"control {name} is {control!r}; expected {what}")


def _begin_with_default(run: Callable[..., Run], name: str, widget: Any) -> None:
    """Let a slider begin with the value that *run* itself takes, if it is in its range."""
    parameter = inspect.signature(run).parameters.get(name)
    first = None if parameter is None else parameter.default
    if not isinstance(widget, ipywidgets.IntSlider) or not isinstance(first, int):
        return
    if widget.min <= first <= widget.max:
        widget.value = first


def _move(name: str, widget: Any, value: Any) -> None:
    try:
        widget.value = value
    except Exception as error:
        raise UsageError(f"control {name} does not take {value!r}") from error
