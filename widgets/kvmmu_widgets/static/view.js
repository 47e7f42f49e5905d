// Which part of the picture is seen, and how large. It never asks the browser for a size in a
// step: sizes come from the layout and from a ResizeObserver.

/** A size at which the smallest text can still be read. */
const LEGIBLE = 0.62;
const LARGEST = 3;

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
   * Bring a box of the layout into view, moving no more than needed.
   * @param {[number, number, number, number]} box left, top, right, bottom
   */
  reveal(box) {
    if (!this.width) return;
    const [left, top, right, bottom] = box;
    if (this.follow && this.k < LEGIBLE) {
      const whole = Math.min(this.width / (right - left + 80), this.height / (bottom - top + 80));
      this.k = Math.min(1, Math.max(LEGIBLE, whole));
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

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;

/**
 * Return by how much to move an interval so that it, or else its beginning, lies inside.
 * @param {number} start @param {number} end @param {number} size
 */
function inside(start, end, size) {
  const edge = 12;
  if (end - start > size - 2 * edge) return start > size / 2 || end < size / 2 ? edge - start : 0;
  if (start < edge) return edge - start;
  return end > size - edge ? size - edge - end : 0;
}
