"""The painter on a bare page, driven as a reader drives it."""

import re
from itertools import pairwise

import pytest

from kvmmu_widgets import Stepper
from kvmmu_widgets.synthetic import synthetic_message
from tests.browser.messages import hostile_message, rotating_message, split_message

#: what is to be seen: texts, looks and places, in an order that does not tell its history
SEEN = """() => {
  const visible = (node) => node.style.display !== "none";
  const texts = (node) => [...node.children].filter((child) => child.tagName === "text")
    .map((child) => child.textContent);
  const look = (node) => [node.getAttribute("class").split(/\\s+/).filter(Boolean).sort().join(" "),
    ...texts(node), node.querySelector("rect")?.getAttribute("height")];
  const cells = (card) => [...card.querySelectorAll(".kw-cell")]
    .map((cell) => [cell.getAttribute("transform"), look(cell)]);
  const cards = [...document.querySelectorAll(".kw-card")].filter(visible)
    .map((card) => [card.style.transform, look(card), cells(card)]);
  const edges = [...document.querySelectorAll(".kw-edge")].filter(visible).map((edge) =>
    [edge.getAttribute("class"), edge.querySelector(".kw-line").getAttribute("d")]);
  const text = (name) => document.querySelector(name)?.textContent;
  return JSON.stringify([cards.sort(), edges.sort(), text(".kw-sentence"), text(".kw-moved"),
    text(".kw-checks"), text(".kw-where"), text("[aria-current=true]"), text(".kw-place"),
    text(".kw-op.kw-current"), text("tr[aria-current]")]);
}"""
CONTRAST = """(names) => {
  const luminance = (colour) => {
    const parts = colour.map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const grounds = (node) => node
    ? [...grounds(node.parentElement), getComputedStyle(node).backgroundColor] : [];
  return names.map((name) => {
    const node = document.querySelector(name);
    const ground = paint(grounds(node));
    const text = paint([...grounds(node), getComputedStyle(node).color]);
    const [low, high] = [luminance(ground), luminance(text)].sort((a, b) => a - b);
    return [name, (high + 0.05) / (low + 0.05)];
  });
}"""


def step_of(page):
    return int(re.match(r"step (\d+)", page.locator(".kw-step").inner_text())[1])


def goto(page, step):
    page.evaluate("(step) => stepper.goto(step)", step)


def inside(box, stage):
    """Return whether the upper left corner of *box* can be seen on the stage."""
    right, bottom = stage["x"] + stage["width"], stage["y"] + stage["height"]
    return stage["x"] <= box["x"] < right and stage["y"] <= box["y"] < bottom


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


# --- stepping -----------------------------------------------------------------------------------


def test_buttons(mount):
    page = mount(split_message())
    for name, expected in [
        ("Forward", 1), ("Forward", 2), ("Back", 1), ("Last", 8), ("Forward", 8),
        ("Back", 7), ("First", 0), ("Back", 0),
    ]:  # fmt: skip
        button(page, name).click(force=True)
        assert step_of(page) == expected
    assert page.evaluate("steps") == [1, 2, 1, 8, 7, 0]


def test_a_button_at_an_end_keeps_the_focus(mount):
    page = mount(split_message(), step=7)
    button(page, "Forward").click()
    assert button(page, "Forward").get_attribute("aria-disabled") == "true"
    page.keyboard.press("ArrowLeft")
    assert step_of(page) == 7


def test_keys(mount):
    page = mount(split_message())
    page.locator(".kw-picture").click(position={"x": 5, "y": 5})
    for key, expected in [
        ("ArrowRight", 1), ("End", 8), ("ArrowLeft", 7), ("Home", 0),
        ("PageDown", 1), ("PageDown", 4), ("PageDown", 5), ("PageUp", 4), ("PageUp", 1),
        ("PageUp", 0), ("PageUp", 0),
    ]:  # fmt: skip
        page.keyboard.press(key)
        assert step_of(page) == expected, key


