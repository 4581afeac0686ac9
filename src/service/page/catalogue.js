// catalogue — what the server has: models, the VAEs for each, samplers, schedules.

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
  samplers = [];
  schedulers = [];
  settings = {};
  vaeLists = new Map();

  async load() {
    const [models, samplers, schedulers, settings] = await Promise.all([
      get("api/v1/models"), listOf("sdapi/v1/samplers"), listOf("sdapi/v1/schedulers"), get("api/v1/settings")]);
    this.models = models.models.map((model) => ({...model, title: model.title ?? model.name}));
    this.folders = models.model_dirs;
    this.samplers = samplers;
    this.schedulers = schedulers;
    this.settings = settings;
    this.vaeLists.clear();
    this.dispatchEvent(new Event("change"));
  }

  async refresh() {
    await post("sdapi/v1/refresh-checkpoints", {});
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
