// The right column: what happened, where in the code, what it cost, whether all is well.

import { icon, link, make, write, writeSentence } from "./dom.js";

/** @typedef {import("./history.js").History} History */

const LINE_HEIGHT = 18;

/** @param {string} title @param {(Node | string)[]} children */
function section(title, ...children) {
  return make("section", { class: "kw-section" }, make("h4", {}, title), ...children);
}

/** What happened. */
class Story {
  /** @param {History} history */
  constructor(history) {
    this.history = history;
    this.sentence = make("p", { class: "kw-sentence", "aria-live": "polite", "aria-atomic": "true" });
    this.task = make("span", { class: "kw-task" });
    this.element = section("What happened", this.sentence);
    this.element.firstElementChild?.append(this.task);
  }

  /** @param {Step} step */
  show(step) {
    writeSentence(this.sentence, step.text);
    write(this.task, this.history.tasks.length > 1 ? (step.task ?? "") : "");
  }
}

/** Where in the code. */
class Code {
  /** @param {Message} message */
  constructor(message) {
    this.sources = message.sources ?? [];
    this.source = -2;
    this.height = 0;
    this.where = make("span", { class: "kw-where" });
    this.head = make("div", { class: "kw-head" });
    this.lines = make("div", { class: "kw-lines" });
    const text = make("div", { class: "kw-text" }, this.head, this.lines);
    this.code = make("div", { class: "kw-code", tabindex: 0, role: "region", "aria-label": "Source" }, text);
    this.kernel = make("div", { class: "kw-kernel" });
    this.trace = make("div", { class: "kw-trace" });
    this.element = section("Where in the code", this.code, this.kernel, this.trace);
    this.element.firstElementChild?.append(this.where);
    this.element.classList.add("kw-grow");
    /** @type {Element | undefined} */
    this.running = undefined;
    /** @type {Element | undefined} */
    this.settled = undefined;
    this.index = 0;
  }

  /** @param {Step} step */
  show(step) {
    const number = step.source ?? -1;
    const source = this.sources[number];
    if (number !== this.source) this.#change(source);
    this.source = number;
    write(this.trace, step.ftrace ?? "");
    const index = source && step.line !== undefined ? step.line - source.start : -1;
    const running = this.lines.children[index];
    if (running === this.running) return;
    this.running?.removeAttribute("aria-current");
    running?.setAttribute("aria-current", "true");
    this.running = running;
    this.index = index;
  }

  /** Bring the running line to the middle; last of all, because it needs the sizes. */
  settle() {
    if (this.running && this.settled !== this.running) {
      // the head covers one line
      this.code.scrollTop = (this.index + 1) * LINE_HEIGHT - this.height / 2;
    }
    this.settled = this.running;
  }

  /** @param {number} height of the lines, px */
  resize(height) {
    if (height === this.height) return;
    this.height = height;
    this.settled = undefined;
    this.settle();
  }

  /** @param {Source | undefined} source */
  #change(source) {
    this.element.classList.toggle("kw-nothing", !source);
    write(this.where, source?.module ?? "");
    write(this.head, source?.head ?? "");
    this.head.title = source?.summary ?? "";
    this.where.title = source ? `${source.module}: ${source.function}()` : "";
    if (!source) {
      this.lines.replaceChildren();
      write(this.kernel, "No line of the engine stands behind this step.");
      return;
    }
    const lines = source.lines.map((text, i) => {
      const number = make("span", { class: "kw-number", "aria-hidden": "true" }, String(source.start + i));
      return make("div", { class: "kw-line" }, number, text || " ");
    });
    this.lines.replaceChildren(...lines);
    const { kernel } = source;
    if (!kernel) return this.kernel.replaceChildren();
    const name = link(kernel.url ?? "", `${kernel.function}()`);
    this.kernel.replaceChildren("kernel: ", name, ` ${kernel.file} · ${kernel.version}`);
  }
}