def test_keys_with_a_modifier_are_left_to_the_page(mount):
    page = mount(split_message(), step=3)
    page.locator(".kw-rail").focus()
    for key in ("Control+ArrowRight", "Alt+ArrowLeft", "Shift+End"):
        page.keyboard.press(key)
    assert step_of(page) == 3


def test_the_slider_takes_all_arrows(mount):
    page = mount(split_message(), step=3)
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowUp")
    assert step_of(page) == 4
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert step_of(page) == 2
    assert slider.get_attribute("aria-valuenow") == "2"
    assert slider.get_attribute("aria-valuetext") == "step 2 of 8: slot 0 flags +log"


@pytest.mark.parametrize(
    "message", [split_message(), synthetic_message(12, 14)], ids=["split", "synthetic"]
)
def test_a_step_looks_the_same_from_wherever_it_is_reached(mount, message):
    last = len(message["steps"]) - 1
    page = mount(message)
    forward = []
    for step in range(last + 1):
        goto(page, step)
        forward.append(page.evaluate(SEEN))
    for step in reversed(range(last + 1)):
        goto(page, step)
        assert page.evaluate(SEEN) == forward[step], f"back to {step}"
    for start in range(0, last + 1, 3):
        for end in range(last + 1):
            goto(page, start)
            goto(page, end)
            assert page.evaluate(SEEN) == forward[end], f"from {start} to {end}"
    for step in range(last + 1):
        fresh = mount(message, step=step)
        assert fresh.evaluate(SEEN) == forward[step], f"opened at {step}"


def test_a_step_that_does_not_exist_means_the_nearest(mount):
    page = mount(split_message(), step=99)
    assert step_of(page) == 8
    goto(page, -3)
    assert step_of(page) == 0


def test_play_goes_on_to_the_end_and_stops(mount):
    page = mount(split_message(), step=5)
    page.clock.install()
    button(page, "Play").click()
    page.clock.run_for(1300)
    assert step_of(page) == 6
    button(page, "Pause").click()
    page.clock.run_for(5000)
    assert step_of(page) == 6
    page.locator(".kw-rail").focus()
    page.keyboard.press("Space")
    page.clock.run_for(10_000)
    assert step_of(page) == 8
    assert button(page, "Play").is_visible()
    button(page, "Play").click()
    assert step_of(page) == 0


def test_a_step_by_hand_ends_playing(mount):
    page = mount(split_message())
    page.clock.install()
    button(page, "Play").click()
    page.keyboard.press("ArrowRight")
    page.clock.run_for(5000)
    assert step_of(page) == 1


# --- the timeline -------------------------------------------------------------------------------


def test_an_operation_is_a_jump(mount):
    page = mount(split_message())
    page.get_by_role("button", name="read 0x600000").click()
    assert step_of(page) == 4


def test_the_rail_can_be_clicked_and_dragged(mount):
    page = mount(split_message())
    box = page.locator(".kw-rail").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    assert step_of(page) == 4
    page.mouse.move(box["x"] + box["width"] * 0.76, y, steps=4)
    assert step_of(page) == 6
    page.mouse.move(box["x"] + box["width"] * 2, y)
    page.mouse.up()
    assert step_of(page) == 8
    page.mouse.move(box["x"], y)
    assert step_of(page) == 8


@pytest.mark.parametrize("width", [500, 900, 1400])
def test_labels_never_overlap_and_the_current_one_is_there(mount, width):
    message = synthetic_message(4, 3)
    steps = message["steps"]
    message["steps"] = [*steps, *({**steps[-1], "nodes": {}, "edges": {}} for _ in range(120))]
    message["ops"] = [
        {"n": n, "text": f"operation {n} with a name {'x' * (n % 40)}", "first": 2 * n + 1,
         "last": 2 * n + 2} for n in range(60)
    ]  # fmt: skip
    page = mount(message, viewport={"width": width, "height": 900})
    for step in (0, 1, 50, 51, 119):
        goto(page, step)
        labels = page.locator(".kw-op:not(.kw-mute)")
        boxes = sorted(
            (box["x"], box["x"] + box["width"])
            for box in (labels.nth(i).bounding_box() for i in range(labels.count()))
        )
        assert len(boxes) >= 1
        assert all(a[1] <= b[0] for a, b in pairwise(boxes))
        assert boxes[-1][1] <= width
        if step:
            assert page.locator(".kw-op.kw-current:not(.kw-mute)").count() == 1
    hidden = page.locator(".kw-op.kw-mute").first
    assert hidden.locator("span").is_hidden()
    hidden.hover()
    assert hidden.locator("span").is_visible()


