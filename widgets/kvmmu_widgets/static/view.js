// Which part of the picture is seen, and how large. It never asks the browser for a size in a
// step: sizes come from the layout and from a ResizeObserver.

/** @typedef {[number, number, number, number]} Box left, top, right, bottom */

/** A size at which the smallest text can still be read. */
const LEGIBLE = 0.62;
const LARGEST = 3;
/** Between what was brought into view and the edge of the stage, px. */
const EDGE = 12;

export class View {
  /** @param {SVGGElement} world what is moved and scaled */
  constructor(world) {
    this.world = world;
    this.width = 0;
    this.height = 0;
    this.content = { w: 1, h: 1 };
    this.k = 1;
    this.x = 0;
    this.y = 0;
    /** whether the whole picture is shown, and goes on being shown when sizes change */
    this.fitted = true;
    /** whether a step may enlarge the picture to make its change legible */
    this.follow = false;
    /** @type {() => void} */
    this.onMove = () => {};
  }

  /** @param {number} width @param {number} height of the stage, px */
  resize(width, height) {
    if (width === this.width && height === this.height) return;
    this.width = width;
    this.height = height;
    if (this.fitted) this.fit();
    else this.#apply();
  }

  /** @param {{ w: number, h: number }} content of the layout, px */
  setContent(content) {
    if (content.w === this.content.w && content.h === this.content.h) return;
    this.content = { w: content.w, h: content.h };
    if (this.fitted) this.fit();
  }

  fitScale() {
    if (!this.width) return 1;
    return Math.min(1, (this.width - 16) / this.content.w, (this.height - 16) / this.content.h);
  }

  /** Show the whole picture. */
  fit() {
    this.fitted = true;
    this.k = this.fitScale();
    this.x = (this.width - this.content.w * this.k) / 2;
    this.y = Math.max(8, Math.min(24, (this.height - this.content.h * this.k) / 2));
    this.#apply();
  }

  /** Zoom around a point of the stage. @param {number} factor @param {number} [cx] @param {number} [cy] */
  zoom(factor, cx = this.width / 2, cy = this.height / 2) {
    const k = Math.min(LARGEST, Math.max(Math.min(this.fitScale(), 0.5), this.k * factor));
    this.x = cx - ((cx - this.x) * k) / this.k;
    this.y = cy - ((cy - this.y) * k) / this.k;
    this.k = k;
    this.fitted = false;
    this.#apply();
  }

  /** @param {number} dx @param {number} dy px of the stage */
  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.#apply();
  }

  /**
   * Bring boxes of the layout into view, moving no more than needed: all of them if they fit at
   * a legible size, else the first.
   * @param {Box[]} boxes
   */
  reveal(...boxes) {
    if (!this.width || !boxes.length) return;
    const whole = around(boxes);
    const [left, top, right, bottom] = this.#room(whole) < LEGIBLE ? /** @type {Box} */ (boxes[0]) : whole;
    const room = this.#room([left, top, right, bottom]);
    const tooSmall = this.follow && this.k < LEGIBLE;
    const tooLarge = this.k > LEGIBLE && this.k > room;
    if (tooSmall || tooLarge) {
      this.k = Math.min(1, Math.max(LEGIBLE, room));
      this.x = this.width / 2 - (this.k * (left + right)) / 2;
      this.y = this.height / 2 - (this.k * (top + bottom)) / 2;
      this.fitted = false;
    }
    const dx = inside(this.x + left * this.k, this.x + right * this.k, this.width);
    const dy = inside(this.y + top * this.k, this.y + bottom * this.k, this.height);
    if (dx || dy) this.fitted = false;
    this.x += dx;
    this.y += dy;
    this.#apply();
  }

  /** Return the scale at which a box fills the stage. @param {Box} box */
  #room([left, top, right, bottom]) {
    return Math.min((this.width - 2 * EDGE) / (right - left), (this.height - 2 * EDGE) / (bottom - top));
  }

  #apply() {
    const { k, width, height, content } = this;
    // a corner of the picture always stays on the stage
    this.x = Math.min(width - 60, Math.max(60 - content.w * k, this.x));
    this.y = Math.min(height - 60, Math.max(60 - content.h * k, this.y));
    const transform = `translate(${round(this.x)}px, ${round(this.y)}px) scale(${k.toFixed(4)})`;
    if (transform === this.world.style.transform) return;
    this.world.style.transform = transform;
    this.onMove();
  }
}

/** @param {Box[]} boxes @returns {Box} */
function around(boxes) {
  const [left, top, right, bottom] = [0, 1, 2, 3].map((side) => boxes.map((box) => Number(box[side])));
  return [Math.min(...(left ?? [])), Math.min(...(top ?? [])), Math.max(...(right ?? [])), Math.max(...(bottom ?? []))];
}

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;

/**
 * Return by how much to move an interval so that it, or else its beginning, lies inside.
 * @param {number} start @param {number} end @param {number} size
 */
function inside(start, end, size) {
  if (end - start > size - 2 * EDGE + 1) return EDGE - start;
  if (start < EDGE) return EDGE - start;
  return end > size - EDGE ? size - EDGE - end : 0;
}
