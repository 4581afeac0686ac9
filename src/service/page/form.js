// form — the fields: their values, kept over a reload, and what is wrong with them.

import {find, say} from "./element.js";
import {keep, kept} from "./kept.js";

const ids = {
  prompt: "prompt", negative: "negative", model: "model", vae: "vae", width: "width", height: "height", steps: "steps", cfg: "cfg",
  sampler: "sampler", scheduler: "scheduler", seed: "seed", batchSize: "batch-size", batchCount: "batch-count",
  clipSkip: "clip-skip", strength: "strength", resize: "resize", styles: "style-names",
  subseed: "subseed", subseedStrength: "subseed-strength", cfgRescale: "cfg-rescale", cfgFrom: "cfg-from", cfgTo: "cfg-to", sMinUncond: "s-min-uncond",
  eta: "eta", ensd: "ensd", sChurn: "s-churn", sTmin: "s-tmin", sTmax: "s-tmax", sNoise: "s-noise", emphasis: "emphasis",
  resizeWidth: "resize-w", resizeHeight: "resize-h", pads: "pads",
};
// What is folded away: empty where nothing is asked for.
export const more = {
  subseed: "", subseedStrength: "", cfgRescale: "", cfgFrom: "", cfgTo: "", sMinUncond: "", eta: "", ensd: "", sChurn: "", sTmin: "", sTmax: "", sNoise: "",
  emphasis: "", resizeWidth: "", resizeHeight: "", pads: "",
};
const initial = {
  prompt: "", negative: "", model: "", vae: "Automatic", width: "", height: "", steps: "", cfg: "", sampler: "", scheduler: "",
  seed: "", batchSize: "1", batchCount: "1", clipSkip: "1", strength: "0.75", resize: "0", styles: "", ...more,
};

export class Form extends EventTarget {
  fields = Object.fromEntries(Object.entries(ids).map(([name, id]) => [name, find(id)]));
  // What was chosen, also while a list has not come yet.
  wanted = {...initial, ...kept("fields", {})};

  constructor() {
    super();
    this.set(this.wanted);
    this.addEventListener("change", () => this.count());
    this.count();
    for (const [name, field] of Object.entries(this.fields))
      field.addEventListener("input", () => this.take(name));
    // Another tab has its own fields; what was typed last is what a new tab starts with.
    addEventListener("pagehide", () => keep("fields", this.wanted));
  }

  take(name) {
    this.wanted[name] = this.fields[name].value;
    this.changed(name);
  }

  changed(name) {
    keep("fields", this.wanted);
    this.dispatchEvent(new CustomEvent("change", {detail: name}));
  }

  // How many of those that are folded away say something.
  count() {
    const set = Object.keys(more).filter((name) => this.wanted[name] !== "").length;
    find("noise-tag").hidden = set === 0;
    say(find("noise-tag"), `${set} set`);
  }

  values() {
    return {...this.wanted};
  }

  // Sets some of the fields. A select that lacks the choice keeps it in mind until its list has it.
  set(values) {
    for (const [name, value] of Object.entries(values)) {
      if (!(name in this.fields)) continue;
      this.wanted[name] = String(value);
      this.show(name);
    }
    this.changed("");
  }

  show(name) {
    const field = this.fields[name];
    if (field.value !== this.wanted[name]) field.value = this.wanted[name];
  }

  reset() {
    const {model, vae} = this.wanted;
    this.set({...initial, model, vae});
  }

  // The first field that is wrong is shown and named: "" where all are right.
  problem() {
    for (const field of Object.values(this.fields)) {
      if (field.checkValidity()) continue;
      const folded = field.closest("details");
      if (folded) folded.open = true;
      const label = field.labels?.[0]?.firstChild?.textContent.trim() ?? field.id;
      field.focus();
      return `${label}: ${field.validationMessage}`;
    }
    return "";
  }
}
