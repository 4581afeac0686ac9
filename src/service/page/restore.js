// restore — fills the fields from what a picture says of itself, and reports what was taken and what was not. Model and VAE
// are never switched by themselves: each has a button.

import {post} from "./api.js";
import {fill, find, make} from "./element.js";
import {parseParameters, restoreValues} from "./parameters.js";
import {base64Of} from "./picture.js";

export class Restore {
  constructor(form, catalogue) {
    this.form = form;
    this.catalogue = catalogue;
    find("restored-close").addEventListener("click", () => find("restored").close());
  }

  // The server reads the text out of the file.
  async fromBlob(blob) {
    const answer = await post("sdapi/v1/png-info", {image: await base64Of(blob)});
    if (!answer.info) throw new Error("This picture says nothing of how it was made.");
    await this.fromText(answer.info);
  }

  async fromText(text) {
    const result = restoreValues(parseParameters(text), this.catalogue);
    this.form.set(result.values);
    await this.report(result);
  }

  async report(result) {
    const rows = [...result.unknown.map(([key, value, why]) => row(key, value, why, "bad")),
      ...result.applied.map(([key, value]) => row(key, value, "", ""))];
    fill(find("restored-body"),
      await this.modelRow(result.choices), await this.vaeRow(result.choices),
      make("p", {class: result.unknown.length ? "bad" : "good"}, result.unknown.length
        ? `${result.unknown.length} of ${rows.length} settings were not taken:` : `All ${rows.length} settings were read.`),
      make("div", {class: "scroll"}, make("table", {class: "report"}, make("tbody", {}, ...rows))));
    find("restored").showModal();
  }

  async modelRow({model, modelHash}) {
    if (!model && !modelHash) return null;
    const said = `${model ?? "a model"}${modelHash ? ` [${modelHash}]` : ""}`;
    const found = this.catalogue.find(model, modelHash);
    if (!found) return make("p", {class: "bad"}, `The picture's model, ${said}, is not on this server. The model stays as it is.`);
    if (found.title === this.form.wanted.model) return make("p", {class: "good"}, `Model: ${said}, as chosen.`);
    return choiceRow(`The picture's model is ${said}; ${this.form.wanted.model || "none"} is chosen.`, `Switch to ${found.name}`, () => this.form.set({model: found.title}));
  }

  async vaeRow({vae}) {
    if (!vae) return null;
    const wanted = vae === "built-in" ? "None" : vae;
    const now = this.form.wanted.vae;
    if (now.toLowerCase() === wanted.toLowerCase() || now.replace(/\.\w+$/, "") === wanted) return make("p", {class: "good"}, `VAE: ${vae}, as chosen.`);
    const list = await this.catalogue.vaesOf(this.form.wanted.model).catch(() => ({choices: []}));
    const names = ["Automatic", "None", ...list.choices.map((choice) => choice.choice)];
    const found = names.find((name) => name === wanted || name.replace(/\.\w+$/, "") === wanted.replace(/\.\w+$/, ""));
    if (!found) return make("p", {class: "bad"}, `The picture's VAE, ${vae}, is not on this server. The VAE stays as it is.`);
    return choiceRow(`The picture's VAE is ${vae === "built-in" ? "the checkpoint's own" : vae}; ${now} is chosen.`, found === "None" ? "Switch to the checkpoint's own" : `Switch to ${found}`, () => this.form.set({vae: found}));
  }
}

function row(key, value, why, kind) {
  return make("tr", {class: kind}, make("td", {}, key), make("td", {}, value), make("td", {}, why));
}

function choiceRow(text, label, act) {
  const button = make("button", {type: "button", class: "small", onclick: () => { act(); button.disabled = true; button.textContent = "Switched"; }}, label);
  return make("p", {class: "row"}, make("span", {class: "grow"}, text), button);
}
