// The stepper: paints a message (see widgets/README.md) and steps through it. It works with
// anywidget, and without it in a page of its own. It knows no rule of the kernel.

import { Details } from "./details.js";
import { button, changeIcon, draw, make, write } from "./dom.js";
import { History } from "./history.js";
import { Lanes } from "./lanes.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { Place, Timeline } from "./timeline.js";

const BEAT = 1200;
/** Least and greatest height of the picture, px: beside lanes, and without them. */
const HEIGHTS = { lanes: /** @type {const} */ ([460, 540]), alone: /** @type {const} */ ([500, 660]) };
const SMALLEST = 0.55;
let count = 0;

class Stepper {
  /** @param {HTMLElement} el @param {Message} message @param {MountOptions} options */
  constructor(el, message, { step = 0, onStep = () => {} } = {}) {
    this.message = message;
    this.history = new History(message);
    this.onStep = onStep;
    this.step = -1;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.beat = undefined;
    const uid = `${Date.now().toString(36)}-${count++}`;
    const goto = (/** @type {number} */ n) => this.#move(n);
    this.picture = new Picture(message, this.history, uid);
    this.details = new Details(this.picture);
    this.timeline = new Timeline(this.history, goto);
    this.place = new Place(this.history);
    this.panel = new Panel(message, this.history);
    this.lanes = this.history.tasks.length > 1 ? new Lanes(message, this.history, goto) : null;
    this.buttons = this.#buttons();
    this.followButton = button("follow", "Follow", "Enlarge and follow what changes",
      () => this.#follow(!this.picture.view.follow));
    this.stage = make("div", { class: "kw-stage" }, this.picture.element, this.details.element);
    this.element = this.#frame();
    for (const [name, value] of this.picture.hatchProperties(uid)) this.element.style.setProperty(name, value);
    this.#listen();
    el.append(this.element);
    this.width = 0;
    this.height = 0;
    this.sizes = new ResizeObserver(() => this.#resize());
    for (const node of [this.stage, this.timeline.element, this.panel.code.code]) this.sizes.observe(node);
    this.#resize();
    this.goto(step, true);
  }

  /** Show a step; a step that does not exist means the nearest that does. @param {number} step @param {boolean} [quiet] */
  goto(step, quiet = false) {
    const to = Math.min(this.history.last, Math.max(0, Math.round(step) || 0));
    if (to === this.step) return;
    const op = this.history.opAt(to);
    this.picture.show(to, this.step);
    this.timeline.show(to, op);
    this.place.show(to, op);
    this.panel.show(to);
    this.lanes?.show(to);
    this.step = to;
    this.#enable();
    this.details.refresh();
    this.panel.code.settle();
    if (!quiet) this.onStep(to);
  }

  /** Go on step by step until the end, or stop that. @param {boolean} [on] */
  play(on = this.beat === undefined) {
    clearTimeout(this.beat);
    this.beat = undefined;
    if (on) {
      if (this.step === this.history.last) this.goto(0);
      this.beat = setTimeout(() => this.#next(), BEAT);
    }
    const label = this.beat === undefined ? "Play" : "Pause";
    changeIcon(this.buttons.play, this.beat === undefined ? "play" : "pause");
    write(/** @type {Element} */ (this.buttons.play.lastElementChild), label);
  }

  /** Take everything away again. */
  destroy() {
    this.play(false);
    this.sizes.disconnect();
    this.element.remove();
  }

  #next() {
    if (!this.element.isConnected) return this.play(false);
    this.goto(this.step + 1);
    this.play(this.step < this.history.last);
  }

  #buttons() {
    const by = (/** @type {number} */ n) => () => this.#move(this.step + n);
    return {
      first: button("first", "First", "First step (Home)", () => this.#move(0)),
      back: button("back", "Back", "One step back (left arrow)", by(-1)),
      play: button("play", "Play", "Play or pause (space)", () => this.play()),
      forward: button("forward", "Forward", "One step forward (right arrow)", by(1)),
      last: button("last", "Last", "Last step (End)", () => this.#move(this.history.last)),
    };
  }

  #tools() {
    const { view } = this.picture;
    const fit = () => {
      this.#follow(false);
      view.fit();
    };
    return make("div", { class: "kw-tools", role: "group", "aria-label": "Picture" },
      button("larger", "Larger", "Larger (Ctrl and wheel)", () => view.zoom(1.25)),
      button("smaller", "Smaller", "Smaller (Ctrl and wheel)", () => view.zoom(0.8)),
      button("fit", "Fit", "Show the whole picture", fit), this.followButton);
  }

  #frame() {
    const { title } = this.message;
    const steps = make("div", { class: "kw-buttons", role: "group", "aria-label": "Steps" }, ...Object.values(this.buttons));
    const bar = make("div", { class: "kw-bar" }, steps, make("div", { class: "kw-title" }, title), this.place.element);
    const foot = make("div", { class: "kw-foot" }, this.#tools(), legend(this.message));
    const body = make("div", { class: "kw-body" }, this.stage, this.panel.element);
    const inner = make("div", { class: "kw-inner" }, bar, this.timeline.element, body, foot);
    if (this.lanes) inner.append(this.lanes.element);
    return make("div", { class: "kvmmu kw-stepper", role: "group", tabindex: -1,
      "data-lm-suppress-shortcuts": "true", "aria-label": `Stepper: ${title}` }, inner);
  }

  /** Measure; the only place that asks the browser for sizes. */
  #resize() {
    const width = this.stage.clientWidth;
    if (!width) return;
    const { view } = this.picture;
    const first = this.width === 0;
    // who has pulled the lower edge has chosen a height
    const pulled = !first && this.stage.clientHeight !== this.height;
    if (width !== this.width && !pulled) {
      this.height = this.#fittingHeight(width);
      this.stage.style.height = `${this.height}px`;
    }
    this.width = width;
    view.resize(width, pulled ? this.stage.clientHeight : this.height);
    // a picture that is too small as a whole is followed instead
    if (first && view.fitScale() < SMALLEST) this.#follow(true);
    this.panel.code.resize(this.panel.code.code.clientHeight);
    if (this.timeline.element.clientWidth !== this.timeline.width) this.timeline.resize(this.timeline.element.clientWidth);
  }

  /** Return the height at which the picture needs no scaling but by its width. @param {number} width */
  #fittingHeight(width) {
    const { layouts } = this.message;
    const scale = Math.min(1, (width - 16) / Math.max(...layouts.map((layout) => layout.w)));
    const wanted = Math.max(...layouts.map((layout) => layout.h)) * scale + 24;
    const [least, most] = this.lanes ? HEIGHTS.lanes : HEIGHTS.alone;
    return Math.round(Math.min(most, Math.max(least, wanted)));
  }

