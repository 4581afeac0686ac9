// parameters — the text that a picture carries about itself, as A1111 and darkroom write it:
//
//     prompt
//     Negative prompt: ...
//     Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, ...

import {more} from "./form.js";
import {lorasOf} from "./prompt_network.js";

const pair = /\s*(\w[\w \-/]*):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g;

// {prompt, negative, pairs: [[key, value], ...]}
export function parseParameters(text) {
  const lines = text.trim().split("\n");
  let pairs = pairsOf(lines.at(-1));
  if (pairs.length >= 3) lines.pop();
  else pairs = [];
  const at = lines.findIndex((line) => line.startsWith("Negative prompt:"));
  const prompt = (at < 0 ? lines : lines.slice(0, at)).join("\n").trim();
  const negative = at < 0 ? "" : lines.slice(at).join("\n").slice("Negative prompt:".length).trim();
  return {prompt, negative, pairs};
}

function pairsOf(line) {
  return [...line.matchAll(pair)].map(([, key, value]) => [key, unquoted(value.trim())]);
}

function unquoted(value) {
  if (!value.startsWith('"')) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

export function valueOf(parameters, key) {
  return parameters.pairs.find(([name]) => name === key)?.[1] ?? "";
}

// What the fields become: {values, choices: {model, modelHash, vae, vaeHash}, applied: [[key, value]], unknown: [[key,
// value, why]]}. Model and VAE are only named: the user decides. lists: {samplers: [{name, aliases}], schedulers: [{name,
// label}]}.
export function restoreValues(parameters, lists) {
  const result = {values: {prompt: parameters.prompt, negative: parameters.negative}, choices: {}, applied: [], unknown: []};
  Object.assign(result.values, more, {scheduler: "", clipSkip: "1", styles: ""});
  for (const [key, value] of parameters.pairs) {
    const problem = (readers[key] ?? notKnown)(value, result, lists);
    if (problem) result.unknown.push([key, value, problem]);
    else result.applied.push([key, value]);
  }
  const told = namesOf(valueOf(parameters, "Lora hashes"));
  for (const {name} of lorasOf(parameters.prompt)) {
    const problem = told.includes(name) ? "" : missing([name], lists.loras, "LoRA");
    if (problem) result.unknown.push(["Prompt", `<lora:${name}>`, problem]);
  }
  return result;
}

const notKnown = () => "darkroom does not know this setting";
const setting = (name, accepts, what) => (value, result) => {
  if (!accepts.test(value)) return `this is not ${what}`;
  result.values[name] = value;
  return "";
};
const signed = /^-?\d{1,10}$/;
const choice = (name) => (value, result) => { result.choices[name] = value; return ""; };
const said = () => "";
const whole = /^\d{1,6}$/, decimal = /^\d{1,6}(\.\d+)?$/;

const readers = {
  "Steps": setting("steps", whole, "a number of steps"),
  "CFG scale": setting("cfg", decimal, "a number"),
  "Seed": setting("seed", /^\d{1,20}$/, "a seed"),
  "Clip skip": setting("clipSkip", whole, "a number of layers"),
  "Denoising strength": setting("strength", decimal, "a number"),
  "Variation seed": setting("subseed", /^\d{1,20}$/, "a seed"),
  "Variation seed strength": setting("subseedStrength", decimal, "a number"),
  "CFG rescale": setting("cfgRescale", decimal, "a number"),
  "CFG interval start": setting("cfgFrom", decimal, "a number"),
  "CFG interval end": setting("cfgTo", decimal, "a number"),
  "NGMS": setting("sMinUncond", decimal, "a number"),
  "Eta": setting("eta", decimal, "a number"),
  "ENSD": setting("ensd", signed, "a number"),
  "Sigma churn": setting("sChurn", decimal, "a number"),
  "Sigma tmin": setting("sTmin", decimal, "a number"),
  "Sigma tmax": setting("sTmax", decimal, "a number"),
  "Sigma noise": setting("sNoise", decimal, "a number"),
  "Emphasis": (value, result) => {
    if (!["Original", "No norm", "Ignore"].includes(value)) return "darkroom has no such emphasis";
    result.values.emphasis = value === "Original" ? "" : value;
    return "";
  },
  "Pad conds": (value, result) => { result.values.pads = value === "True" ? "1" : ""; return ""; },
  "Seed resize from": (value, result) => {
    const size = value.match(/^(\d{1,5})x(\d{1,5})$/);
    if (!size) return "this is not a size";
    [, result.values.resizeWidth, result.values.resizeHeight] = size;
    return "";
  },
  "Lora hashes": (value, result, lists) => missing(namesOf(value), lists.loras, "LoRA"),
  "TI hashes": (value, result, lists) => missing(namesOf(value), lists.embeddings, "embedding"),
  "Sampler": readSampler,
  "Schedule type": readScheduler,
  "Size": (value, result) => {
    const size = value.match(/^(\d{1,5})x(\d{1,5})$/);
    if (!size) return "this is not a size";
    [, result.values.width, result.values.height] = size;
    return "";
  },
  "Model": choice("model"),
  "Model hash": choice("modelHash"),
  "VAE": choice("vae"),
  "VAE hash": choice("vaeHash"),
  "RNG": (value) => value === "GPU" ? "" : `darkroom draws the noise of RNG "GPU": the picture will differ`,
  "Version": said,
  "Precision": said,
  "Unet digest": said,
  "Weights": said,
  "Exact convolutions": said,
  "Base model": said,
  "Base hash": said,
  "Batch size": said,
  "Batch pos": said,
};

// "ink: 0123, wash: 4567" -> ["ink", "wash"]
function namesOf(value) {
  return value.split(",").map((part) => part.slice(0, part.lastIndexOf(":")).trim()).filter(Boolean);
}

// The prompt names them: here is only said which of them this server does not have.
function missing(names, list, what) {
  const gone = names.filter((name) => !lookUp(list ?? [], name));
  return gone.length ? `this server has no ${what} ${gone.join(", ")}` : "";
}

function lookUp(list, name) {
  const wanted = name.toLowerCase();
  return list.find((item) => [item.name, item.label, ...(item.aliases ?? [])].some((other) => other?.toLowerCase() === wanted));
}

// Older texts say sampler and schedule in one: "DPM++ 2M Karras".
function readSampler(value, result, lists) {
  let sampler = lookUp(lists.samplers, value);
  if (!sampler) {
    const words = value.split(" ");
    const scheduler = lookUp(lists.schedulers, words.at(-1));
    sampler = lookUp(lists.samplers, words.slice(0, -1).join(" "));
    if (sampler && scheduler) result.values.scheduler = scheduler.name;
    else sampler = null;
  }
  if (!sampler) return "this server has no such sampler";
  result.values.sampler = sampler.name;
  return "";
}

function readScheduler(value, result, lists) {
  const scheduler = lookUp(lists.schedulers, value);
  if (!scheduler) return "this server has no such schedule";
  result.values.scheduler = scheduler.name;
  return "";
}
