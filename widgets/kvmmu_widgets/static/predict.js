// A prediction: the question, ways to answer it, and what the kernel says of the answer.

import { icon, make, write, writeSentence } from "./dom.js";

const PATIENCE = 4000;
let questions = 0;

class Prediction {
  /** @param {{ model: Model, el: HTMLElement }} context */
  constructor({ model, el }) {
    this.model = model;
    const name = `kw-predict-${questions++}`;
    this.question = make("p", { class: "kw-question", id: name });
    writeSentence(this.question, model.get("question"));
    /** @type {{ input: HTMLInputElement, field: HTMLElement }[]} */
    this.inputs = model.get("choices").length ? this.#choices(name) : [this.#number(name)];
    const fields = make("div", { class: "kw-fields", role: model.get("choices").length ? "radiogroup" : undefined, "aria-labelledby": name }, ...this.inputs.map((input) => input.field));
    this.commit = make("button", { type: "submit", class: "kw-commit" }, "Commit");
    this.show = make("button", { type: "button", class: "kw-show", hidden: true }, "Show the answer");
    this.said = make("div", { class: "kw-said", role: "status" });
    this.element = make("form", { class: "kvmmu kw-predict", "data-lm-suppress-shortcuts": "true" },
      make("div", { class: "kw-word" }, "Predict"), this.question, fields,
      make("div", { class: "kw-actions" }, this.commit, this.show, this.said));
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask({ do: "commit", value: this.#value() });
    });
    // JupyterLab keeps the enter key from submitting by itself
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return;
      event.preventDefault();
      this.element.requestSubmit();
    });
    this.show.addEventListener("click", () => this.#ask({ do: "reveal" }));
    this.answered = () => this.#answer();
    model.on("change:verdict", this.answered);
    el.append(this.element);
    this.#answer();
  }

  destroy() {
    clearTimeout(this.waiting);
    this.model.off("change:verdict", this.answered);
    this.element.remove();
  }

  /** @param {string} name */
  #choices(name) {
    const given = this.model.get("given");
    return this.model.get("choices").map((/** @type {string} */ choice) => {
      const input = make("input", { type: "radio", name, value: choice, required: true });
      input.checked = choice === given;
      const text = make("span", {});
      writeSentence(text, choice);
      return { input, field: make("label", { class: "kw-choice" }, input, text) };
    });
  }

  /** @param {string} name */
  #number(name) {
    const input = make("input", { type: "text", inputmode: "numeric", size: 12, placeholder: "?", required: true,
      autocomplete: "off", "aria-labelledby": name });
    input.value = this.model.get("given");
    return { input, field: make("label", { class: "kw-choice" }, input, this.model.get("unit")) };
  }

  #value() {
    const [first] = this.inputs;
    return first?.input.type === "text" ? first.input.value : (this.inputs.find(({ input }) => input.checked)?.input.value ?? "");
  }

  /** @param {{ do: string, value?: string }} content */
  #ask(content) {
    this.model.send(content);
    this.#say("waiting", "Asking the engine …");
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#say("waiting", "No answer: run this cell first, then commit again."), PATIENCE);
  }

  #answer() {
    clearTimeout(this.waiting);
    const { state, text } = this.model.get("verdict");
    if (!state) return this.#say("open", "?");
    const words = state === "shown" ? "The answer" : state.charAt(0).toUpperCase() + state.slice(1);
    this.#say(state, text ? `${words}: ${text}` : `${words}.`);
    this.show.hidden = state === "correct" || state === "shown" || state === "still missing";
  }

  /** @param {string} state @param {string} text */
  #say(state, text) {
    const sign = state === "correct" ? "holds" : state === "keep working" ? "broken" : null;
    this.said.className = `kw-said kw-is-${state.replace(" ", "-")}`;
    const words = make("span", {});
    writeSentence(words, text);
    this.said.replaceChildren(...(sign ? [icon(sign)] : []), words);
    write(this.commit, state === "open" ? "Commit" : "Commit again");
  }
}

/** For anywidget. @param {{ model: Model, el: HTMLElement }} context */
function render(context) {
  const prediction = new Prediction(context);
  return () => prediction.destroy();
}

export default { render };
