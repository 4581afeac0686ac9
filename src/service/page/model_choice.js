// model_choice — the model and the VAE of the form, and in words which VAE will decode and why. They are part of each
// request, so two tabs do not change each other's.

import {fillSelect, find, say} from "./element.js";
import {complain, notice} from "./notice.js";
import {bytesText} from "./units.js";
import {vaeChoices} from "./viewer.js";

export class ModelChoice {
  constructor(catalogue, form) {
    this.catalogue = catalogue;
    this.form = form;
    catalogue.addEventListener("change", () => this.update());
    form.addEventListener("change", ({detail}) => { if (["", "model", "vae"].includes(detail)) this.showVae(); });
    find("look-again").addEventListener("click", () => catalogue.refresh().then(() => {
      if (catalogue.models.length === 0) notice("There is still no model.");
    }).catch(complain));
  }

  update() {
    const {models} = this.catalogue;
    find("no-model").hidden = models.length > 0;
    if (this.catalogue.folders) say(find("no-model-where"), `Put a checkpoint (a .safetensors file of SD1.5 or SDXL) into ${this.catalogue.folders}, then look again.`);
    const usable = models.filter((model) => !model.problem);
    const wanted = this.form.wanted.model;
    const choices = models.map((model) => [model.title, `${model.name}${model.problem ? " (cannot be used)" : ""}`]);
    if (wanted && !models.some((model) => model.title === wanted)) choices.unshift([wanted, `${wanted} (not there)`]);
    fillSelect(find("model"), choices);
    fillSelect(find("sampler"), [["", "the model's"], ...this.catalogue.samplers.map((sampler) => [sampler.name, sampler.name])]);
    fillSelect(find("scheduler"), [["", "the model's"], ...this.catalogue.schedulers.filter((one) => one.name !== "automatic").map((one) => [one.name, one.label ?? one.name])]);
    const start = wanted || this.titleOfServer() || usable[0]?.title || "";
    this.form.set({model: start, sampler: this.form.wanted.sampler, scheduler: this.form.wanted.scheduler});
  }

  // The model that the server's settings name.
  titleOfServer() {
    const name = this.catalogue.settings.model ?? this.catalogue.settings.sd_model_checkpoint ?? "";
    return this.catalogue.find(name, "")?.title ?? "";
  }

  async showVae() {
    const title = this.form.wanted.model;
    const model = this.catalogue.models.find((one) => one.title === title);
    find("generate").disabled = !model || Boolean(model.problem);
    say(find("model-about"), model ? model.problem ?? [model.family && model.family.toUpperCase(), model.bytes && bytesText(model.bytes), model.sha256 && `SHA-256 ${model.sha256.slice(0, 10)}`].filter(Boolean).join(" · ") : "");
    if (!model || model.problem) return this.explain("", "", "");
    try {
      const list = await this.catalogue.vaesOf(title);
      if (this.form.wanted.model !== title) return null;
      const choices = vaeChoices(list);
      const wanted = this.form.wanted.vae;
      if (!choices.some(([value]) => value === wanted)) choices.push([wanted, `${wanted} (not there)`]);
      fillSelect(find("vae"), choices);
      this.form.show("vae");
      return this.explainChoice(list, wanted);
    } catch (error) {
      return this.explain("", error.message, "");
    }
  }

  explainChoice(list, wanted) {
    const choice = (list.choices ?? []).find((one) => one.choice.toLowerCase() === wanted.toLowerCase());
    if (!choice) return this.explain("", "This VAE is not there for this model.", "missing");
    const isOwn = choice.active === "base";
    const isOverride = choice.active === "override";
    const name = isOwn ? "Decodes with the checkpoint's own VAE" : isOverride ? `Decodes with ${choice.path.split("/").at(-1)}` : "Cannot be used";
    return this.explain(name, choice.reason, isOwn ? "built in" : isOverride ? "chosen file" : "cannot be used");
  }

  explain(name, reason, tag) {
    say(find("vae-name"), name);
    say(find("vae-reason"), reason);
    say(find("vae-tag"), tag);
    find("vae-tag").hidden = tag === "";
  }
}