  #enable() {
    const { first, back, forward, last } = this.buttons;
    // not "disabled": a disabled button would lose the focus, and the keys with it
    for (const node of [first, back]) node.setAttribute("aria-disabled", String(this.step === 0));
    for (const node of [forward, last]) node.setAttribute("aria-disabled", String(this.step === this.history.last));
    this.picture.element.setAttribute("aria-label", `Picture after step ${this.step}`);
  }

  /** @param {boolean} on */
  #follow(on) {
    this.picture.view.follow = on;
    this.followButton.setAttribute("aria-pressed", String(on));
  }

  #listen() {
    this.element.addEventListener("keydown", (event) => this.#key(event));
    const svg = this.picture.element;
    svg.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    svg.addEventListener("pointerdown", (event) => this.#drag(event));
    svg.addEventListener("click", (event) => this.details.toggle(this.picture.cellOf(event.target)));
    this.picture.view.onMove = () => this.details.place();
  }

  /** A step that the reader asked for; playing ends. @param {number} step */
  #move(step) {
    if (this.beat !== undefined) this.play(false);
    this.goto(step);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const act = this.#keys(event.target instanceof Element ? event.target : this.element)[event.key];
    if (!act) return;
    act();
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {Element} target @returns {Record<string, (() => void) | undefined>} */
  #keys(target) {
    const { history } = this;
    const cell = target.closest(".kw-more");
    const pressable = target.closest("button, a, summary");
    const onRail = target === this.timeline.rail;
    const scrolls = target.closest(".kw-code, .kw-details");
    return {
      ArrowLeft: () => this.#move(this.step - 1),
      ArrowRight: () => this.#move(this.step + 1),
      Home: () => this.#move(0),
      End: () => this.#move(history.last),
      PageUp: () => this.#move(history.opStart(this.step, -1)),
      PageDown: () => this.#move(history.opStart(this.step, 1)),
      ArrowUp: scrolls ? undefined : () => (onRail ? this.#move(this.step + 1) : this.details.focusNext(-1)),
      ArrowDown: scrolls ? undefined : () => (onRail ? this.#move(this.step - 1) : this.details.focusNext(1)),
      Escape: this.details.isOpen ? () => this.details.close() : undefined,
      Enter: cell ? () => this.details.toggle(this.picture.cellOf(cell)) : undefined,
      " ": cell ? () => this.details.toggle(this.picture.cellOf(cell)) : pressable ? undefined : () => this.play(),
    };
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const { left, top } = this.stage.getBoundingClientRect();
    this.picture.view.zoom(Math.exp(-event.deltaY / 300), event.clientX - left, event.clientY - top);
  }

  /** @param {PointerEvent} start */
  #drag(start) {
    if (start.button !== 0) return;
    const svg = this.picture.element;
    let [x, y] = [start.clientX, start.clientY];
    let moving = false;
    /** @param {PointerEvent} event */
    const move = (event) => {
      const [dx, dy] = [event.clientX - x, event.clientY - y];
      if (!moving && Math.hypot(dx, dy) < 4) return;
      if (!moving) svg.setPointerCapture(start.pointerId);
      moving = true;
      this.picture.view.pan(dx, dy);
      [x, y] = [event.clientX, event.clientY];
    };
    const end = () => {
      svg.removeEventListener("pointermove", move);
      // the click that ends a drag is not meant for a cell
      if (!moving) return;
      const swallow = (/** @type {Event} */ event) => event.stopImmediatePropagation();
      svg.addEventListener("click", swallow, { once: true, capture: true });
      setTimeout(() => svg.removeEventListener("click", swallow, { capture: true }));
    };
    svg.addEventListener("pointermove", move);
    svg.addEventListener("pointerup", end, { once: true });
    svg.addEventListener("pointercancel", end, { once: true });
  }
}