/** What it cost. */
class Costs {
  /** @param {Message} message @param {History} history */
  constructor(message, history) {
    this.names = message.counters ?? [];
    this.history = history;
    this.step = 0;
    this.key = "";
    this.moved = make("div", { class: "kw-moved" });
    this.table = make("table", { class: "kw-counters" });
    this.all = make("details", {}, make("summary", {}, `All ${this.names.length} counters`), this.table);
    this.element = section("What it cost", this.moved, this.all);
    this.element.hidden = !this.names.length;
    this.all.addEventListener("toggle", () => this.#tabulate());
  }

  /** @param {Step} step @param {number} n */
  show(step, n) {
    this.step = n;
    const moved = Object.entries(step.counters ?? {});
    const key = JSON.stringify(moved);
    if (key !== this.key) this.moved.replaceChildren(...this.#rows(moved));
    this.key = key;
    if (this.all.open) this.#tabulate();
  }

  /** @param {[string, [number, number]][]} moved */
  #rows(moved) {
    if (!moved.length) return [make("div", { class: "kw-none" }, "No counter moved.")];
    return moved.map(([id, [before, after]]) => {
      const up = after > before;
      const delta = make("span", { class: up ? "kw-up" : "kw-down" }, icon(up ? "up" : "down"),
        `${up ? "+" : "−"}${Math.abs(after - before).toLocaleString("en")}`);
      const values = make("span", { class: "kw-values" }, `${number(before)} → ${number(after)}`);
      return make("div", { class: "kw-row" }, breakable(this.names[Number(id)] ?? id), values, delta);
    });
  }

  #tabulate() {
    if (!this.all.open) return;
    const rows = this.names.map((name, i) => {
      const track = this.history.counters.get(String(i));
      const value = track && (this.history.valueAt(track, this.step)?.[1] ?? track.values[0]?.[0]);
      return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value === undefined ? "–" : number(value)));
    });
    this.table.replaceChildren(...rows);
  }
}

/** All is well, or not. */
class Checks {
  /** @param {History} history */
  constructor(history) {
    this.history = history;
    this.lamps = [...history.checks].map(([name, track]) => {
      const sign = make("span", { class: "kw-sign-box" });
      const since = make("span", { class: "kw-since" });
      const element = make("li", {}, sign, make("span", {}, name), since);
      return { track, sign, since, element, state: "" };
    });
    this.element = section("All is well", make("ul", { class: "kw-checks" }, ...this.lamps.map((lamp) => lamp.element)));
    this.element.hidden = !this.lamps.length;
  }

  /** @param {number} step */
  show(step) {
    let broken = false;
    for (const lamp of this.lamps) {
      const value = this.history.valueAt(lamp.track, step);
      const since = this.history.sinceAt(lamp.track, step);
      broken ||= value === false;
      this.#light(lamp, value, since === step ? "" : value === undefined ? "not checked yet" : `at step ${since}`);
    }
    this.element.classList.toggle("kw-alarm", broken);
    const title = this.element.firstElementChild;
    if (title) write(title, broken ? "Not all is well" : "All is well");
  }

  /** @param {Checks["lamps"][number]} lamp @param {boolean | undefined} value @param {string} since */
  #light(lamp, value, since) {
    write(lamp.since, since);
    const state = value === undefined ? "kw-unknown" : value ? "kw-holds" : "kw-broken";
    lamp.element.classList.toggle("kw-old", since !== "");
    if (state === lamp.state) return;
    lamp.state = state;
    lamp.sign.className = `kw-sign-box ${state}`;
    const word = value === undefined ? "unknown" : value ? "holds" : "broken";
    lamp.sign.replaceChildren(...(value === undefined ? [] : [icon(value ? "holds" : "broken")]), make("span", { class: "kw-hidden" }, word));
  }
}

export class Panel {
  /** @param {Message} message @param {History} history */
  constructor(message, history) {
    this.message = message;
    this.story = new Story(history);
    this.code = new Code(message);
    this.costs = new Costs(message, history);
    this.checks = new Checks(history);
    const parts = [this.story, this.code, this.costs, this.checks].map((part) => part.element);
    this.element = make("div", { class: "kw-side" }, ...parts);
  }

  /** @param {number} n */
  show(n) {
    const step = /** @type {Step} */ (this.message.steps[n]);
    this.story.show(step);
    this.code.show(step);
    this.costs.show(step, n);
    this.checks.show(n);
  }
}

/** @param {number} value */
const number = (value) => (typeof value === "number" ? value.toLocaleString("en") : String(value));

/** A name that may be broken behind its dots and underscores. @param {string} name */
const breakable = (name) => make("span", {}, ...name.split(/(?<=[._])/).flatMap((part) => [make("wbr"), part]));
