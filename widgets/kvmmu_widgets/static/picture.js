// The picture: cards, their cells, edges, frames. Elements are made once and kept; a step
// touches only those that look different.

import { draw, dress, write } from "./dom.js";
import { View } from "./view.js";

/** @typedef {import("./history.js").History} History */
/** @typedef {import("./view.js").Box} Box */

/** The sign of a change that needs no colour: a filled corner. */
const CORNER = "M-1,-1H12L-1,12Z";
/** The sign that a click tells more. */
const FOLD = "M-1,-8V-1H-8Z";
const EMPTY_CELL = { t: "", s: "", cls: "", box: [0, 0, 0, 0] };

/** A run of entries in a card. */
class CellView {
  /** @param {SVGGElement} card */
  constructor(card) {
    this.box = draw("rect", { class: "kw-box", rx: 3 });
    this.hatch = draw("rect", { class: "kw-hatch", rx: 3 });
    this.t = draw("text", { x: 8, y: 15 });
    this.s = draw("text", { x: 8, y: 29, class: "kw-small" });
    this.element = draw("g", {}, this.box, this.hatch, this.t, this.s);
    /** @type {Cell} */
    this.now = /** @type {Cell} */ (EMPTY_CELL);
    /** @type {SVGPathElement | null} */
    this.fold = null;
    this.changed = false;
    card.append(this.element);
  }

  /** @param {Cell} cell */
  paint(cell) {
    const { now } = this;
    if (cell === now) return;
    this.now = cell;
    write(this.t, cell.t ?? "");
    write(this.s, cell.s ?? "");
    if (cell.cls !== now.cls) this.#classes();
    if (!same(cell.box, now.box)) {
      const [x, y, w, h] = cell.box;
      this.element.setAttribute("transform", `translate(${x} ${y})`);
      dress(this.box, { width: w, height: h });
      dress(this.hatch, { width: w, height: h });
      this.fold?.setAttribute("transform", `translate(${w} ${h})`);
    }
    this.#offer(Boolean(cell.more?.length), cell);
  }

  /** @param {boolean} changed */
  mark(changed) {
    if (changed === this.changed) return;
    this.changed = changed;
    if (changed) corner(this.element);
    this.#classes();
  }

  #classes() {
    const more = this.fold ? " kw-more" : "";
    this.element.setAttribute("class", `kw-cell ${this.now.cls ?? ""}${more}${this.changed ? " changed" : ""}`);
  }

  /** Make the cell one that opens, or not. @param {boolean} more @param {Cell} cell */
  #offer(more, cell) {
    const { element } = this;
    if (more) element.setAttribute("aria-label", `${cell.t} ${cell.s ?? ""}, details`);
    if (more === Boolean(this.fold)) return;
    if (more) {
      const [, , w, h] = cell.box;
      this.fold = draw("path", { d: FOLD, class: "kw-fold", transform: `translate(${w} ${h})` });
      element.append(this.fold);
      dress(element, { role: "button", tabindex: -1, "aria-haspopup": "dialog" });
    } else {
      this.fold?.remove();
      this.fold = null;
      for (const name of ["role", "tabindex", "aria-haspopup", "aria-label"]) element.removeAttribute(name);
    }
    this.#classes();
  }
}

/** A node of the picture: a page table, a memory slot, a pointer. */
class CardView {
  /** @param {SVGGElement} layer @param {string} id */
  constructor(layer, id) {
    this.box = draw("rect", { class: "kw-box", rx: 5 });
    this.hatch = draw("rect", { class: "kw-hatch", rx: 5 });
    this.title = draw("text", { x: 10, y: 18 });
    this.sub = draw("text", { x: 10, y: 33, class: "kw-small" });
    this.badge = draw("text", { y: 18, class: "kw-badge" });
    this.element = draw("g", {}, this.box, this.hatch, this.title, this.sub, this.badge);
    this.id = id;
    this.height = 0;
    this.drawn = -1;
    /** @type {CellView[]} */
    this.cells = [];
    /** @type {Content | null} */
    this.now = null;
    this.gone = false;
    this.changed = false;
    this.shown = true;
    layer.append(this.element);
  }