# --- the picture --------------------------------------------------------------------------------


def test_what_changed_is_marked_by_more_than_a_colour(mount):
    page = mount(split_message(), step=5)
    assert page.locator(".kw-card.changed > text").first.text_content() == "table L1"
    assert page.locator(".kw-cell.changed > text").first.text_content() == "[2] table"
    assert page.locator(".kw-card.changed > .kw-sign").is_visible()
    assert page.locator(".kw-edge.changed").count() == 1
    goto(page, 7)
    assert page.locator(".kw-picture .changed").count() == 0
    assert page.locator(".kw-card > .kw-sign").first.is_hidden()


def test_what_a_step_takes_away_is_seen_once_more(mount):
    page = mount(split_message(), step=8)
    assert page.locator(".kw-card.kw-gone > text").first.text_content() == "table L1"
    assert page.locator(".kw-edge.kw-gone").count() == 1
    goto(page, 7)
    assert page.locator(".kw-gone").count() == 0


def test_nodes_keep_their_place(mount):
    page = mount(split_message())
    first = page.locator(".kw-card").first.get_attribute("style")
    for step in range(9):
        goto(page, step)
        assert page.locator(".kw-card").first.get_attribute("style") == first


def test_nodes_move_smoothly_between_layouts(mount):
    page = mount(rotating_message())
    card = page.locator(".kw-card").last
    assert card.evaluate("(node) => getComputedStyle(node).transitionDuration") == "0.35s"
    before = card.bounding_box()
    goto(page, 1)
    page.wait_for_timeout(600)
    assert card.bounding_box()["x"] < before["x"] - 50


def test_no_movement_for_those_who_do_not_want_it(mount):
    page = mount(rotating_message(), reduced_motion="reduce")
    card = page.locator(".kw-card").last
    assert card.evaluate("(node) => getComputedStyle(node).transitionDuration") == "0s"


def test_hatches_are_found(mount):
    page = mount(split_message(), step=7)
    fill = page.locator(".kw-cell.wrprot > .kw-hatch").first.evaluate(
        "(node) => getComputedStyle(node).fill"
    )
    name = re.search(r'url\("?#([\w-]+)"?\)', fill)[1]
    assert page.locator(f"pattern#{name} path").count() == 1


def test_a_large_picture_is_first_seen_whole_and_then_follows_the_changes(mount):
    message = synthetic_message(120, 40)
    page = mount(message)
    stage = page.locator(".kw-stage").bounding_box()
    world = page.locator(".kw-world").bounding_box()
    assert world["width"] <= stage["width"]
    assert button(page, "Follow").get_attribute("aria-pressed") == "true"
    for step in range(1, len(message["steps"])):
        goto(page, step)
        cards = page.locator(".kw-card.changed").all()
        assert not cards or any(inside(card.bounding_box(), stage) for card in cards)
    button(page, "Fit").click()
    assert page.locator(".kw-world").bounding_box()["width"] <= stage["width"]
    assert button(page, "Follow").get_attribute("aria-pressed") == "false"


