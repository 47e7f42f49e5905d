"""``kvmmu-edu run``: run scenarios and write what the recordings also have.

Ours.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
from tqdm import tqdm

from kvmmu_edu.cli.group import complain
from kvmmu_edu.errors import Deadlock, InvariantError, KernelBug, UsageError
from kvmmu_edu.scenario.language import read_scenario
from kvmmu_edu.scenario.meta import machine_of
from kvmmu_edu.scenario.results import write_results
from kvmmu_edu.scenario.runner import run_scenario

_SCENARIO = "scenario.scn"
_META = "meta.txt"


class Task(NamedTuple):
    """A scenario to run: its file, the recording's meta.txt if any, where results go."""

    scenario: Path
    meta: Path | None
    folder: Path


@click.command("run")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Write OUT/<scenario>/result.jsonl and trace.txt.",
)
@click.option(
    "--kernel",
    type=click.Choice(["6.12", "6.1"]),
    help="Kernel to model; by default the one in meta.txt, else 6.12.",
)
@click.option(
    "--check/--no-check", default=True, help="Check every invariant after each operation."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; by default one per core.")
def run_command(
    paths: tuple[Path, ...], out: Path, kernel: str | None, *, check: bool, jobs: int | None
) -> int:
    """Run scenarios and write their results and traces.

    PATHS are scenario files, folders with a scenario.scn (and the meta.txt of a recording), or
    folders of such folders.  Only these two files are read.
    """
    tasks = list(find_tasks(paths, out))
    work = partial(run_task, kernel=kernel, check=check)
    count = min(jobs or os.cpu_count() or 1, len(tasks))
    status = 0
    for message in _messages(tasks, work, count):
        if message:
            status = complain(message)
    if not status:
        click.echo(f"{len(tasks)} scenarios run; results in {out}")
    return status


def _messages(tasks: list[Task], work: "partial[str]", count: int) -> Iterator[str]:
    """Yield what went wrong with each task, or an empty text, in their order."""
    if count == 1:
        yield from tqdm(map(work, tasks), total=len(tasks), disable=None)
        return
    with ProcessPoolExecutor(count) as pool:
        yield from tqdm(pool.map(work, tasks), total=len(tasks), disable=None)


def run_task(task: Task, *, kernel: str | None, check: bool) -> str:
    """Run one scenario and write its results; return what went wrong, or an empty text."""
    try:
        scenario = read_scenario(task.scenario)
        machine = machine_of(scenario.directives, task.meta, kernel)
        run = run_scenario(scenario, machine, check_every=int(check))
        write_results(task.folder, run.results, run.trace_text())
    except UsageError as error:
        return str(error)
    except (InvariantError, KernelBug, Deadlock) as error:
        return f"{task.scenario}: the model failed, {type(error).__name__}: {error}"
    return ""


def find_tasks(paths: tuple[Path, ...], out: Path) -> Iterator[Task]:
    """Yield the scenarios that *paths* mean, each with its own folder below *out*.

    :raises UsageError: when there is none, or two would be written to one folder
    """
    seen: dict[Path, Path] = {}
    for path in paths:
        for file in _scenario_files(path):
            task = _task(file, out)
            if task.folder in seen:
                other = seen[task.folder]
                raise UsageError(f"{file} and {other} have one name; expected different names")
            seen[task.folder] = file
            yield task


def _task(file: Path, out: Path) -> Task:
    in_folder = file.name == _SCENARIO
    folder = out / (file.resolve().parent.name if in_folder else file.stem)
    if folder.resolve() == file.resolve().parent:
        raise UsageError(f"{folder} holds the scenario itself; expected another --out")
    meta = file.with_name(_META) if in_folder else None
    return Task(file, meta if meta is not None and meta.exists() else None, folder)


def _scenario_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"{path}: no such file or folder; expected a scenario")
    if (path / _SCENARIO).exists():
        return [path / _SCENARIO]
    found = sorted([*path.glob(f"*/{_SCENARIO}"), *path.glob("*.scn")])
    if not found:
        raise UsageError(f"{path}: no {_SCENARIO} in it; expected a scenario or a folder of them")
    return found
