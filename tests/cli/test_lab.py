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

from kvmmu_edu.cli import main

#: the module; its name in the package is the command's
LAB = sys.modules["kvmmu_edu.cli.lab"]
LESSONS = ("00_start.ipynb", "03_what.ipynb")
#: runs the command with the lessons of the test, as an installed wheel would
PROGRAM = """
import sys
from pathlib import Path
from kvmmu_edu.cli import main
source, sys.argv[1:2] = Path(sys.argv[1]), []
module = sys.modules["kvmmu_edu.cli.lab"]
module.shipped = lambda what: source
module.is_checkout = lambda: False
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


@pytest.fixture
def checkout(source, monkeypatch):
    """Let the command believe that it is in a checkout, and note what it would serve."""
    calls = []
    monkeypatch.setattr(LAB, "shipped", lambda _what: source)
    monkeypatch.setattr(LAB, "is_checkout", lambda: True)
    monkeypatch.setattr(LAB, "serve", lambda *args, **options: calls.append((*args, options)))
    return calls


def invoke(*arguments):
    return CliRunner().invoke(main, ["lab", *arguments])


def test_a_checkout_is_worked_on_in_place(checkout, source):
    assert invoke().exit_code == 0
    assert checkout == [(source, "lab", 8888, {"browser": True})]


def test_lesson_port_and_browser_are_passed_on(checkout, source):
    assert invoke("what", "--port", "9000", "--no-browser").exit_code == 0
    assert checkout == [(source, "lab/tree/03_what.ipynb", 9000, {"browser": False})]


def test_an_unknown_lesson_is_one_line_and_status_2(checkout):
    result = invoke("07")
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert "no lesson '07'; expected one of 00_start, 03_what" in line
    assert checkout == []


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_a_port_that_is_none(checkout, port):
    result = invoke("--port", port)
    assert result.exit_code == 2
    assert "--port" in result.output
    assert checkout == []


def test_a_folder_that_cannot_be_written_is_a_users_mistake(checkout, monkeypatch, tmp_path):
    blocker = tmp_path / "data"
    blocker.write_text("a file where a folder should be")
    monkeypatch.setattr(LAB, "is_checkout", lambda: False)
    monkeypatch.setattr(LAB.platformdirs, "user_data_path", lambda *_, **__: blocker)
    result = invoke()
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert "cannot keep a copy of the lessons" in line
    assert checkout == []
