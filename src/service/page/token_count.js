// token_count — how many tokens a prompt has, and where its chunks of 75 end, as the server's tokenizer says. A model reads a
// chunk at a time: words that belong together are best in one.

import {post, Refusal} from "./api.js";
import {fill, find, make} from "./element.js";

const waitMs = 500;

export class TokenCount {
  timers = {};
  asked = {prompt: "", negative: ""}; // what the last question was: an older answer is not shown

  constructor(form) {
    this.form = form;
    form.addEventListener("change", ({detail}) => {
      if (["", "prompt", "steps", "model"].includes(detail)) this.soon("prompt");
      if (["", "negative", "steps", "model"].includes(detail)) this.soon("negative");
    });
    this.soon("prompt");
    this.soon("negative");
  }

  soon(name) {
    const {model, steps} = this.form.wanted;
    const text = this.form.wanted[name];
    const question = JSON.stringify([text, model, steps]);
    if (question === this.asked[name]) return;
    this.asked[name] = question;
    clearTimeout(this.timers[name]);
    if (text.trim() === "") this.show(name, "");
    else if (model) this.timers[name] = setTimeout(() => this.ask(name, question).catch(() => {}), waitMs);
  }

  async ask(name, question) {
    const {model, steps} = this.form.wanted;
    const body = {prompt: this.form.wanted[name], is_negative: name === "negative", model, steps: Number(steps) > 0 ? Math.round(Number(steps)) : 20};
    try {
      const meaning = await post("api/v1/prompt", body);
      if (question === this.asked[name]) this.show(name, "", meaning);
    } catch (error) {
      if (question !== this.asked[name]) return;
      this.asked[name] = ""; // the next change asks again
      this.show(name, error instanceof Refusal ? error.message : "");
    }
  }

  show(name, problem, meaning = null) {
    const place = find(`${name}-tokens`);
    place.classList.toggle("bad", problem !== "");
    if (!meaning) fill(place, problem);
    else fill(place, ...countOf(meaning));
  }
}

// The longest text of all parts and steps is what is shown; that there are others is said.
export function countOf(meaning) {
  const longest = meaning.texts.reduce((best, text) => text.tokens > best.tokens ? text : best);
  const words = meaning.words.filter((word) => word.part === longest.part && word.until_step === longest.until_step);
  const room = meaning.chunk_tokens * longest.chunks;
  const chunks = Array.from({length: longest.chunks}, (_, index) => words.filter((word) => word.chunk === index + 1));
  const parts = new Set(meaning.texts.map((text) => text.part)).size;
  const notes = [...chunks.slice(1).map((chunk, index) => `chunk ${index + 2} begins with “${firstWords(chunk)}”`),
    parts > 1 && `${parts} parts`, meaning.texts.length > parts && "changes while it is made"].filter(Boolean);
  return [make("span", {class: "figure"}, `${longest.tokens} / ${room} tokens`),
    make("span", {class: "chunks", "aria-hidden": "true"}, ...chunks.map((chunk) => bar(chunk, meaning.chunk_tokens))),
    notes.length ? make("span", {}, notes.join(" · ")) : null];
}

function firstWords(chunk) {
  return chunk.slice(0, 3).map((word) => word.word).join(" ");
}

function bar(chunk, size) {
  const share = Math.min(1, chunk.reduce((sum, word) => sum + word.tokens, 0) / size);
  const inner = make("span", {});
  inner.style.width = `${Math.round(share * 100)}%`;
  return make("span", {class: "chunk"}, inner);
}
