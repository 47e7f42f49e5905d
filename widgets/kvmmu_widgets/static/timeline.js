// The timeline: what the reader typed, operation by operation, and where we are in it.

import { make, write } from "./dom.js";

/** @typedef {import("./history.js").History} History */

const PAD = 10;
const GAP = 10;
const WIDEST_LABEL = 220;

export class Timeline {
  /** @param {History} history @param {(step: number) => void} goto */
  constructor(history, goto) {
    this.history = history;
    this.goto = goto;
    this.width = 0;
    this.op = -2;
    this.done = make("div", { class: "kw-done" });
    this.span = make("div", { class: "kw-span" });
    this.knob = make("div", { class: "kw-knob" });
    this.rail = make("div", { class: "kw-rail", role: "slider", tabindex: 0, "aria-label": "Step",
      "aria-valuemin": 0, "aria-valuemax": history.last }, this.span, this.done, this.knob);
    this.labels = history.ops.map((op) => this.#label(op));
    this.ops = make("div", { class: "kw-ops" }, ...this.labels);
    this.element = make("div", { class: `kw-time${this.labels.length ? "" : " kw-short"}` }, this.ops, this.rail);
    this.element.addEventListener("pointerdown", (event) => this.#drag(event));
  }

  /** Lay the labels out anew. @param {number} width of the timeline, px */
  resize(width) {
    this.width = width;
    const font = getComputedStyle(this.ops).font;
    const pen = document.createElement("canvas").getContext("2d");
    if (pen && font) pen.font = font;
    this.widths = this.history.ops.map((op) => Math.min(WIDEST_LABEL, Math.ceil(pen?.measureText(op.text).width ?? 0) + 8));
    this.#thinOut();
  }

  /** @param {number} step @param {number} op its operation, or -1 */
  show(step, op) {
    this.element.style.setProperty("--at", String(this.#share(step)));
    this.rail.setAttribute("aria-valuenow", String(step));
    const text = this.history.ops[op]?.text;
    this.rail.setAttribute("aria-valuetext", `step ${step} of ${this.history.last}${text ? `: ${text}` : ""}`);
    if (op === this.op) return;
    this.labels[this.op]?.classList.remove("kw-current");
    this.labels[op]?.classList.add("kw-current");
    this.op = op;
    const { first, last } = this.history.ops[op] ?? { first: 0, last: 0 };
    this.span.style.left = `${100 * this.#share(first)}%`;
    this.span.style.width = `${100 * (this.#share(last) - this.#share(first))}%`;
    this.#thinOut();
  }

  /** @param {number} step */
  #share(step) {
    return this.history.last ? step / this.history.last : 0;
  }

  /** @param {Operation} op */
  #label(op) {
    const text = make("span", {}, op.text);
    const node = make("button", { type: "button", class: "kw-op", tabindex: -1, title: op.text }, text);
    node.style.left = `${100 * this.#share(op.first)}%`;
    node.addEventListener("click", () => this.goto(op.first));
    return node;
  }

  /** Show as many labels as fit without overlap, that of the current operation among them. */
  #thinOut() {
    if (!this.widths) return;
    const range = this.width - 2 * PAD;
    /** @type {[number, number][]} */
    const taken = [];
    const order = this.labels.map((_, i) => i);
    if (this.op >= 0) order.unshift(this.op);
    const seen = new Set();
    for (const i of order) {
      if (seen.has(i)) continue;
      seen.add(i);
      const op = /** @type {Operation} */ (this.history.ops[i]);
      const width = Number(this.widths[i]);
      const tick = this.#share(op.first) * range;
      const turned = tick + width > range + PAD;
      const [start, end] = turned ? [tick - width, tick] : [tick, tick + width];
      const free = taken.every(([a, b]) => end + GAP <= a || b + GAP <= start);
      if (free) taken.push([start, end]);
      this.labels[i]?.classList.toggle("kw-mute", !free);
      this.labels[i]?.classList.toggle("kw-turned", turned);
    }
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    if (event.button !== 0 || (event.target instanceof Element && event.target.closest(".kw-op"))) return;
    const { left, width } = this.rail.getBoundingClientRect();
    /** @param {PointerEvent} at */
    const jump = (at) => {
      const share = Math.min(1, Math.max(0, (at.clientX - left) / width));
      this.goto(Math.round(share * this.history.last));
    };
    this.element.setPointerCapture(event.pointerId);
    this.element.addEventListener("pointermove", jump);
    this.element.addEventListener("lostpointercapture", () => this.element.removeEventListener("pointermove", jump), { once: true });
    this.rail.focus({ preventScroll: true });
    event.preventDefault();
    jump(event);
  }
}

/** The text beside the title: the operation and the step. */
export class Place {
  /** @param {History} history */
  constructor(history) {
    this.history = history;
    this.op = make("span", { class: "kw-opname" });
    this.step = make("span", { class: "kw-step" });
    this.element = make("div", { class: "kw-place" }, this.op, this.step);
  }

  /** @param {number} step @param {number} op */
  show(step, op) {
    write(this.step, `step ${step} / ${this.history.last}`);
    write(this.op, this.history.ops[op]?.text ?? (step || !this.history.ops.length ? "" : "the beginning"));
  }
}