def test_zoom_and_pan(mount):
    page = mount(split_message())
    card = page.locator(".kw-card").first

    def width():
        return card.bounding_box()["width"]

    start = width()
    button(page, "Larger").click()
    assert width() > start * 1.2
    button(page, "Smaller").click()
    assert width() == pytest.approx(start, rel=0.01)
    page.mouse.move(400, 300)
    page.mouse.wheel(0, -200)
    assert width() == pytest.approx(start, rel=0.01)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_function("([start]) => document.querySelector('.kw-card').getBoundingClientRect()"
                           ".width > start * 1.5", arg=[start])  # fmt: skip
    before = card.bounding_box()
    page.mouse.move(700, 450)
    page.mouse.down()
    page.mouse.move(760, 480, steps=3)
    page.mouse.up()
    after = card.bounding_box()
    assert after["x"] - before["x"] == pytest.approx(60, abs=2)
    assert after["y"] - before["y"] == pytest.approx(30, abs=2)


def test_a_change_outside_the_view_is_brought_into_it(mount):
    page = mount(split_message())
    for _ in range(4):
        button(page, "Larger").click()
    goto(page, 5)
    stage = page.locator(".kw-stage").bounding_box()
    for changed in page.locator(".kw-picture :is(.kw-card, .kw-cell).changed > .kw-box").all():
        box = changed.bounding_box()
        assert stage["x"] <= box["x"]
        assert box["x"] + box["width"] <= stage["x"] + stage["width"]
        assert stage["y"] <= box["y"]
        assert box["y"] + box["height"] <= stage["y"] + stage["height"]


# --- details of a cell --------------------------------------------------------------------------


def test_a_cell_opens_on_a_click_and_closes_again(mount):
    page = mount(split_message(), step=5)
    cell = page.get_by_role("button", name="[0 … 511] 512 × 4K RWX D A, details")
    cell.click()
    details = page.get_by_role("dialog")
    assert details.is_visible()
    assert details.locator("li").count() == 64
    assert details.locator("li").last.inner_text() == "[63] gfn 0x43f pfn 0x8043f"
    stage, box = page.locator(".kw-stage").bounding_box(), details.bounding_box()
    assert box["x"] >= stage["x"]
    assert box["y"] >= stage["y"]
    assert box["y"] + box["height"] <= stage["y"] + stage["height"] + 1
    page.get_by_role("button", name="Close").click()
    assert details.is_hidden()


def test_cells_with_the_keyboard_alone(mount):
    page = mount(split_message(), step=5)
    page.locator(".kw-stepper").focus()
    page.keyboard.press("ArrowDown")
    first = page.evaluate("() => document.activeElement.getAttribute('aria-label')")
    assert first.endswith("details")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") != first
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").is_hidden()
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") == first
    page.keyboard.press("Space")
    assert page.get_by_role("dialog").is_visible()


def test_the_tab_key_reaches_one_cell_only(mount):
    page = mount(split_message(), step=5)
    assert page.locator(".kw-more[tabindex='0']").count() == 1
    assert page.locator(".kw-more").count() > 1


def test_open_details_follow_the_steps(mount):
    page = mount(split_message(), step=5)
    page.get_by_role("button", name="[0 … 511] 512 × 4K RWX D A, details").click()
    page.keyboard.press("ArrowRight")
    assert step_of(page) == 6
    assert "R X D A" in page.get_by_role("dialog").locator("b").inner_text()
    goto(page, 1)
    assert page.get_by_role("dialog").is_hidden()


def test_a_focused_cell_keeps_the_focus_over_steps(mount):
    page = mount(split_message(), step=4)
    page.locator(".kw-stepper").focus()
    page.keyboard.press("ArrowDown")
    for expected in (5, 6, 7, 8):
        page.keyboard.press("ArrowRight")
        assert step_of(page) == expected


def test_the_end_of_a_drag_opens_nothing(mount):
    page = mount(split_message(), step=5)
    box = page.locator(".kw-more").first.bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 30, steps=3)
    page.mouse.up()
    assert page.get_by_role("dialog").is_hidden()


# --- the right column and the lanes -------------------------------------------------------------


