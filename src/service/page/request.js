// request — what is asked of the server, made from the fields' values. The names are A1111's, so any of its clients could
// send the same.

// values: as Form.values() gives them. What is empty is left out: the server then takes what the model says.
export function requestOf(values, initPicture = null) {
  const body = {kind: initPicture ? "img2img" : "txt2img", prompt: values.prompt, negative_prompt: values.negative};
  set(body, "width", number(values.width));
  set(body, "height", number(values.height));
  set(body, "steps", number(values.steps));
  set(body, "cfg_scale", number(values.cfg));
  set(body, "sampler_name", values.sampler);
  set(body, "scheduler", values.scheduler);
  body.seed = seedOf(values.seed);
  body.batch_size = number(values.batchSize) ?? 1;
  body.n_iter = number(values.batchCount) ?? 1;
  addMore(body, values);
  if (values.styles) body.styles = values.styles.split("\n");
  if (initPicture) {
    body.denoising_strength = number(values.strength);
    body.resize_mode = number(values.resize);
    body.init_images = [initPicture];
  }
  const settings = {};
  set(settings, "sd_model_checkpoint", values.model);
  set(settings, "sd_vae", values.vae);
  if ((number(values.clipSkip) ?? 1) > 1) settings.CLIP_stop_at_last_layers = number(values.clipSkip);
  set(settings, "emphasis", values.emphasis);
  if (values.pads) settings.pad_cond_uncond = true;
  body.override_settings = settings;
  return body;
}

const numbers = {
  subseedStrength: "subseed_strength", cfgRescale: "cfg_rescale", cfgFrom: "cfg_from", cfgTo: "cfg_to", sMinUncond: "s_min_uncond", eta: "eta",
  ensd: "eta_noise_seed_delta", sChurn: "s_churn", sTmin: "s_tmin", sTmax: "s_tmax", sNoise: "s_noise",
  resizeWidth: "seed_resize_from_w", resizeHeight: "seed_resize_from_h",
};

function addMore(body, values) {
  for (const [name, field] of Object.entries(numbers)) set(body, field, number(values[name]));
  if (body.subseed_strength > 0) body.subseed = seedOf(values.subseed ?? "");
}

// A seed of 64 bits does not fit a JavaScript number: then it goes as text.
export function seedOf(text) {
  if (text === "" || text === "-1") return -1;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : text;
}

// The request with its picture shortened, for reading.
export function readable(body) {
  const shown = {...body};
  if (body.init_images) shown.init_images = body.init_images.map((picture) => `${picture.slice(0, 24)}… (${picture.length} characters)`);
  return JSON.stringify(shown, null, 2);
}

export function curlOf(body, address) {
  const shown = {...body};
  const note = body.init_images ? "# put the picture's base64 in place of PICTURE\n" : "";
  if (body.init_images) shown.init_images = ["PICTURE"];
  const json = JSON.stringify(shown).replaceAll("'", "'\\''");
  return `${note}curl -H 'Content-Type: application/json' -d '${json}' '${address}'`;
}

function number(text) {
  if (text === undefined || text === null || String(text).trim() === "") return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

function set(object, name, value) {
  if (value !== undefined && value !== "") object[name] = value;
}