  /** @param {number[]} box */
  place([x, y, w, h]) {
    this.height = Number(h);
    this.element.style.transform = `translate(${x}px, ${y}px)`;
    this.box.setAttribute("width", String(w));
    this.hatch.setAttribute("width", String(w));
    this.badge.setAttribute("x", String(Number(w) - 10));
    if (this.now) this.#stretch(this.now);
  }

  /** A content may be lower than its place. @param {Content} content */
  #stretch({ h = this.height }) {
    if (h === this.drawn) return;
    this.drawn = h;
    this.box.setAttribute("height", String(h));
    this.hatch.setAttribute("height", String(h));
  }

  /** @param {Content} content @param {boolean} gone */
  paint(content, gone) {
    if (!this.shown) this.#show(true);
    if (content !== this.now) {
      const cls = this.now?.cls;
      this.now = content;
      this.#stretch(content);
      write(this.title, content.title ?? "");
      write(this.sub, content.sub ?? "");
      write(this.badge, content.badge ?? "");
      this.#paintCells(content.cells ?? []);
      if (cls !== content.cls) this.#classes();
    }
    if (gone !== this.gone) {
      this.gone = gone;
      this.#classes();
    }
  }

  hide() {
    if (this.shown) this.#show(false);
  }

  /** @param {boolean} changed */
  mark(changed) {
    if (changed === this.changed) return;
    this.changed = changed;
    if (changed) corner(this.element);
    this.#classes();
  }

  /** @param {Cell[]} cells */
  #paintCells(cells) {
    while (this.cells.length > cells.length) this.cells.pop()?.element.remove();
    cells.forEach((cell, i) => (this.cells[i] ??= new CellView(this.element)).paint(cell));
  }

  /** @param {boolean} shown */
  #show(shown) {
    this.shown = shown;
    this.element.style.display = shown ? "" : "none";
  }

  #classes() {
    const signs = (this.changed ? " changed" : "") + (this.gone ? " kw-gone" : "");
    this.element.setAttribute("class", `kw-card ${this.now?.cls ?? ""}${signs}`);
  }
}

class EdgeView {
  /** @param {SVGGElement} layer */
  constructor(layer) {
    this.line = draw("path", { class: "kw-line" });
    this.tip = draw("path", { class: "kw-tip" });
    this.label = draw("text", { class: "kw-small" });
    this.element = draw("g", {}, this.line, this.tip, this.label);
    this.changed = false;
    /** @type {string | null} */
    this.classes = null;
    layer.append(this.element);
  }

  /** @param {Edge} edge */
  place({ d, tip, label, at }) {
    this.line.setAttribute("d", d);
    this.tip.setAttribute("d", tip ? arrowHead(tip) : "");
    write(this.label, label ?? "");
    if (at) dress(this.label, { x: at[0], y: at[1] });
  }

  /** @param {string | null} cls null for: not there @param {boolean} gone */
  paint(cls, gone) {
    const classes = cls === null ? null : `kw-edge ${cls}${gone ? " kw-gone" : ""}${this.changed ? " changed" : ""}`;
    if (classes === this.classes) return;
    this.classes = classes;
    if (classes === null) this.element.style.display = "none";
    else {
      this.element.style.display = "";
      this.element.setAttribute("class", classes);
    }
  }
}

export class Picture {
  /**
   * @param {Message} message
   * @param {History} history
   * @param {string} uid makes ids of patterns unique on the page
   */
  constructor(message, history, uid) {
    this.message = message;
    this.history = history;
    this.frames = draw("g", { class: "kw-frames" });
    this.cardLayer = draw("g", {});
    this.edgeLayer = draw("g", {});
    this.world = draw("g", { class: "kw-world" }, this.frames, this.cardLayer, this.edgeLayer);
    this.element = draw("svg", { class: "kw-picture", role: "group" }, this.world);
    this.view = new View(this.world);
    /** @type {Map<string, CardView>} */
    this.cards = new Map();
    /** @type {Map<string, EdgeView>} */
    this.edges = new Map();
    /** @type {Set<string>} */
    this.marks = new Set();
    this.layout = -1;
    this.#patterns(uid);
    const [first] = message.layouts;
    if (first) this.view.setContent(first);
    if (message.layouts.length > 1) this.element.classList.add("kw-moves");
  }

