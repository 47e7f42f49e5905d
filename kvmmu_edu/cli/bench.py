"""``kvmmu-edu bench``: how fast the engine is here.

Ours.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np

from kvmmu_edu.bench.everything import everything
from kvmmu_edu.bench.meter import Figure, Meter
from kvmmu_edu.errors import UsageError
from kvmmu_edu.shipped import PACKAGE, is_checkout


@click.command("bench")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--quick", is_flag=True, help="Do little of everything: to see that it runs.")
@click.option(
    "--recordings",
    "folder",
    type=click.Path(path_type=Path),
    help="Recordings to run; by default those of Linux 6.12 in a checkout's tests.",
)
def bench_command(folder: Path | None, *, as_json: bool, quick: bool) -> None:
    """Measure how fast the engine is here.

    For faults, accesses, slots, lookups, creation, recordings and imports: the time of one
    operation, how many fit into a second, and the ratio: how many turns of a plain Python loop,
    measured in the same run, take as long.  Compare ratios, not times, across machines.

    The JSON object has the keys python, numpy, quick, reference_seconds (one turn of the loop)
    and figures: a list of objects with the keys name, what, seconds, per_second and ratio.
    """
    meter = Meter(quick=quick)
    figures = _all_figures(meter, _recordings(folder))
    if as_json:
        click.echo(json.dumps(_as_object(meter, figures), indent=1))
        return
    click.echo(f"{'one operation':>14} {'per second':>12} {'ratio':>12}")
    for figure in figures:
        click.echo(_line(figure))
    click.echo(_line(meter.given("", "one turn of the reference loop", meter.reference)))


def _all_figures(meter: Meter, folder: Path | None) -> Iterator[Figure]:
    yield from everything(meter, folder)
    for module in ("numpy", "kvmmu_edu"):
        seconds = _best(lambda module=module: _import(module), meter.turns)  # type: ignore[misc]
        yield meter.given(f"import.{module}", f"import {module}, in a new process", seconds)


def _recordings(folder: Path | None) -> Path | None:
    """Return the folder of recordings to run, None for none.

    :raises UsageError: when there is no folder of the name that was given
    """
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; expected one of recordings")
    if folder is None and is_checkout():
        folder = PACKAGE.parent / "tests" / "recordings" / "linux-6.12"
    return folder


def _import(module: str) -> float:
    """Return how long a new process takes to import *module*, less what an empty one takes."""
    return _process(f"import {module}") - _process("pass")


def _process(program: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603 - our own words
    return perf_counter() - start


def _best(measure: Callable[[], float], turns: int) -> float:
    return max(min(measure() for _ in range(turns)), 1e-6)


def _as_object(meter: Meter, figures: Iterator[Figure]) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "quick": meter.quick,
        "figures": [{**figure._asdict(), "per_second": figure.per_second} for figure in figures],
        "reference_seconds": meter.reference,
    }


def _line(figure: Figure) -> str:
    time, rate = _time_text(figure.seconds), f"{figure.per_second:,.0f}"
    return f"{time:>14} {rate:>12} {figure.ratio:>12,.0f}  {figure.what}"


def _time_text(seconds: float) -> str:
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= unit:
            return f"{seconds / unit:.4g} {name}"
    return f"{seconds * 1e9:.4g} ns"
