// What a cell tells on a click, and the way from cell to cell with the keyboard.

import { icon, make, write } from "./dom.js";

/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {{ id: string, index: number }} Where */

const WIDTH = 300;

export class Details {
  /** @param {Picture} picture */
  constructor(picture) {
    this.picture = picture;
    /** @type {Where | null} */
    this.open = null;
    /** @type {Cell | undefined} */
    this.shown = undefined;
    /** @type {SVGGElement | null} the one cell that the tab key reaches */
    this.stop = null;
    this.title = make("b", {});
    this.list = make("ul", {});
    const close = make("button", { type: "button", class: "kw-close", "aria-label": "Close" }, icon("close"));
    close.addEventListener("click", () => this.close());
    this.element = make("div", { class: "kw-details", role: "dialog", "aria-label": "Details", tabindex: -1, hidden: true },
      make("div", { class: "kw-details-head" }, this.title, close), this.list);
    this.element.style.width = `${WIDTH}px`;
  }

  get isOpen() {
    return this.open !== null;
  }

  /** Open at a cell, or close if it is open there. @param {Where | null} where */
  toggle(where) {
    const again = where && this.open && where.id === this.open.id && where.index === this.open.index;
    if (!where || again) return this.close();
    this.open = where;
    this.element.hidden = false;
    this.#fill();
    this.element.focus({ preventScroll: true });
  }

  close() {
    if (!this.open) return;
    const cell = this.picture.findCell(this.open.id, this.open.index)?.element;
    const home = /** @type {HTMLElement | null} */ (this.element.closest(".kw-stepper"));
    const inside = this.element.contains(document.activeElement);
    this.open = null;
    this.shown = undefined;
    this.element.hidden = true;
    if (inside) (cell ?? home)?.focus({ preventScroll: true });
  }

  /** After a step: show what the cell says now, if it is still there. */
  refresh() {
    if (this.open) this.#fill();
    if (!this.stop?.isConnected || !this.stop.classList.contains("kw-more")) this.#setStop(this.picture.openCells(1)[0]?.element);
  }

  /** Keep the details beside their cell. */
  place() {
    const found = this.open && this.picture.findCell(this.open.id, this.open.index);
    if (!found) return;
    const { box } = found;
    const { width, height } = this.picture.view;
    const left = Math.max(8, Math.min(box.x, width - WIDTH - 8));
    const below = box.y + box.h + 6;
    const room = Math.max(height - below - 8, 0);
    const { style } = this.element;
    style.left = `${left}px`;
    style.top = room >= 120 ? `${below}px` : "auto";
    style.bottom = room >= 120 ? "auto" : `${Math.max(8, Math.min(height - 130, height - box.y + 6))}px`;
    style.maxHeight = `${room >= 120 ? room : Math.max(box.y - 14, 122)}px`;
  }

  /** Move the focus to the next cell that opens. @param {1 | -1} way */
  focusNext(way) {
    const cells = this.picture.openCells();
    const at = cells.findIndex(({ element }) => element === document.activeElement);
    const start = at < 0 ? cells.findIndex(({ element }) => element === this.stop) - way : at;
    const next = cells[(start + way + cells.length) % cells.length];
    if (!next) return;
    this.#setStop(next.element);
    this.picture.revealCell(next.id, next.index);
    next.element.focus({ preventScroll: true });
  }

  /** @param {SVGGElement | undefined} element */
  #setStop(element) {
    this.stop?.setAttribute("tabindex", "-1");
    element?.setAttribute("tabindex", "0");
    this.stop = element ?? null;
  }

  #fill() {
    const found = this.open && this.picture.findCell(this.open.id, this.open.index);
    const more = found?.cell.more;
    if (!found || !more?.length) return this.close();
    if (found.cell !== this.shown) {
      write(this.title, [found.cell.t, found.cell.s].filter(Boolean).join("  "));
      this.list.replaceChildren(...more.map((line) => make("li", {}, line)));
    }
    this.shown = found.cell;
    this.place();
  }
}