def test_the_right_column_in_its_order(mount):
    page = mount(split_message(), step=5)
    heads = page.locator(".kw-section h4").all_inner_texts()
    words = ["WHAT HAPPENED", "WHERE IN THE CODE", "WHAT IT COST", "ALL IS WELL"]
    assert [head.split("\n")[0] for head in heads] == words
    sentence = page.locator(".kw-sentence")
    assert sentence.get_attribute("aria-live") == "polite"
    assert sentence.inner_text().startswith("The 2M entry at gfn 0x400 now points")


def test_the_running_line_is_marked_and_in_view(mount):
    page = mount(split_message(), step=5)
    line = page.locator(".kw-line[aria-current]")
    assert "tdp_mmu_link_sp" in line.inner_text()
    box, code = line.bounding_box(), page.locator(".kw-code").bounding_box()
    assert code["y"] <= box["y"]
    assert box["y"] + box["height"] <= code["y"] + code["height"] + 1
    assert "async def tdp_mmu_split_huge_page" in page.locator(".kw-head").inner_text()
    link = page.get_by_role("link", name="tdp_mmu_split_huge_page()")
    assert link.get_attribute("href").startswith("https://")
    assert "noopener" in link.get_attribute("rel")
    assert "arch/x86/kvm/mmu/tdp_mmu.c · v6.12" in page.locator(".kw-kernel").inner_text()
    assert "kvm_mmu_split_huge_page" in page.locator(".kw-trace").inner_text()


def test_a_long_function_is_scrolled_to_the_running_line(mount):
    message = split_message()
    message["sources"][0]["lines"] = [f"line {n}" for n in range(200)]
    for n, step in enumerate(message["steps"]):
        step.update(source=0, line=40 + 20 * n)
    page = mount(message)
    for step in (0, 3, 8, 1):
        goto(page, step)
        box = page.locator(".kw-line[aria-current]").bounding_box()
        code = page.locator(".kw-code").bounding_box()
        assert code["y"] + 18 <= box["y"] + 1 <= code["y"] + code["height"] - 17


def test_counters_that_moved_and_all_of_them(mount):
    page = mount(split_message(), step=5)
    assert page.locator(".kw-moved .kw-row").all_inner_texts() == [
        "pages_4k\n3 → 515\n+512", "pages_2m\n2 → 1\n−1",
    ]  # fmt: skip
    assert page.locator(".kw-up .kw-icon").count() == 1
    assert page.locator(".kw-counters").is_hidden()
    page.get_by_text("All 3 counters").click()
    rows = page.locator(".kw-counters tr")
    rows.last.wait_for()
    assert [row.replace("\t", " ") for row in rows.all_inner_texts()] == [
        "pages_4k 515", "pages_2m 1", "tdp_mmu_pages 6",
    ]  # fmt: skip
    goto(page, 8)
    assert rows.first.inner_text().split() == ["pages_4k", "3"]
    goto(page, 0)
    assert rows.first.inner_text().split() == ["pages_4k", "3"]


def test_invariants_say_in_words_whether_they_hold(mount):
    page = mount(split_message(), step=6)
    assert "Not all is well" in page.locator(".kw-alarm h4").text_content()
    lamps = page.locator(".kw-checks li").all_text_contents()
    assert lamps == ["holdsleaves equal pages", "brokenno stale TLB entry"]
    goto(page, 7)
    assert "at step 6" in page.locator(".kw-checks li").last.text_content()
    goto(page, 0)
    assert "not checked yet" in page.locator(".kw-checks li").first.text_content()
    assert page.locator(".kw-alarm").count() == 0


def test_lanes(mount):
    page = mount(split_message(), step=4)
    head = page.locator(".kw-lanes th").all_inner_texts()
    assert head == ["step", "kvmtrace", "vcpu0", "slots_lock", "mmu_lock"]
    now = page.locator(".kw-lanes tr[aria-current]")
    assert now.locator("td").all_inner_texts() == [
        "4", "", "read 0x600000", "kvmtrace", "read: kvmtrace",
    ]  # fmt: skip
    page.locator(".kw-lanes tbody tr").last.click()
    assert step_of(page) == 5 or step_of(page) == 6
    goto(page, 8)
    assert now.locator("td").all_inner_texts() == ["8", "", "collapse", "", ""]


