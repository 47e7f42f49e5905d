"""What is compared: the results and the events of one scenario, from files or from a run.

Files are read with care: what is truncated or corrupt is named with its file and line.

Ours.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from kvmmu_edu.compare.event_text import comparable, mark_of, split_line
from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.language import Scenario, read_scenario
from kvmmu_edu.scenario.operations import Background, Par
from kvmmu_edu.scenario.runner import Run

#: one operation of result.jsonl
Result: TypeAlias = dict[str, Any]
#: task and text of each event that counts, for each operation
Events: TypeAlias = dict[int, list[tuple[str, str]]]

RESULTS = "result.jsonl"
TRACES = ("trace.txt", "trace.txt.gz")


@dataclass(frozen=True, slots=True)
class Material:
    """One side of a comparison.

    :ivar results: operation number to what it returned
    :ivar events: operation number to its events, or None when there is no trace
    """

    results: dict[int, Result]
    events: Events | None


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of the real kernel: its material, and what its scenario says about it.

    :ivar lite: whether changes of 4K entries are missing in its trace
    :ivar parallel: whether vCPUs really ran at once, so that chance decided the order
    """

    name: str
    material: Material
    lite: bool
    parallel: bool


def read_recording(folder: Path) -> Recording:
    """Read a recording.

    :raises UsageError: when a file is missing, truncated or corrupt
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; expected a recording")
    scenario = read_scenario(folder / "scenario.scn")
    lite = scenario.directives.lite
    results = read_results(folder / RESULTS)
    material = Material(results, read_trace(folder, lite=lite))
    return Recording(folder.resolve().name, material, lite, _is_parallel(scenario))


def _is_parallel(scenario: Scenario) -> bool:
    return any(isinstance(s.operation, Par | Background) for s in scenario.statements)


def read_produced(folder: Path, *, lite: bool = False) -> Material:
    """Read what a run left behind; nothing at all is an empty material.

    :raises UsageError: when a file is truncated or corrupt
    """
    path = folder / RESULTS
    return Material(read_results(path) if path.exists() else {}, read_trace(folder, lite=lite))


def of_run(run: Run, *, lite: bool = False) -> Material:
    """Return the material of a run in memory."""
    results = {result["n"]: result for result in run.results if "n" in result}
    if not run.has_trace:
        return Material(results, None)
    return Material(results, _events(run.trace_lines(), run.scenario.name, lite=lite))


# --- result.jsonl -----------------------------------------------------------------------------


def read_results(path: Path) -> dict[int, Result]:
    """Read a ``result.jsonl``: operation number to what it returned.

    :raises UsageError: naming file and line, when it is missing, truncated or corrupt
    """
    results = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for line, text in enumerate(lines, 1):
                if text.strip():
                    result = _read_result(text, f"{path}:{line}")
                    if "n" in result:
                        results[result["n"]] = result
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected the results of a scenario") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text; expected the results of a scenario") from None
    return results


def _read_result(text: str, where: str) -> Result:
    try:
        result = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{where}: not JSON, perhaps truncated; expected one object") from None
    wrong = _wrong_field(result)
    if wrong:
        raise UsageError(f"{where}: {wrong}")
    return result  # type: ignore[no-any-return]


def _wrong_field(result: Any) -> str:
    """Return what of a result is not what it must be, or an empty text."""
    if not isinstance(result, dict):
        return f"not an object but {type(result).__name__}; expected an object"
    if "n" not in result:
        return ""
    exits, stats = result.get("exits") or [], result.get("stats", {})
    pairs = stats.values() if isinstance(stats, dict) else ()
    checks = (
        (isinstance(result["n"], int), "n is not a number; expected that of an operation"),
        (isinstance(result.get("op"), str), "op is not a text; expected the operation"),
        (_all_are(exits, dict), "exits is not a list of objects; expected the exits of vCPUs"),
        (isinstance(stats, dict), "stats is not an object; expected statistics by name"),
        (all(map(_is_statistic, pairs)), "a statistic is not [before, after]; expected numbers"),
        (isinstance(result.get("rmaps") or "", str), "rmaps is not a text; expected a table"),
    )
    return next((message for good, message in checks if not good), "")


def _all_are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(one, kind) for one in values)


def _is_statistic(value: Any) -> bool:
    return isinstance(value, int) or (_all_are(value, int) and len(value) == 2)


# --- traces -----------------------------------------------------------------------------------


def read_trace(folder: Path, *, lite: bool = False) -> Events | None:
    """Read ``trace.txt`` or ``trace.txt.gz``: the events that count, for each operation.

    :returns: None when there is neither file
    :raises UsageError: naming file and line, when it is truncated or corrupt
    """
    path = next((folder / name for name in TRACES if (folder / name).exists()), None)
    if path is None:
        return None
    return _events(_lines(path), str(path), lite=lite)


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")


def _lines(path: Path) -> Iterator[str]:
    line = 1
    try:
        with _open(path) as lines:
            for text in lines:
                line += 1
                yield text.decode("utf-8", "replace").rstrip("\n")
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UsageError(
            f"{path}:{line}: the compressed data ends or breaks here; expected a whole file"
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected a trace") from None


def _events(lines: Iterable[str], path: str, *, lite: bool) -> Events:
    events: Events = {}
    current: int | None = None
    line = 0
    for line, text in enumerate(lines, 1):
        try:
            current = _read_line(text, current, events, lite=lite)
        except UsageError as error:
            raise UsageError(f"{path}:{line}: {error}") from None
    if current is not None:
        raise UsageError(f"{path}:{line}: the trace ends within operation {current}; expected END")
    return events


def _read_line(text: str, current: int | None, events: Events, *, lite: bool) -> int | None:
    if not text.strip() or text.startswith("#"):
        return current
    parsed = split_line(text)
    if parsed is None:
        raise UsageError(f"{text[:60]!r} is no line of a trace; expected TASK-PID [CPU] ...")
    mark = mark_of(parsed.body)
    if mark is not None:
        return mark.number if mark.word == "OP" else None
    if current is not None:
        event = comparable(parsed.body, lite=lite)
        if event is not None:
            events.setdefault(current, []).append((parsed.task, event))
    return current
