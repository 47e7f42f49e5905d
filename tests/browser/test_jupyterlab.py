"""Steppers, controls and predictions in a real JupyterLab, live and without a kernel."""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.browser.conftest import KERNEL_IS_THERE

SHOW = (
    "from kvmmu_widgets import Stepper\nfrom tests.browser.messages import split_message",
    "Stepper(split_message(), step=5)",
)
EXPLORE = """\
from kvmmu_edu import Vm
from kvmmu_widgets import explore

def touch(pages, writes):
    vm = Vm(trace="steps")
    hva = vm.host.mmap("A", "anon4k", 1 << 20)
    vm.set_user_memory_region(0, 0, 0, pages << 12, hva)
    vcpu = vm.create_vcpu()
    for n in range(writes):
        vcpu.write(n << 12)
    return vm

explore(touch, pages=256, writes=[1, 2, 3])"""
PREDICT = """\
from kvmmu_widgets import predict

predict("How many tables does one `4K` page need?", answer=lambda: 2 + 2, unit="tables",
        why={3: "the root is a table, too"})"""


@pytest.fixture
def notebook(lab, watch):
    """Return a function that runs cells in a notebook of JupyterLab and returns the page."""

    def opened(name, *cells, **options):
        lab.write(name, *cells)
        page = watch.open(**options)
        lab.open(page, name)
        lab.run_all(page)
        return page

    yield opened
    assert not watch.complaints


def in_view(page, name):
    box = page.locator(name).bounding_box()
    size = page.viewport_size
    return (
        box["x"] >= 0
        and box["x"] + box["width"] <= size["width"]
        and box["y"] >= 0
        and box["y"] + box["height"] <= size["height"]
    )


def wait_for_step(page, step):
    page.wait_for_function(
        "(step) => document.querySelector('.kw-step')?.textContent.startsWith(`step ${step} `)",
        arg=step,
        timeout=60_000,
    )


def executed(path):
    """Execute a notebook where it is, and store the state of its widgets with it."""
    document = nbformat.read(path, 4)
    NotebookClient(document, timeout=120, record_timing=False).execute()
    nbformat.write(document, path)
    return document


def open_and_stop_kernel(lab, watch, path):
    """Open an executed notebook, run nothing, trust it, and stop the kernel."""
    page = watch.open()
    lab.open(page, path.name)
    page.wait_for_function(KERNEL_IS_THERE, timeout=60_000)
    lab.command(page, "notebook:trust")
    page.locator(".jp-Dialog .jp-Dialog-button").last.click()
    page.wait_for_selector(".jp-OutputArea-output .kvmmu")
    lab.command(page, "kernelmenu:shutdown")
    page.wait_for_selector(".jp-Toolbar-kernelName:has-text('No Kernel')")
    return page


def test_stepping(notebook):
    page = notebook("live.ipynb", *SHOW)
    wait_for_step(page, 5)
    assert in_view(page, ".kw-stage")
    assert page.locator(".kw-card").count() == 5
    page.get_by_role("button", name="Forward", exact=True).click()
    wait_for_step(page, 6)
    page.keyboard.press("ArrowRight")
    wait_for_step(page, 7)
    page.locator(".kw-picture").click(position={"x": 8, "y": 8})
    for key, step in (("Home", 0), ("PageDown", 1), ("End", 8), ("ArrowLeft", 7)):
        page.keyboard.press(key)
        wait_for_step(page, step)
    # the notebook has not taken any of these keys for its own
    assert page.locator(".jp-Notebook .jp-Cell").count() == 2
    assert page.locator(".kw-stepper").count() == 1


def test_keys_of_the_notebook_do_not_reach_it_through_the_stepper(notebook):
    page = notebook("keys.ipynb", *SHOW)
    wait_for_step(page, 5)
    page.locator(".kw-picture").click(position={"x": 8, "y": 8})
    for key in ("d", "d", "x", "a", "b", "m"):
        page.keyboard.press(key)
    assert page.locator(".jp-Notebook .jp-Cell").count() == 2


def test_the_kernel_learns_the_step_and_tells_it(notebook, lab):
    cells = [SHOW[0], "s = " + SHOW[1] + "\ns", "s.step = 2", "print('step', s.step)"]
    page = notebook("both.ipynb", *cells)
    wait_for_step(page, 2)
    page.get_by_role("button", name="Last", exact=True).click()
    wait_for_step(page, 8)
    page.wait_for_timeout(600)
    last = page.locator(".jp-Notebook .jp-Cell").last
    last.locator(".jp-InputArea-prompt").click()
    lab.command(page, "notebook:run-cell")
    page.wait_for_function("() => document.body.innerText.includes('step 8\\n')")


