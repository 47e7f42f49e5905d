"""Every lesson in a real JupyterLab: Run All, each stepper to its end and back, each question."""

import json
import re
import shutil

import pytest

from tests.laws.source import ROOT

LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))

VERDICT = re.compile("Correct|Almost|Keep working")

ALL_RAN = """() => {
  const panel = jupyterapp.shell.currentWidget;
  const cells = [...panel.content.model.cells].filter((cell) => cell.type === "code");
  return panel.sessionContext.session?.kernel?.status === "idle"
    && cells.every((cell) => cell.executionCount !== null && cell.executionState !== "running");
}"""
ERRORS = """() => [...jupyterapp.shell.currentWidget.content.model.cells]
  .filter((cell) => cell.type === "code")
  .flatMap((cell) => cell.outputs.toJSON())
  .filter((output) => output.output_type === "error")
  .map((output) => output.evalue)"""


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def lesson(request, lab, browser):
    """Return a page where a lesson was run from the top, and what the page complained of."""
    shutil.copy(request.param, lab.folder)
    # each cell is to be there, in view or not
    settings = lab.folder / ".jupyter" / "config" / "lab" / "user-settings"
    tracker = settings / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True, exist_ok=True)
    tracker.write_text(json.dumps({"windowingMode": "none"}))
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(20_000)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    lab.open(page, request.param.name)
    lab.run_all(page)
    page.wait_for_function(ALL_RAN, timeout=180_000)
    expected = request.param.read_text(encoding="utf-8").count('"predict-')
    page.wait_for_function(
        "(n) => document.querySelectorAll('.kw-predict').length === n", arg=expected
    )
    yield page, complaints
    page.close()


def test_run_all_leaves_no_error(lesson):
    page, complaints = lesson
    assert page.evaluate(ERRORS) == []
    assert complaints == []


def test_each_stepper_goes_to_its_end_and_back(lesson):
    page, complaints = lesson
    steppers = page.locator(".kw-stepper")
    assert steppers.count() >= 2
    for stepper in steppers.all():
        place = stepper.locator(".kw-step")
        stepper.focus()
        last = int(place.inner_text().split("/")[1])
        page.keyboard.press("Home")
        for step in range(1, last + 1):
            page.keyboard.press("ArrowRight")
            assert place.inner_text().split()[1] == str(step)
            assert stepper.locator(".kw-card").count() or step < 20
        before = stepper.locator(".kw-picture").inner_html()
        for step in range(last - 1, -1, -1):
            page.keyboard.press("ArrowLeft")
            assert place.inner_text().split()[1] == str(step)
        page.keyboard.press("End")
        page.wait_for_timeout(600)
        assert stepper.locator(".kw-card").count() == before.count('class="kw-card')
    assert complaints == []


def test_each_question_can_be_answered(lesson):
    page, complaints = lesson
    for form in page.locator(".kw-predict").all():
        status = form.get_by_role("status")
        assert status.inner_text() == "?"
        radios = form.get_by_role("radio")
        if radios.count():
            radios.first.check()
        else:
            form.get_by_role("textbox").fill("77")
        form.get_by_role("button", name="Commit").click()
        form.locator(".kw-said").filter(has_text=VERDICT).wait_for()
        if "Correct" in status.inner_text():
            continue
        form.get_by_role("button", name="Show the answer").click()
        form.locator(".kw-said:has-text('The answer')").wait_for()
    assert complaints == []


def test_each_control_runs_again(lesson):
    page, complaints = lesson
    buttons = page.locator(".jp-OutputArea .widget-toggle-button")
    assert buttons.count() >= 4
    for button in buttons.all():
        button.click()
    page.wait_for_timeout(500)
    page.wait_for_function(ALL_RAN)
    assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
    assert page.evaluate(ERRORS) == []
    assert complaints == []