def test_one_task_needs_no_lanes(mount):
    message = split_message()
    for step in message["steps"]:
        step.pop("task", None)
    assert mount(message).locator(".kw-lanes").count() == 0


def test_many_locks_share_a_column(mount):
    message = split_message()
    message["steps"][2]["locks"]["srcu"] = "kvmtrace"
    page = mount(message, step=3)
    assert page.locator(".kw-lanes th").last.inner_text() == "locks held"
    held = page.locator(".kw-lanes tr[aria-current] td").last.inner_text()
    assert held == "slots_lock kvmtrace, mmu_lock read: kvmtrace, srcu kvmtrace"


# --- what is not to be trusted, and what is alone on a page -------------------------------------

MARKUP = '<img src=x onerror="window.hacked=1"><b>&amp;</b>"\'`${1}'


def test_markup_is_text_everywhere(mount):
    page = mount(hostile_message(MARKUP))
    for step in range(9):
        goto(page, step)
    page.locator(".kw-more").first.dispatch_event("click")
    page.locator("summary").click()
    page.locator(".kw-counters tr").last.wait_for()
    assert page.locator(".kw-stepper img").count() == 0
    assert page.evaluate("() => window.hacked") is None
    for name in (".kw-title", ".kw-sentence", ".kw-card text", ".kw-cell text", ".kw-op",
                 ".kw-legend li", ".kw-details li"):  # fmt: skip
        assert MARKUP.replace("`${1}", "") in page.locator(name).first.text_content(), name


def test_only_https_becomes_a_link(mount):
    page = mount(split_message(), step=6)
    assert "tdp_mmu_split_huge_page()" in page.locator(".kw-kernel").inner_text()
    assert page.locator(".kw-kernel a").count() == 0


@pytest.mark.parametrize(
    "message", [None, {}, {"v": 2, "steps": [{}]}, {"v": 1, "title": "x", "steps": []}]
)
def test_what_is_no_message_gives_a_sentence(mount, message):
    page = mount(message)
    assert "nothing to show" in page.locator(".kw-note").inner_text()


def test_two_steppers_do_not_disturb_each_other(mount):
    page = mount(split_message(), step=6)
    show = """([message]) => {
      window.other = kvmmu.mount(document.getElementById("there"), message, { step: 2 });
    }"""
    page.evaluate(show, [split_message()])
    first, second = page.locator("#here"), page.locator("#there")
    second.locator(".kw-rail").focus()
    page.keyboard.press("End")
    assert first.locator(".kw-step").inner_text() == "step 6 / 8"
    assert second.locator(".kw-step").inner_text() == "step 8 / 8"
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))
    page.evaluate("() => stepper.destroy()")
    assert first.locator("*").count() == 0
    page.keyboard.press("Home")
    assert second.locator(".kw-step").inner_text() == "step 0 / 8"
    fill = second.locator(".kw-hatch").first.evaluate("(node) => getComputedStyle(node).fill")
    assert "none" in fill or page.locator(re.search(r"#[\w-]+", fill)[0]).count() == 1


def test_the_model_of_a_notebook(mount):
    page = mount(split_message())
    page.evaluate(
        """([message]) => {
      const acts = new Map();
      const values = { message: JSON.stringify(message), step: 3 };
      window.saves = 0;
      window.model = {
        get: (name) => values[name],
        set: (name, value) => { values[name] = value; acts.get("change:" + name)?.(); },
        save_changes: () => { saves += 1; },
        on: (name, act) => acts.set(name, act),
        off: (name) => acts.delete(name),
      };
      window.cleanUp = kvmmu.render({ model, el: document.getElementById("there") });
    }""",
        [split_message()],
    )
    there = page.locator("#there")
    assert there.locator(".kw-step").inner_text() == "step 3 / 8"
    there.locator(".kw-rail").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => model.get('step')") == 4
    page.wait_for_function("() => saves === 1")
    page.evaluate("() => model.set('step', 7)")
    assert there.locator(".kw-step").inner_text() == "step 7 / 8"
    page.evaluate("([message]) => { model.set('step', 1); model.set('message', message); }",
                  [rotating_message()])  # fmt: skip
    assert there.locator(".kw-title").inner_text() == "A rotation"
    assert there.locator(".kw-stepper").count() == 1
    page.evaluate("() => cleanUp()")
    assert there.locator("*").count() == 0


