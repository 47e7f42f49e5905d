"""``kvmmu-edu lab`` really starts JupyterLab, and really ends it."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from click.testing import CliRunner

from kvmmu_edu.cli import lab as lab_module
from kvmmu_edu.cli import main

LESSONS = ("00_start.ipynb", "03_what.ipynb")
#: runs the command with the lessons of the test, as an installed wheel would
PROGRAM = """
import sys
from pathlib import Path
from kvmmu_edu.cli import lab, main
source, sys.argv[1:2] = Path(sys.argv[1]), []
lab_module = sys.modules["kvmmu_edu.cli.lab"]
lab_module.shipped = lambda what: source
lab_module.is_checkout = lambda: False
main()
"""
NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name in LESSONS:
        (folder / name).write_text(NOTEBOOK)
    return folder


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.fixture
def start(tmp_path, source):
    """Start the command and return it with the address that it prints."""
    running = []

    def run(*arguments):
        home = {name: str(tmp_path / name) for name in ("HOME", "XDG_DATA_HOME")}
        jupyter = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "RUNTIME")}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(source), "lab", "--no-browser", *arguments],
            env=os.environ | home | jupyter,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                return process, "".join(said)
        raise AssertionError("".join(said))

    yield run
    for process in running:
        process.kill()
        process.communicate()


def address(said):
    return re.search(
        r"^Address: (http://127\.0\.0\.1:(\d+)/(\S*)\?token=(\w+))$", said, re.MULTILINE
    )


def get(url):
    # a proxy has no business on the loopback interface
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as answer:
        return answer.status, answer.read().decode()


def test_it_serves_the_lessons_with_a_token_and_ends_at_ctrl_c(start, taken_port, tmp_path):
    process, said = start("03", "--port", str(taken_port))
    url, port, page, token = address(said).groups()

    assert int(port) != taken_port
    assert page == "lab/tree/03_what.ipynb"
    assert get(url)[0] == 200
    status, listing = get(f"http://127.0.0.1:{port}/api/contents?token={token}")
    assert status == 200
    assert all(name in listing for name in LESSONS)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(f"http://127.0.0.1:{port}/api/contents")
    copies = next(path for path in tmp_path.rglob("lessons") if path.is_dir())
    assert {path.name for path in copies.glob("*.ipynb")} == set(LESSONS)
    assert f"Lessons: {copies}" in said

    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0, rest
    assert "JupyterLab has ended." in rest
    with pytest.raises(urllib.error.URLError):
        get(url)


def test_an_unknown_lesson_is_one_line_and_status_2():
    result = CliRunner().invoke(main, ["lab", "no such lesson"])
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert "no lesson 'no such lesson'; expected one of" in line


def served(monkeypatch, *arguments):
    """Return what the command would serve."""
    calls = []
    monkeypatch.setattr(
        sys.modules[lab_module.callback.__module__],
        "serve",
        lambda *args, **options: calls.append((*args, options)),
    )
    result = CliRunner().invoke(main, ["lab", *arguments])
    assert result.exit_code == 0, result.output
    return calls[0]


def test_a_checkout_is_worked_on_in_place(monkeypatch, pytestconfig):
    folder, page, port, options = served(monkeypatch)
    assert folder == pytestconfig.rootpath / "notebooks"
    assert (page, port, options) == ("lab", 8888, {"browser": True})


def test_port_and_browser_are_passed_on(monkeypatch):
    _, _, port, options = served(monkeypatch, "--port", "9000", "--no-browser")
    assert (port, options) == (9000, {"browser": False})


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_a_port_that_is_none(port):
    result = CliRunner().invoke(main, ["lab", "--port", port])
    assert result.exit_code == 2
    assert "--port" in result.output


def test_a_folder_that_cannot_be_written_is_a_users_mistake(monkeypatch, tmp_path):
    module = sys.modules[lab_module.callback.__module__]
    blocker = tmp_path / "data"
    blocker.write_text("a file where a folder should be")
    monkeypatch.setattr(module, "is_checkout", lambda: False)
    monkeypatch.setattr(module.platformdirs, "user_data_path", lambda *_, **__: blocker)
    result = CliRunner().invoke(main, ["lab"])
    assert result.exit_code == 2
    assert "cannot keep a copy of the lessons" in result.output
