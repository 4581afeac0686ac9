// networks — LoRAs, embeddings and styles to choose from. What is chosen is in the fields: in the prompt's own text, and in the
// names of styles; the lists show what stands there.

import {fill, find, make, say} from "./element.js";
import {complain} from "./notice.js";
import {hasWords, lorasOf, withLora, withoutLora, withoutWords, withWords} from "./prompt_network.js";
import {bytesText} from "./units.js";

const mostShown = 60, families = {sd15: "SD1.5", sd2: "SD2", sdxl: "SDXL"};

export class Networks {
  constructor(catalogue, form) {
    this.catalogue = catalogue;
    this.form = form;
    catalogue.addEventListener("change", () => this.update());
    form.addEventListener("change", ({detail}) => { if (["", "prompt", "negative", "model", "styles"].includes(detail)) this.update(); });
    find("networks-search").addEventListener("input", () => this.update());
    find("networks").addEventListener("toggle", () => this.update());
    find("networks-refresh").addEventListener("click", () => catalogue.refresh().catch(complain));
  }

  family() {
    return this.catalogue.models.find((model) => model.title === this.form.wanted.model)?.family ?? "";
  }

  // Does it go with the model? What does not show its family may.
  fits(item) {
    const family = this.family();
    return !item.problem && (!family || !item.family || item.family === "unknown" || item.family === family);
  }

  update() {
    const used = lorasOf(this.form.wanted.prompt).length + this.styleNames().length;
    find("networks-tag").hidden = used === 0;
    say(find("networks-tag"), `${used} in use`);
    if (!find("networks").open) return;
    const focus = document.activeElement?.dataset.key;
    this.show("loras", this.catalogue.loras, (item) => this.loraRow(item), "LoRA");
    this.show("embeddings", this.catalogue.embeddings, (item) => this.embeddingRow(item), "embedding");
    this.show("styles", this.catalogue.styles, (item) => this.styleRow(item), "style");
    focusKey(focus);
  }

  show(id, items, row, what) {
    const words = find("networks-search").value.trim().toLowerCase();
    const found = items.filter((item) => [item.name, item.trigger_words, item.prompt].some((text) => text?.toLowerCase().includes(words)));
    const shown = found.map((item) => [item, !this.isUsed(id, item) * 2 + !this.fits(item)]).sort((a, b) => a[1] - b[1]).map(([item]) => item);
    fill(find(id), ...shown.slice(0, mostShown).map(row));
    const more = shown.length - mostShown;
    const empty = find(`${id}-empty`);
    say(empty, items.length === 0 ? `There is no ${what} on this server${this.catalogue.places[id] ? `, in ${this.catalogue.places[id]}` : ""}.`
      : found.length === 0 ? `No ${what} is called so.` : more > 0 ? `${more} more: search for their names.` : "");
    empty.hidden = empty.textContent === "";
  }

  isUsed(id, item) {
    if (id === "loras") return this.loraOf(item) !== undefined;
    if (id === "styles") return this.styleNames().includes(item.name);
    return hasWords(this.form.wanted.prompt, item.name) || hasWords(this.form.wanted.negative, item.name);
  }

  // ---- LoRAs ----

  loraOf(item) {
    return lorasOf(this.form.wanted.prompt).find((lora) => lora.name.toLowerCase() === item.name.toLowerCase());
  }

  loraRow(item) {
    const used = this.loraOf(item), fits = this.fits(item);
    const weight = make("input", {type: "number", step: "0.05", min: "-10", max: "10", inputmode: "decimal", value: String(used?.weight ?? 1),
      "aria-label": `Weight of ${item.name}`, "data-key": `weight ${item.name}`, disabled: !fits && !used});
    weight.addEventListener("change", () => { if (this.loraOf(item)) this.edit("prompt", withLora(this.form.wanted.prompt, item.name, weight.value || 1)); });
    const toggle = make("button", {type: "button", class: "small", "data-key": `lora ${item.name}`, "aria-label": `${used ? "Remove" : "Add"} the LoRA ${item.name}`,
      disabled: (!fits || /[:<>]/.test(item.name)) && !used, onclick: () => this.edit("prompt", used ? withoutLora(this.form.wanted.prompt, item.name)
        : withLora(this.form.wanted.prompt, item.name, weight.value || 1))}, used ? "Remove" : "Add");
    const words = (item.trigger_words ?? "").split(",").map((word) => word.trim()).filter(Boolean);
    return make("li", {class: `network${used ? " chosen" : ""}`, "data-name": item.name},
      this.head(item, [item.kinds, bytesText(item.bytes), item.base_model]),
      item.problem ? null : make("div", {class: "row"}, make("label", {}, "Weight ", weight), toggle),
      words.length ? make("div", {class: "row", role: "group", "aria-label": `Trigger words of ${item.name}`}, ...words.map((word) => this.wordButton("prompt", word, word))) : null);
  }

  head(item, facts) {
    const family = families[item.family] ?? "";
    const unfit = !item.problem && !this.fits(item) ? `for ${family}: it does not go with this model` : "";
    return make("p", {}, make("strong", {}, item.name), " ", family ? make("span", {class: "tag"}, family) : null,
      make("span", {class: item.problem ? "hint bad" : "hint"}, ` ${item.problem || [unfit, ...facts].filter(Boolean).join(" · ")}`));
  }

  // A press puts words into a field, another one takes them out.
  wordButton(field, words, label) {
    const there = hasWords(this.form.wanted[field], words);
    return make("button", {type: "button", class: "word", "aria-pressed": String(there), "data-key": `word ${field} ${words}`,
      onclick: () => this.edit(field, there ? withoutWords(this.form.wanted[field], words) : withWords(this.form.wanted[field], words))}, label);
  }

  // ---- embeddings and styles ----

  embeddingRow(item) {
    const fits = this.fits(item);
    return make("li", {class: "network", "data-name": item.name},
      this.head(item, [`${item.vector_count} ${item.vector_count === 1 ? "token" : "tokens"}`, bytesText(item.bytes)]),
      fits ? make("div", {class: "row", role: "group", "aria-label": `The embedding ${item.name}`},
        this.wordButton("prompt", item.name, "In the prompt"), this.wordButton("negative", item.name, "In the negative prompt")) : null);
  }

  styleNames() {
    return this.form.wanted.styles ? this.form.wanted.styles.split("\n") : [];
  }

  styleRow(item) {
    const names = this.styleNames(), there = names.includes(item.name);
    const box = make("input", {type: "checkbox", checked: there, "data-key": `style ${item.name}`,
      onchange: () => this.form.set({styles: (there ? names.filter((name) => name !== item.name) : [...names, item.name]).join("\n")})});
    return make("li", {class: `network${there ? " chosen" : ""}`, "data-name": item.name}, make("label", {}, box, make("strong", {}, item.name)),
      make("p", {class: "hint"}, [item.prompt, item.negative && `not: ${item.negative}`].filter(Boolean).join(" · ")));
  }

  // As if it were typed, so that Ctrl+Z in the field takes it back; the focus stays where it is.
  edit(name, text) {
    const field = this.form.fields[name], focused = document.activeElement;
    const key = focused?.dataset.key;
    field.focus({preventScroll: true});
    field.setSelectionRange(0, field.value.length);
    if (!document.execCommand("insertText", false, text) || field.value !== text) this.form.set({[name]: text});
    focused?.focus({preventScroll: true});
    this.update();
    focusKey(key);
  }
}

// The element that took the place of the one that had the focus, when its list was made anew.
function focusKey(key) {
  if (key) document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({preventScroll: true});
}