def test_the_theme_of_jupyterlab(notebook, lab):
    page = notebook("theme.ipynb", *SHOW, color_scheme="light")
    wait_for_step(page, 5)
    look = "(node) => getComputedStyle(node).backgroundColor"
    light = page.locator(".kw-stepper").evaluate(look)
    page.evaluate(
        "() => void jupyterapp.commands.execute("
        "'apputils:change-theme', { theme: 'JupyterLab Dark' })"
    )
    page.wait_for_selector('body[data-jp-theme-light="false"]', state="attached")
    dark = page.locator(".kw-stepper").evaluate(look)
    assert dark != light
    page.evaluate(
        "() => void jupyterapp.commands.execute("
        "'apputils:change-theme', { theme: 'JupyterLab Light' })"
    )
    page.wait_for_selector('body[data-jp-theme-light="true"]', state="attached")


def test_shown_once_although_the_output_has_a_picture_too(notebook):
    page = notebook("once.ipynb", *SHOW)
    wait_for_step(page, 5)
    assert page.locator(".jp-OutputArea-output").count() == 1
    assert page.locator(".jp-OutputArea-output svg.kvmmu").count() == 0


def test_a_saved_notebook_steps_without_a_kernel(lab, watch):
    path = lab.write("saved.ipynb", *SHOW)
    document = executed(path)
    assert "widgets" in document.metadata
    page = open_and_stop_kernel(lab, watch, path)
    wait_for_step(page, 5)
    page.get_by_role("button", name="Forward", exact=True).click()
    wait_for_step(page, 6)
    page.keyboard.press("Home")
    wait_for_step(page, 0)
    page.wait_for_timeout(600)
    assert not watch.complaints


def test_a_notebook_that_ran_again_is_the_same_notebook(lab, watch):
    path = lab.write("again.ipynb", *SHOW)
    first = executed(path)
    assert executed(path) == first
    page = watch.open()
    lab.open(page, "again.ipynb")
    lab.run_all(page)
    wait_for_step(page, 5)
    lab.command(page, "notebook:restart-run-all")
    page.locator(".jp-Dialog .jp-Dialog-button").last.click()
    page.wait_for_selector(".jp-Dialog", state="detached")
    page.wait_for_timeout(1500)
    wait_for_step(page, 5)
    page.get_by_role("button", name="Forward", exact=True).click()
    wait_for_step(page, 6)
    lab.command(page, "docmanager:save")
    page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    saved = nbformat.read(path, 4)
    assert [cell.get("outputs") for cell in saved.cells] == [
        cell.get("outputs") for cell in first.cells
    ]


def test_an_untrusted_notebook_says_what_is_there(lab, watch):
    executed(lab.write("untrusted.ipynb", *SHOW))
    page = watch.open()
    lab.open(page, "untrusted.ipynb")
    page.wait_for_selector("text=Stepper: Eager page splitting, 8 steps")
    assert page.locator(".kw-stepper").count() == 0


def test_controls_run_again(notebook):
    page = notebook("explore.ipynb", EXPLORE)
    wait_for_step(page, 0)
    before = page.locator(".kw-step").inner_text()
    page.locator(".widget-toggle-button", has_text="3").click()
    page.wait_for_function(
        "(before) => document.querySelector('.kw-step').textContent !== before", arg=before
    )
    assert page.locator(".kw-stepper").count() == 1
    pages = page.locator(".jp-OutputArea input[type=number]")
    pages.fill("0")
    pages.press("Enter")
    page.wait_for_selector("text=EINVAL: there is no slot 0 to delete")
    assert page.locator(".kw-stepper").count() == 1
    assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
    pages.fill("16")
    pages.press("Enter")
    page.wait_for_selector("text=EINVAL", state="detached")


def test_a_prediction(notebook):
    page = notebook("predict.ipynb", PREDICT)
    form = page.locator(".kw-predict")
    form.wait_for(timeout=60_000)
    status = form.get_by_role("status")
    assert status.inner_text() == "?"
    assert form.locator("code").inner_text() == "4K"
    field = form.get_by_role("textbox")
    field.fill("3")
    field.press("Enter")
    page.wait_for_selector("text=Almost: off by one; the root is a table, too")
    form.get_by_role("button", name="Show the answer").click()
    page.wait_for_selector("text=The answer: 4")
    field.fill("4")
    form.get_by_role("button", name="Commit again").click()
    page.wait_for_selector("text=Correct.")
    assert form.get_by_role("button", name="Show the answer").is_hidden()


def test_a_prediction_without_a_kernel_says_so(lab, watch):
    path = lab.write("alone.ipynb", PREDICT)
    document = executed(path)
    assert "2 + 2" not in str(document.metadata)
    page = open_and_stop_kernel(lab, watch, path)
    form = page.locator(".kw-predict")
    form.wait_for()
    form.get_by_role("textbox").fill("4")
    form.get_by_role("button", name="Commit").click()
    page.wait_for_selector("text=run this cell first")
    assert not watch.complaints