# --- looks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_stand_out(mount, theme):
    page = mount(split_message(), step=6, color_scheme=theme)
    names = [".kw-title", ".kw-step", ".kw-sentence", ".kw-section h4", ".kw-where", ".kw-number",
             ".kw-op.kw-current", ".kw-op:not(.kw-current)", ".kw-kernel", ".kw-legend",
             ".kw-checks li", ".kw-none", ".kw-lanes th", ".kw-lanes .kw-lock", ".kw-play",
             ".kw-line[aria-current]", ".kw-since", ".kw-forward", ".kw-alarm h4"]  # fmt: skip
    low = [(name, ratio) for name, ratio in page.evaluate(CONTRAST, names) if ratio < 4.5]
    assert not low


def test_the_theme_is_the_pages(mount):
    def paper(page):
        return page.locator(".kw-stepper").evaluate("(node) => getComputedStyle(node).background")

    light, dark = mount(split_message(), color_scheme="light"), mount(
        split_message(), color_scheme="dark"
    )  # fmt: skip
    assert paper(light) != paper(dark)
    # JupyterLab says what its theme is, and that counts
    dark.evaluate("() => document.body.setAttribute('data-jp-theme-light', 'true')")
    assert paper(dark) == paper(light)
    light.evaluate("() => document.body.setAttribute('data-jp-theme-light', 'false')")
    dark.evaluate("() => document.body.removeAttribute('data-jp-theme-light')")
    assert paper(light) == paper(dark)


@pytest.mark.parametrize("width", [420, 640, 900, 1400, 2200])
def test_nothing_sticks_out(mount, width):
    page = mount(split_message(), step=5, viewport={"width": width, "height": 900})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    for name in (".kw-bar", ".kw-time", ".kw-stage", ".kw-side", ".kw-foot"):
        box = page.locator(name).bounding_box()
        assert box["x"] + box["width"] <= width, name


def test_the_height_is_the_same_at_every_step(mount):
    page = mount(split_message())
    heights = set()
    for step in range(9):
        goto(page, step)
        heights.add(page.locator(".kw-stepper").bounding_box()["height"])
    assert len(heights) == 1


def test_the_lower_edge_of_the_picture_can_be_pulled(mount):
    page = mount(split_message())
    before = page.locator(".kw-stage").bounding_box()
    x, y = before["x"] + before["width"] - 4, before["y"] + before["height"] - 4
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 120, steps=4)
    page.mouse.up()
    after = page.locator(".kw-stage").bounding_box()
    assert after["height"] == pytest.approx(before["height"] + 120, abs=6)
    side = page.locator(".kw-side").bounding_box()
    assert side["height"] == after["height"]
    page.set_viewport_size({"width": 1200, "height": 900})
    page.wait_for_function("() => document.querySelector('.kw-stage').clientWidth < 900")
    assert page.locator(".kw-stage").bounding_box()["height"] == after["height"]


def test_a_page_of_its_own(watch, tmp_path):
    path = Stepper(split_message()).export_html(tmp_path / "run.html", step=5)
    page = watch.open()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert page.locator(".kw-step").inner_text() == "step 5 / 8"
    page.locator(".kw-rail").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".kw-step").inner_text() == "step 6 / 8"
    assert asked == [path.as_uri()]
    assert not watch.complaints


def test_a_page_of_its_own_without_scripts(watch, tmp_path):
    path = Stepper(split_message()).export_html(tmp_path / "run.html")
    page = watch.open(java_script_enabled=False)
    page.goto(path.as_uri())
    assert page.locator("noscript li, ol li").count() == 9
