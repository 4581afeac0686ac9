// catalogue — what the server has: models, the VAEs for each, samplers, schedules, and what prompts can name.

import {get, post, Refusal} from "./api.js";

// A list without which the page works: the model's own sampler is used then.
async function listOf(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error instanceof Refusal) return [];
    throw error;
  }
}

export class Catalogue extends EventTarget {
  models = [];
  folders = "";
  places = {loras: "", embeddings: "", styles: ""}; // where the lists are looked for
  samplers = [];
  schedulers = [];
  loras = [];
  embeddings = [];
  styles = [];
  settings = {};
  vaeLists = new Map();

  async load() {
    const [models, samplers, schedulers, settings, loras, embeddings, styles] = await Promise.all([
      get("api/v1/models"), listOf("sdapi/v1/samplers"), listOf("sdapi/v1/schedulers"), get("api/v1/settings"),
      listOf("api/v1/loras"), listOf("api/v1/embeddings"), listOf("api/v1/styles")]);
    this.models = models.models.map((model) => ({...model, title: model.title ?? model.name}));
    this.folders = models.model_dirs;
    this.samplers = samplers;
    this.schedulers = schedulers;
    this.settings = settings;
    this.loras = loras.loras ?? [];
    this.embeddings = embeddings.embeddings ?? [];
    this.styles = styles.styles ?? [];
    this.places = {loras: loras.lora_dir ?? "", embeddings: embeddings.embedding_dir ?? "", styles: styles.styles_file ?? ""};
    this.vaeLists.clear();
    this.dispatchEvent(new Event("change"));
  }

  async refresh() {
    await Promise.all(["refresh-checkpoints", "refresh-loras"].map((name) => post(`sdapi/v1/${name}`, {})));
    await this.load();
  }

  // The VAEs for a model, and what each choice would use: {vaes, choices}.
  async vaesOf(title) {
    if (!this.vaeLists.has(title)) {
      const list = get(`api/v1/vaes?model=${encodeURIComponent(title)}`);
      this.vaeLists.set(title, list);
      list.catch(() => this.vaeLists.delete(title));
    }
    return this.vaeLists.get(title);
  }

  // A model's name, file or hash as a picture states it.
  find(name, hash) {
    const wanted = (name ?? "").toLowerCase();
    return this.models.find((model) => hash && (model.sha256 ?? model.title).toLowerCase().includes(hash.toLowerCase())) ??
      this.models.find((model) => wanted && [model.name, model.title, (model.name ?? "").replace(/\.\w+$/, "")].some((other) => other?.toLowerCase() === wanted));
  }
}
