"""The lessons on disk: finding one by number or name, and a learner's own copy of them.

Whoever works in a checkout works on its lessons in place.  Whoever installed a wheel gets a
copy in a folder of their own, which later versions add to and never overwrite:

==========================  ================  ==========================================
in the learner's folder     shipped since     what happens
==========================  ================  ==========================================
not there                                     the lesson is copied
as it was copied            updated           the copy is replaced
changed by the learner      the same          nothing
changed by the learner      updated           the new one is put beside, under a new name
==========================  ================  ==========================================
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Final

from kvmmu_edu.errors import UsageError

#: in the learner's folder: what each file was when it was copied, as a hash
RECORD: Final = ".shipped.json"


def lessons(folder: Path) -> list[str]:
    """Return the file names of the lessons in *folder*, in their order."""
    return sorted(path.name for path in folder.glob("[0-9][0-9]_*.ipynb"))


def find_lesson(folder: Path, wanted: str) -> str:
    """Return the file name of the lesson that is called *wanted*.

    :param wanted: its number, its name, or a part of its name that no other lesson has
    :raises UsageError: when no lesson, or more than one, is called so
    """
    stems = [name.removesuffix(".ipynb") for name in lessons(folder)]
    text = wanted.removesuffix(".ipynb").lower()
    number = f"{text.zfill(2)}_" if text.isdigit() else None
    for found in (
        [stem for stem in stems if number and stem.startswith(number)],
        [stem for stem in stems if text == stem.lower()],
        [stem for stem in stems if text and text in stem.lower()],
    ):
        if len(found) == 1:
            return f"{found[0]}.ipynb"
    raise UsageError(f"no lesson {wanted!r}; expected one of {', '.join(stems)}")


def copy_lessons(source: Path, folder: Path) -> list[str]:
    """Bring the learner's *folder* up to date with the lessons in *source*.

    :returns: what the learner should know, a sentence each
    """
    folder.mkdir(parents=True, exist_ok=True)
    copied = _read_record(folder)
    news = []
    for path in sorted(source.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        name = path.relative_to(source).as_posix()
        data = path.read_bytes()
        beside = _bring(folder / name, data, copied.get(name))
        if beside is not None:
            news.append(f"{name} has a new version: {beside.name} (yours is kept)")
        copied[name] = _digest(data)
    _write(folder / RECORD, json.dumps(copied, indent=1).encode())
    return news


def _bring(target: Path, data: bytes, copied: str | None) -> Path | None:
    """Write *data* to *target* or, if the learner changed that, beside it: then say where."""
    new = _digest(data)
    here = _digest(target.read_bytes()) if target.exists() else None
    if here in {None, copied} and here != new:
        _write(target, data)
    elif new not in {here, copied}:
        return _write_beside(target, data)
    return None


def _write_beside(target: Path, data: bytes) -> Path:
    number = 1
    while True:
        mark = "-updated" if number == 1 else f"-updated-{number}"
        beside = target.with_stem(target.stem + mark)
        if not beside.exists():
            _write(beside, data)
            return beside
        if beside.read_bytes() == data:
            return beside
        number += 1


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_record(folder: Path) -> dict[str, str]:
    # without a readable record every file counts as the learner's, so none is overwritten
    with contextlib.suppress(OSError, ValueError, AttributeError):
        record = json.loads((folder / RECORD).read_bytes())
        return {str(name): str(digest) for name, digest in record.items()}
    return {}


def _write(path: Path, data: bytes) -> None:
    # beside, then renamed: a crash leaves the old file or the new one, never half of one
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    draft.write_bytes(data)
    draft.replace(path)
