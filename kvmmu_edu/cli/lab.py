"""``kvmmu-edu lab``: JupyterLab, open at the lessons.

JupyterLab runs in this process, on the loopback address, and asks for the token that the
printed address carries.
"""

import secrets
import signal
from pathlib import Path
from urllib.parse import quote

import click
import platformdirs

from kvmmu_edu.cli.lessons import copy_lessons, find_lesson
from kvmmu_edu.errors import UsageError
from kvmmu_edu.shipped import is_checkout, shipped


@click.command()
@click.argument("lesson", required=False)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8888,
    show_default=True,
    help="Where to listen; if it is taken, the next one that is free.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def lab(lesson: str | None, port: int, *, no_browser: bool) -> None:
    """Open the lessons in JupyterLab; LESSON is a number or a name.

    In a checkout the lessons are opened in place.  An installed kvmmu-edu keeps a copy of them
    in your data folder, and never overwrites what you changed there.
    """
    source = shipped("notebooks")
    page = "lab" if lesson is None else f"lab/tree/{quote(find_lesson(source, lesson))}"
    serve(_folder(source), page, port, browser=not no_browser)


def _folder(source: Path) -> Path:
    """Return where to work on the lessons, with the copies brought up to date."""
    if is_checkout():
        return source
    folder = platformdirs.user_data_path("kvmmu-edu", appauthor=False) / "lessons"
    try:
        news = copy_lessons(source, folder)
    except OSError as error:
        raise UsageError(f"cannot keep a copy of the lessons in {folder}: {error}") from error
    for line in news:
        click.echo(line)
    return folder


def serve(folder: Path, page: str, port: int, *, browser: bool) -> None:
    """Run JupyterLab on *folder* until it is interrupted.

    :param page: what to show first, below the server's address
    :param port: where to listen, or, if that is taken, on one of the ports that follow
    """
    from jupyterlab.labapp import LabApp  # noqa: PLC0415 - a second, which only this command pays

    token = secrets.token_hex(24)
    server = LabApp.initialize_server(
        argv=[
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port}",
            f"--ServerApp.root_dir={folder}",
            f"--ServerApp.open_browser={browser}",
            f"--IdentityProvider.token={token}",
            f"--LabApp.default_url=/{page}",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            # in containers everybody is root; the address is loopback and asks for the token
            "--ServerApp.allow_root=True",
            "--Application.log_level=WARN",
        ]
    )
    # Jupyter's own handler asks first, and only in a terminal
    signal.signal(signal.SIGINT, lambda *_: server.stop(from_signal=True))
    click.echo(f"Lessons: {folder}")
    # it listens when its loop runs; callbacks run in order, and one that listens is queued before
    address = f"{server.connection_url}{page}?token={token}"
    server.io_loop.add_callback(click.echo, f"Address: {address}\nCtrl-C ends it.")
    server.start()
    click.echo("JupyterLab has ended.")