/** What the looks mean, in words. @param {Message} message */
function legend(message) {
  const edges = new Set(message.steps.flatMap((step) => Object.values(step.edges ?? {})));
  const items = (message.legend ?? []).map(({ cls, text }) => {
    const swatch = edges.has(cls)
      ? draw("path", { d: "M2,9H16M16,5L23,9L16,13Z", class: "kw-line kw-tip" })
      : draw("g", {}, ...["kw-box", "kw-hatch"].map((part) => draw("rect", { x: 2, y: 2, width: 20, height: 14, rx: 3, class: part })));
    if (cls === "changed") swatch.append(draw("path", { d: "M1,1h10l-10,10z", class: "kw-sign" }));
    const sample = draw("svg", { viewBox: "0 0 24 18", class: "kw-swatch", "aria-hidden": "true" }, draw("g", { class: `kw-cell ${cls}` }, swatch));
    return make("li", {}, sample, text);
  });
  return make("ul", { class: "kw-legend", "aria-label": "Legend" }, ...items);
}

/**
 * Show a message in an element.
 * @param {HTMLElement} el
 * @param {Message} message
 * @param {MountOptions} [options]
 */
export function mount(el, message, options = {}) {
  if (message?.v !== 1 || !message.steps?.length) {
    const note = make("p", { class: "kvmmu kw-note" }, "There is nothing to show: the message has no steps.");
    el.append(note);
    return { goto() {}, destroy: () => note.remove(), step: 0 };
  }
  return new Stepper(el, message, options);
}

/** The message travels as one line of JSON. @param {Model} model @returns {Message} */
function messageOf(model) {
  const message = model.get("message");
  return typeof message === "string" ? JSON.parse(message) : message;
}

/** For anywidget. @param {{ model: Model, el: HTMLElement }} context */
function render({ model, el }) {
  /** @type {ReturnType<typeof mount> | undefined} */
  let shown;
  /** @type {ReturnType<typeof setTimeout>} */
  let saving;
  const onStep = (/** @type {number} */ step) => {
    model.set("step", step);
    // the kernel may learn it when the reader rests
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 250);
  };
  const paint = () => {
    shown?.destroy();
    shown = mount(el, messageOf(model), { step: model.get("step"), onStep });
  };
  const follow = () => shown?.goto(model.get("step"), true);
  model.on("change:message", paint);
  model.on("change:step", follow);
  paint();
  return () => {
    model.off("change:message", paint);
    model.off("change:step", follow);
    shown?.destroy();
  };
}

export default { render };
