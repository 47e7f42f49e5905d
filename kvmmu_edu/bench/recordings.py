"""Running recorded scenarios, with and without a check of all invariants after each operation.

Ours.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from kvmmu_edu.bench.meter import Figure, Meter, Work
from kvmmu_edu.scenario.language import Scenario, read_scenario
from kvmmu_edu.scenario.meta import Machine, machine_of
from kvmmu_edu.scenario.runner import run_scenario

_Case: TypeAlias = tuple[Scenario, Machine]

#: what is measured together: prefixes of the names of scenarios
_GROUPS: Final = (
    ("a", "the recordings a: touching memory, creating and deleting slots"),
    ("d", "the recordings d: what ioctls refuse"),
    ("e", "the recordings e: moving a slot; 500 and 2000 slots"),
)
#: longer scenarios are left out where it is enough to see that it runs
_FEW_OPERATIONS: Final = 50


def recordings(meter: Meter, folder: Path) -> Iterator[Figure]:
    """Measure whole passes over the scenarios of *folder* that concern one thing.

    :param folder: the recordings of one kernel, a folder for each
    """
    meter = meter.sparing(3)
    for prefix, what in _GROUPS:
        cases = [_case(path.parent) for path in sorted(folder.glob(f"{prefix}*/scenario.scn"))]
        if meter.quick:
            cases = [case for case in cases if len(case[0].statements) < _FEW_OPERATIONS]
        for name, how, check_every in (("plain", "", 0), ("checked", ", checked", 1)):
            if cases:
                work = partial(_passes, cases, check_every)
                yield meter.figure(f"recordings.{prefix}.{name}", what + how, work)


def _case(folder: Path) -> _Case:
    scenario = read_scenario(folder / "scenario.scn")
    return scenario, machine_of(scenario.directives, folder / "meta.txt")


def _passes(cases: list[_Case], check_every: int) -> Work:
    def work() -> int:
        for scenario, machine in cases:
            run_scenario(scenario, machine, check_every=check_every)
        return 1

    return work
