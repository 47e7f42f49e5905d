"""What a run leaves behind: ``result.jsonl`` and ``trace.txt``, as the recordings have them.

A folder appears when everything in it is complete; a run that fails leaves none, or the one
that was there before.

Ours.
"""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from kvmmu_edu.errors import UsageError
from kvmmu_edu.trace.stats import Counters

Result: TypeAlias = dict[str, Any]
Statistics: TypeAlias = dict[str, int]

RESULTS = "result.jsonl"
TRACE = "trace.txt"


def statistics(counters: Counters) -> Statistics:
    """Return the statistics as results name them: ``vm.NAME`` and ``v0.NAME``."""
    found = {f"vm.{name}": value for name, value in counters.vm.items()}
    for number, stats in enumerate(counters.vcpus):
        found |= {f"v{number}.{name}": value for name, value in stats.items()}
    return found


def changed(before: Statistics, after: Statistics) -> dict[str, list[int]]:
    """Return ``[before, after]`` of every statistic that changed.

    >>> changed({"vm.pages_4k": 3}, {"vm.pages_4k": 4, "v0.pf_taken": 0})
    {'vm.pages_4k': [3, 4]}
    """
    pairs = {name: [before.get(name, 0), value] for name, value in after.items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def write_results(folder: Path, results: Iterable[Result], trace: str | None) -> None:
    """Write a run into *folder*, in place of what was there.

    :param trace: the text of the trace; None if there is none
    :raises UsageError: when it cannot be written
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            lines = (json.dumps(result, separators=(",", ":")) + "\n" for result in results)
            (new / RESULTS).write_text("".join(lines), encoding="utf-8")
            if trace is not None:
                (new / TRACE).write_text(trace, encoding="utf-8")
            if folder.is_dir():
                folder.rename(Path(scratch) / "old")
            new.rename(folder)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}; expected a folder to write to") from None
