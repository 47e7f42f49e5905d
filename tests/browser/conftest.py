"""Chromium, pages that notice what goes wrong, and a JupyterLab of our own.

Without Chromium these tests are skipped; with ``KVMMU_REQUIRE_BROWSER=1`` they fail instead.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest

from tests.browser.browser_page import STEPPER_PAGE, chromium

KERNEL_IS_THERE = """() => {
  const context = window.jupyterapp?.shell?.currentWidget?.sessionContext;
  return context?.isReady && context.session?.kernel?.status === "idle";
}"""
LOOPBACK = {"127.0.0.1", "localhost"}


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


def not_without(thing):
    """Skip what needs *thing*, or fail where a browser is required."""
    why = f"no {thing}; tests/browser needs Playwright and Chromium (or KVMMU_CHROMIUM)"
    if os.environ.get("KVMMU_REQUIRE_BROWSER") == "1":
        pytest.fail(why)
    pytest.skip(why)


# not for the whole session: Playwright occupies the thread's event loop
@pytest.fixture(scope="module")
def browser():
    path = chromium()
    if path is None:
        not_without("Chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        not_without("Playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watch:
    """Opens pages, and collects what they ask for from outside and what they complain about."""

    def __init__(self, browser):
        self.browser = browser
        self.contexts = []
        self.outside = []
        self.complaints = []

    def open(self, **options):
        """Return a new page of 1400 by 900 pixels."""
        context = self.browser.new_context(
            **{"viewport": {"width": 1400, "height": 900}, **options}
        )
        self.contexts.append(context)
        context.route("**/*", self._route)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        return page

    def _route(self, route):
        url = urlsplit(route.request.url)
        if url.scheme in {"data", "blob", "about", "file"} or url.hostname in LOOPBACK:
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def _console(self, message):
        # JupyterLab's core talks of its own troubles, with kernels and the debugger
        if message.type in {"error", "warning"} and "/static/lab/" not in message.location["url"]:
            self.complaints.append(f"{message.type}: {message.text} ({message.location})")


@pytest.fixture
def watch(browser):
    watch = Watch(browser)
    yield watch
    for context in watch.contexts:
        context.close()
    assert not watch.outside, "requests that leave this machine"


@pytest.fixture
def mount(watch):
    """Return a function that shows a message on a bare page and returns the page."""

    def mounted(message, *, step=0, **options):
        page = watch.open(**options)
        page.set_content(STEPPER_PAGE)
        page.wait_for_function("() => Boolean(window.kvmmu)")
        show = """([message, step]) => {
          window.steps = [];
          const here = document.getElementById("here");
          window.stepper = kvmmu.mount(here, message, { step, onStep: (n) => steps.push(n) });
        }"""
        page.evaluate(show, [message, step])
        return page

    yield mounted
    assert not watch.complaints


class Lab:
    """A JupyterLab on the loopback, in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.token = "only-for-this-test"
        own = {
            name: str(folder / ".jupyter" / name.split("_")[1].lower())
            for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
        }
        options = [
            "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0",
            f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={folder}",
            "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]  # fmt: skip
        self.log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env={**os.environ, **own},
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        self.url = self._wait(folder / ".jupyter" / "runtime")

    def _wait(self, runtime):
        for _ in range(600):
            for info in runtime.glob("jpserver-*.json"):
                with contextlib.suppress(json.JSONDecodeError):
                    return json.loads(info.read_text())["url"]
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text())

    def write(self, name, *cells):
        """Write a notebook of code cells and return its path."""
        import nbformat
        from nbformat.v4 import new_code_cell, new_notebook

        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {
            "name": "python3", "display_name": "Python 3", "language": "python",
        }  # fmt: skip
        path = self.folder / name
        nbformat.write(notebook, path)
        return path

    def open(self, page, name):
        """Open a notebook in *page*, and wait until it is there."""
        page.goto(f"{self.url}doc/tree/{name}?reset&token={self.token}")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)

    def run_all(self, page):
        """Run all cells, once the kernel is there."""
        page.wait_for_function(KERNEL_IS_THERE, timeout=60_000)
        self.command(page, "notebook:run-all-cells")

    def command(self, page, name):
        """Execute a command of JupyterLab."""
        page.evaluate("(name) => void window.jupyterapp.commands.execute(name)", name)

    def close(self):
        """Stop the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()
