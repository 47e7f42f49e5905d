"""Recordings of the real kernel that come with the lessons, and runs of the same scenarios.

The folder ``assets/recordings`` has one folder for each: its scenario, which is the only input
to a run besides ``meta.txt``, and what the real kernel returned, counted and traced.  Ours.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from kvmmu_edu.choices import KernelVersion
from kvmmu_edu.compare.comparison import Comparison, compare_scenario
from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.language import read_scenario
from kvmmu_edu.scenario.meta import machine_of
from kvmmu_edu.scenario.runner import run_scenario
from kvmmu_edu.shipped import shipped
from kvmmu_edu.trace.recorder import StepTrace
from kvmmu_edu.vm import Vm


class Rerun(NamedTuple):
    """A recording and the model's run of the same scenario.

    :ivar scenario: the text of the scenario
    :ivar comparison: both sides, operation by operation
    :ivar vm: the VM as the run left it, with its steps
    """

    scenario: str
    comparison: Comparison
    vm: Vm


def recordings() -> list[str]:
    """Return the names of the recordings that come with the lessons."""
    return sorted(path.parent.name for path in _folder().glob("*/scenario.scn"))


def recording(name: str) -> Path:
    """Return the folder of a recording.

    :raises UsageError: there is none of that name
    """
    if name not in recordings():
        raise UsageError(f"no recording {name!r}; expected one of {', '.join(recordings())}")
    return _folder() / name


@cache
def rerun(name: str, kernel: KernelVersion | None = None) -> Rerun:
    """Run the scenario of a recording in the model and compare the two.

    :param kernel: the kernel to model; by default the one that was recorded
    :raises UsageError: there is no recording of that name
    """
    folder = recording(name)
    scenario = read_scenario(folder / "scenario.scn")
    machine = machine_of(scenario.directives, folder / "meta.txt", kernel)
    run = run_scenario(scenario, machine, trace=StepTrace())
    text = (folder / "scenario.scn").read_text(encoding="utf-8")
    return Rerun(text, compare_scenario(folder, run), run.vm)


def _folder() -> Path:
    return shipped("assets") / "recordings"