  /** Show a step. @param {number} to @param {number} from the step shown now, -1 for none */
  show(to, from) {
    const { history, message } = this;
    const step = /** @type {Step} */ (message.steps[to]);
    const layout = /** @type {Layout} */ (message.layouts[step.layout]);
    const moved = step.layout !== this.layout;
    const before = this.marks;
    this.marks = new Set(step.marks);
    this.layout = step.layout;
    if (moved) this.#arrange(layout);
    const nodes = moved ? history.nodes.keys() : history.touched("nodes", from, to);
    for (const id of nodes) this.#showNode(id, to, layout);
    const edges = moved ? new Set(history.edges.keys()) : history.touched("edges", from, to);
    for (const id of new Set([...before, ...this.marks])) {
      if (history.edges.has(id)) edges.add(id);
      else this.#mark(id);
    }
    for (const id of edges) this.#showEdge(id, to, layout);
    this.view.reveal(...this.#markedBoxes(layout));
  }

  /** Return the card and the cell that an element belongs to. @param {EventTarget | null} target */
  cellOf(target) {
    const element = target instanceof Element ? target.closest(".kw-more") : null;
    if (!element) return null;
    for (const card of this.cards.values()) {
      const index = card.cells.findIndex((cell) => cell.element === element);
      if (index >= 0) return { id: card.id, index };
    }
    return null;
  }

  /** Return a cell and its box on the stage, px, if it is there. @param {string} id @param {number} index */
  findCell(id, index) {
    const card = this.cards.get(id);
    const cell = card?.shown ? card.cells[index] : undefined;
    const place = this.message.layouts[this.layout]?.nodes[id];
    if (!cell || !place) return null;
    const { k, x, y } = this.view;
    const [left, top, w, h] = /** @type {number[]} */ (cell.now.box);
    const box = { x: x + (place[0] + Number(left)) * k, y: y + (place[1] + Number(top)) * k, w: Number(w) * k, h: Number(h) * k };
    return { element: cell.element, cell: cell.now, box };
  }

  /** Return the cells that open, in reading order. @param {number} [most] */
  openCells(most = Infinity) {
    const found = [];
    for (const card of this.cards.values()) {
      if (!card.shown) continue;
      for (const [index, cell] of card.cells.entries()) {
        if (cell.fold && found.push({ id: card.id, index, element: cell.element }) >= most) return found;
      }
    }
    return found;
  }

  /** Bring a cell into view. @param {string} id @param {number} index */
  revealCell(id, index) {
    const place = this.message.layouts[this.layout]?.nodes[id];
    const box = this.cards.get(id)?.cells[index]?.now.box;
    if (!place || !box) return;
    const [left, top] = [Number(place[0]) + Number(box[0]), Number(place[1]) + Number(box[1])];
    this.view.reveal([left, top, left + Number(box[2]), top + Number(box[3])]);
  }

  /** @param {Layout} layout */
  #arrange(layout) {
    this.view.setContent(layout);
    for (const [id, card] of this.cards) {
      const box = layout.nodes[id];
      if (box) card.place(box);
      else card.hide();
    }
    for (const [id, edge] of this.edges) {
      const path = layout.edges?.[id];
      if (path) edge.place(path);
    }
    this.frames.replaceChildren(...Object.values(layout.groups ?? {}).map(frame));
  }

