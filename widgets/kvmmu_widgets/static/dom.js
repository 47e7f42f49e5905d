// Elements, texts, icons. A text of the message only ever becomes a text node.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Record<string, string | number | boolean | undefined>} Attributes */

/**
 * Make an HTML element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes] those that are undefined or false are left out
 * @param {(Node | string)[]} children strings become text
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  dress(node, attributes);
  node.append(...children);
  return node;
}

/**
 * Make an SVG element.
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {(Node | string)[]} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  dress(node, attributes);
  node.append(...children);
  return node;
}

/** @param {Element} node @param {Attributes} attributes */
export function dress(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, String(value));
  }
}

/** Set a text; an equal text costs no layout. @param {Element} node @param {string} text */
export function write(node, text) {
  const only = node.firstChild;
  if (only?.nodeType === Node.TEXT_NODE && !only.nextSibling) {
    if (only.nodeValue !== text) only.nodeValue = text;
  } else if (only || text) {
    node.textContent = text;
  }
}

/** Write a sentence; hexadecimal numbers and what is in backticks become code. @param {Element} node @param {string} text */
export function writeSentence(node, text) {
  const parts = text.split(/(`[^`]+`|\b0x[0-9a-fA-F]+\b)/);
  node.replaceChildren(...parts.map((part, i) => (i % 2 ? make("code", {}, part.replaceAll("`", "")) : part)));
}

/** Return a link if the address is https, else plain text. @param {string} url @param {string} text */
export function link(url, text) {
  if (!/^https:\/\//i.test(url)) return make("span", {}, text);
  return make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text);
}

/** Paths on a 16 by 16 field. */
const ICONS = {
  first: "M3 3h2v10H3zM13 3v10L6 8z",
  back: "M11.5 3v10L4 8z",
  play: "M4.5 3v10L12 8z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  forward: "M4.5 3v10L12 8z",
  last: "M11 3h2v10h-2zM3 3v10l7-5z",
  larger: "M7 3h2v4h4v2H9v4H7V9H3V7h4z",
  smaller: "M3 7h10v2H3z",
  fit: "M2 2h5v2H4v3H2zM9 2h5v5h-2V4H9zM2 9h2v3h3v2H2zM12 9h2v5H9v-2h3z",
  follow: "M7 1h2v2.1A5 5 0 0 1 12.9 7H15v2h-2.1A5 5 0 0 1 9 12.9V15H7v-2.1A5 5 0 0 1 3.1 9H1V7h2.1A5 5 0 0 1 7 3.1zM8 5a3 3 0 1 0 0 6a3 3 0 1 0 0-6z",
  up: "M8 3l6 10H2z",
  down: "M8 13L2 3h12z",
  holds: "M6.3 12.6L1.8 8.2l1.7-1.7l2.8 2.7l6.2-6.2l1.7 1.7z",
  broken: "M3.5 1.8L8 6.3l4.5-4.5l1.7 1.7L9.7 8l4.5 4.5l-1.7 1.7L8 9.7l-4.5 4.5l-1.7-1.7L6.3 8L1.8 3.5z",
  close: "M4 2.6L8 6.6l4-4L13.4 4l-4 4l4 4L12 13.4l-4-4l-4 4L2.6 12l4-4l-4-4z",
};

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  const path = draw("path", { d: ICONS[name] });
  return draw("svg", { viewBox: "0 0 16 16", class: "kw-icon", "aria-hidden": "true" }, path);
}

/** @param {Element} holder an element with an icon in it @param {keyof typeof ICONS} name */
export function changeIcon(holder, name) {
  holder.querySelector(".kw-icon path")?.setAttribute("d", ICONS[name]);
}

/**
 * Make a button with an icon and a text.
 * @param {keyof typeof ICONS} name
 * @param {string} text
 * @param {string} tip what it does, with its key
 * @param {() => void} act
 */
export function button(name, text, tip, act) {
  const label = make("span", { class: "kw-label" }, text);
  const node = make("button", { type: "button", class: `kw-button kw-${name}`, title: tip }, icon(name), label);
  node.addEventListener("click", act);
  return node;
}
