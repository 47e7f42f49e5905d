// The lanes: a row a step, a column a task, a column a lock; only where tasks take turns.

import { make, write } from "./dom.js";

/** @typedef {import("./history.js").History} History */

const ROWS = 5;

export class Lanes {
  /** @param {Message} message @param {History} history @param {(step: number) => void} goto */
  constructor(message, history, goto) {
    this.message = message;
    this.history = history;
    this.tasks = history.tasks;
    // many locks share a column
    const locks = [...history.locks.keys()];
    this.locks = locks.length > 2 ? [] : locks;
    this.together = locks.length > 2 ? locks : [];
    this.start = 0;
    this.first = -1;
    this.size = Math.min(ROWS, message.steps.length);
    const names = ["step", ...this.tasks, ...this.locks].map(String);
    const kinds = ["kw-n", ...this.tasks.map(() => "kw-lane"), ...this.locks.map(() => "kw-lock")];
    if (this.together.length) {
      names.push("locks held");
      kinds.push("kw-locks");
    }
    const head = make("tr", {}, ...names.map((name, i) => make("th", { scope: "col", class: kinds[i] }, name)));
    this.rows = Array.from({ length: this.size }, (_, i) => this.#row(kinds, () => goto(this.start + i)));
    const table = make("table", { "aria-label": "Tasks side by side" }, make("thead", {}, head),
      make("tbody", {}, ...this.rows.map((row) => row.element)));
    this.element = make("div", { class: "kw-lanes" }, table);
  }

  /** @param {number} step */
  show(step) {
    const top = Math.max(0, this.message.steps.length - this.size);
    const margin = 2;
    this.start = Math.min(top, this.start, Math.max(0, step - margin));
    this.start = Math.max(this.start, Math.min(top, step - this.size + 1 + margin));
    if (this.start !== this.first) this.rows.forEach((row, i) => this.#fill(row, this.start + i));
    this.first = this.start;
    this.now?.removeAttribute("aria-current");
    this.now = this.rows[step - this.start]?.element;
    this.now?.setAttribute("aria-current", "step");
  }

  /** @param {string[]} kinds @param {() => void} act */
  #row(kinds, act) {
    const number = make("button", { type: "button", tabindex: -1 });
    const cells = kinds.slice(1).map((kind) => make("td", { class: kind }));
    const element = make("tr", {}, make("td", { class: "kw-n" }, number), ...cells);
    element.addEventListener("click", act);
    return { element, number, cells };
  }

  /** @param {{ number: Element, cells: Element[] }} row @param {number} n */
  #fill({ number, cells }, n) {
    const step = /** @type {Step} */ (this.message.steps[n]);
    const said = step.short || step.text;
    const texts = this.tasks.map((task) => (task === step.task ? said : ""));
    // a step of no task: an operation begins
    if (!step.task) texts[0] = said;
    texts.push(...this.locks.map((name) => this.#holder(name, n)));
    const held = this.together.filter((name) => this.#holder(name, n));
    if (this.together.length) texts.push(held.map((name) => `${name} ${this.#holder(name, n)}`).join(", "));
    write(number, String(n));
    texts.forEach((text, i) => write(/** @type {Element} */ (cells[i]), text));
    cells[0]?.classList.toggle("kw-across", !step.task);
  }

  /** Return who holds a lock at a step, and how. @param {string} name @param {number} n */
  #holder(name, n) {
    const track = this.history.locks.get(name);
    return (track && this.history.valueAt(track, n)) || "";
  }
}