  /** @param {string} id @param {number} step @param {Layout} layout */
  #showNode(id, step, layout) {
    const shown = this.history.shownAt(this.history.nodes.get(id), step, this.marks.has(id));
    const box = layout.nodes[id];
    let card = this.cards.get(id);
    if (!shown || !box) return card?.hide();
    if (!card) this.cards.set(id, (card = new CardView(this.cardLayer, id)));
    if (!card.now || !card.shown) card.place(box);
    const content = this.message.contents[shown.value];
    if (content) card.paint(content, shown.gone);
  }

  /** @param {string} id @param {number} step @param {Layout} layout */
  #showEdge(id, step, layout) {
    const shown = this.history.shownAt(this.history.edges.get(id), step, this.marks.has(id));
    const path = layout.edges?.[id];
    let edge = this.edges.get(id);
    if (!shown || !path) return edge?.paint(null, false);
    if (!edge) {
      this.edges.set(id, (edge = new EdgeView(this.edgeLayer)));
      edge.place(path);
    }
    edge.changed = this.marks.has(id);
    edge.paint(shown.value, shown.gone);
  }

  /** @param {string} id of a node or a cell */
  #mark(id) {
    const [node, index] = splitMark(id);
    const card = this.cards.get(node);
    (index === null ? card : card?.cells[index])?.mark(this.marks.has(id));
  }

  /** Return the boxes of what is marked, cards first. @param {Layout} layout */
  #markedBoxes(layout) {
    /** @type {Box[]} */
    const cards = [];
    /** @type {Box[]} */
    const cells = [];
    for (const id of this.marks) {
      const [node, index] = splitMark(id);
      const place = layout.nodes[node];
      if (!place) continue;
      const [x, y, w, h] = /** @type {Box} */ (place);
      const cell = index === null ? undefined : this.cards.get(node)?.cells[index]?.now.box;
      const [dx, dy, cw, ch] = /** @type {Box} */ (cell ?? [0, 0, w, h]);
      (index === null ? cards : cells).push([x + dx, y + dy, x + dx + cw, y + dy + ch]);
    }
    return [...cards, ...cells];
  }

  /** @param {string} uid */
  #patterns(uid) {
    const patterns = Object.entries(this.message.hatches ?? {}).map(([name, d]) => {
      const id = `kw-${uid}-${name.replace(/\W/g, "")}`;
      const path = draw("path", { d, class: "kw-hatching" });
      return draw("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" }, path);
    });
    this.element.prepend(draw("defs", {}, ...patterns));
  }

  /** Return the CSS properties that make the patterns known. @param {string} uid @returns {[string, string][]} */
  hatchProperties(uid) {
    const names = Object.keys(this.message.hatches ?? {}).filter((name) => /^[\w-]+$/.test(name));
    return names.map((name) => [`--kvmmu-hatch-${name}`, `url(#kw-${uid}-${name.replace(/\W/g, "")})`]);
  }
}

/** @param {string} id "node", "edge" or "node#cell number" @returns {[string, number | null]} */
function splitMark(id) {
  const cut = id.lastIndexOf("#");
  return cut < 0 ? [id, null] : [id.slice(0, cut), Number(id.slice(cut + 1))];
}

/** @param {number[]} a @param {number[]} b */
const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);

/** Give a card or a cell its sign of a change, once. @param {SVGGElement} element */
function corner(element) {
  const after = element.children[2];
  if (after?.classList.contains("kw-sign")) return;
  element.insertBefore(draw("path", { d: CORNER, class: "kw-sign" }), after ?? null);
}

/** @param {number[]} tip from the end of the line to the point */
function arrowHead([x1, y1, x2, y2]) {
  const [dx, dy] = [(Number(x2) - Number(x1)) * 0.38, (Number(y2) - Number(y1)) * 0.38];
  return `M${Number(x1) - dy},${Number(y1) + dx}L${x2},${y2}L${Number(x1) + dy},${Number(y1) - dx}Z`;
}

/** @param {{ box: number[], label?: string }} group */
function frame({ box: [x, y, w, h], label }) {
  const rect = draw("rect", { x, y, width: w, height: h, rx: 8 });
  const text = draw("text", { x: Number(x) + 10, y: Number(y) + 16, class: "kw-small" }, label ?? "");
  return draw("g", { class: "kw-frame" }, rect, text);
}
