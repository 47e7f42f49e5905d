"""What must not stand in the repository: loose ends, and paths of somebody's machine."""

import re

import pytest

from tests.laws.source import ROOT, report, repository_files

TEXTS = {".py", ".md", ".toml", ".js", ".css", ".ipynb", ".cff", ".html", ".txt", ".scn", ""}
#: these lines show what is looked for, here
THIS = "tests/laws/test_texts.py"

LOOSE_END = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
MACHINE_PATH = re.compile(
    r"(?<![\w.~$}/-])/(?:work|farm|root|Users|home/\w+|opt/\w*pypi[\w-]*|tmp/\w+)(?:/|\b)"
    r"|\b[A-Z]:\\\\?Users\b|/site-packages/|file:///"
)


def texts():
    for path in repository_files():
        name = path.relative_to(ROOT).as_posix()
        recorded = name.startswith(("tests/recordings/linux-", "assets/recordings/"))
        if path.suffix in TEXTS and name != THIS and not recorded:
            yield name, path.read_text(encoding="utf-8")


def lines_with(pattern):
    for name, text in texts():
        for number, line in enumerate(text.splitlines(), 1):
            match = pattern.search(line)
            if match:
                yield f"{name}:{number}: {line[max(0, match.start() - 30) : match.end() + 30]}"


@pytest.mark.parametrize(
    "line",
    ["# TODO: later", "raise NotImplementedError", "x = 1  # FIXME"],
)
def test_loose_ends_are_seen(line):
    assert LOOSE_END.search(line)


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("see /work/src", True),
        ('"/home/ann/kvm"', True),
        ("/root/.cache", True),
        ("/tmp/pytest-1/x", True),
        ("https://example.org/home/", False),
        ("tests/work/x", False),
        ("/sys/module/kvm/parameters", False),
        ("/dev/kvm and /proc/self/pagemap", False),
    ],
)
def test_machine_paths_are_seen(line, seen):
    assert bool(MACHINE_PATH.search(line)) == seen


def test_no_loose_ends():
    report(lines_with(LOOSE_END))


def test_no_machine_paths():
    report(lines_with(MACHINE_PATH))


def test_every_text_is_clean_utf8():
    findings = []
    for name, text in texts():
        if "\r" in text or ("\t" in text and name.endswith(".py")):
            findings.append(f"{name}: carriage returns or tabs")
        if text and not text.endswith("\n") and not name.endswith(".ipynb"):
            findings.append(f"{name}: no newline at the end")
    report(findings)
