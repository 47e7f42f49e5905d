"""Prints how much work the painter does for a step: ``python -m tests.browser.bench_stepper``.

For trees of 200 and 600 page tables and 200 steps:

* opening: from the call of mount() to the first paint, ms
* work: script, style and layout that a click on a button costs the main thread, ms
* task: the longest task of the main thread among the clicks of a mouse, ms (from a trace)
* painted: from a mouse press to the frame that shows the step, ms (event timing)
"""

import argparse
import json
import statistics
import sys
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

from kvmmu_widgets.synthetic import synthetic_message
from tests.browser.browser_page import STEPPER_PAGE, chromium

OPEN = """async (message) => {
  const start = performance.now();
  window.stepper = kvmmu.mount(document.getElementById("here"), message);
  document.body.offsetHeight;
  const patched = performance.now();
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return [patched - start, performance.now() - start];
}"""
WORK = """async ([name, clicks]) => {
  const button = document.querySelector(".kw-" + name);
  const times = [];
  for (let i = 0; i < clicks; i++) {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const start = performance.now();
    button.click();
    document.body.offsetHeight;
    document.querySelector(".kw-world").getBBox();
    times.push(performance.now() - start);
  }
  return times;
}"""
WATCH = """() => {
  window.events = [];
  new PerformanceObserver((list) => events.push(...list.getEntries().map((entry) =>
    [entry.name, entry.processingEnd - entry.processingStart, entry.duration])))
    .observe({ type: "event", durationThreshold: 16, buffered: false });
}"""


def main() -> None:
    """Print a line of figures for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[200, 600])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--slowdown", type=float, default=1, help="slow the CPU down by this")
    args = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for nodes in args.nodes:
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.set_content(STEPPER_PAGE)
            page.wait_for_function("() => Boolean(window.kvmmu)")
            cdp = page.context.new_cdp_session(page)
            cdp.send("Emulation.setCPUThrottlingRate", {"rate": args.slowdown})
            _measure(page, cdp, nodes, args.steps)
            page.close()
        browser.close()


def _measure(page: Page, cdp: CDPSession, nodes: int, steps: int) -> None:
    message = synthetic_message(nodes, steps)
    patched, painted = page.evaluate(OPEN, message)
    _say(f"{nodes} nodes, {steps} steps, message {len(json.dumps(message)) // 1024} KiB")
    _say(f"  opening: {patched:.0f} ms until patched, {painted:.0f} ms until painted")
    _figures("work, forward", page.evaluate(WORK, ["forward", steps]))
    _figures("work, back", page.evaluate(WORK, ["back", steps]))
    _figures("work, first to last", _jumps(page))
    _figures("work with the whole picture in view", _overview(page))
    page.evaluate("() => stepper.goto(0)")
    tasks, durations = _clicks(page, cdp, steps // 2)
    _figures("longest task of a click", tasks)
    _figures("mouse press to painted", durations)


def _jumps(page: Page) -> list[float]:
    times = []
    for name in ("last", "first") * 5:
        times += page.evaluate(WORK, [name, 1])
    return times


def _overview(page: Page) -> list[float]:
    page.evaluate("() => stepper.goto(stepper.history.last - 51)")
    page.locator(".kw-fit").click()
    times: list[float] = page.evaluate(WORK, ["forward", 50])
    return times


def _clicks(page: Page, cdp: CDPSession, clicks: int) -> tuple[list[float], list[float]]:
    """Click with the mouse; return the longest task and the time to paint of each click, ms."""
    box = page.locator(".kw-forward").bounding_box()
    assert box is not None
    chunks: list[dict[str, Any]] = []
    cdp.on("Tracing.dataCollected", lambda data: chunks.extend(data["value"]))
    page.evaluate(WATCH)
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.wait_for_timeout(300)
    cdp.send("Tracing.start", {"categories": "devtools.timeline,toplevel"})
    for _ in range(clicks):
        page.mouse.down()
        page.mouse.up()
        page.wait_for_timeout(60)
    done: list[bool] = []
    cdp.on("Tracing.tracingComplete", lambda _: done.append(True))
    cdp.send("Tracing.end")
    while not done:
        page.wait_for_timeout(50)
    durations = [entry[2] for entry in page.evaluate("() => events") if entry[0] == "click"]
    return _tasks_with_clicks(chunks), durations


def _tasks_with_clicks(events: list[dict[str, Any]]) -> list[float]:
    """Return the length of the main thread's longest task after each click, ms."""
    main = {
        (e["pid"], e["tid"])
        for e in events
        if e["name"] == "EventDispatch" and e["args"].get("data", {}).get("type") == "click"
    }
    tasks = [
        e
        for e in events
        if e["name"].endswith("RunTask") and e["ph"] == "X" and (e["pid"], e["tid"]) in main
    ]
    clicks = sorted(
        e["ts"]
        for e in events
        if e["name"] == "EventDispatch" and e["args"].get("data", {}).get("type") == "click"
    )
    longest = []
    for start, end in zip(clicks, [*clicks[1:], clicks[-1] + 60_000], strict=True):
        lengths = [t["dur"] / 1000 for t in tasks if t["ts"] < end and t["ts"] + t["dur"] > start]
        longest.append(max(lengths, default=0))
    return longest


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _figures(what: str, times: list[float]) -> None:
    if not times:
        _say(f"  {what}: under 16 ms each")
        return
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    _say(
        f"  {what}: median {statistics.median(ordered):.1f} ms, p95 {p95:.1f} ms, "
        f"max {ordered[-1]:.1f} ms ({len(ordered)} times)"
    )


if __name__ == "__main__":
    sys.exit(main())
