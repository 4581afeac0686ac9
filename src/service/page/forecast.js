// forecast — what the job of the form would take, before it is pressed: the server's own figures, again whenever a field
// changes that matters.

import {post} from "./api.js";
import {fill, find, make, say} from "./element.js";
import {setGauge} from "./memory_parts.js";
import {bytesText, durationText, exactText} from "./units.js";

const typingMs = 350, slowMs = 1500;

export class Forecast extends EventTarget {
  asked = ""; // the body that the figures are for
  answer = null;
  stop = null;
  timer = 0;

  // bodyOf: makes the request's body, or null where no model is there.
  constructor(bodyOf, onPlan) {
    super();
    this.bodyOf = bodyOf;
    this.onPlan = onPlan;
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), typingMs);
  }

  // Again, also where nothing changed: the memory did.
  again() {
    this.asked = "";
    this.soon();
  }

  async ask() {
    const body = await this.bodyOf();
    if (!body) return this.show(null, "What this job takes is worked out when there is a model.");
    const key = JSON.stringify({...body, prompt: "", negative_prompt: "", seed: 0, init_images: body.init_images?.length});
    if (key === this.asked) return null;
    this.asked = key;
    this.stop?.abort();
    const stop = this.stop = new AbortController();
    const slow = setTimeout(() => this.show(null, "What this job takes is worked out after the job that runs."), slowMs);
    try {
      const answer = await post("api/v1/forecast", body, {signal: stop.signal});
      if (stop === this.stop) this.show(answer, "");
    } catch (error) {
      if (error.name === "AbortError") return null;
      this.asked = "";
      if (stop === this.stop) this.show(null, error.message, true);
    } finally {
      clearTimeout(slow);
    }
    return null;
  }

  show(answer, words, isBad = false) {
    this.answer = answer;
    const place = find("forecast");
    const forecast = answer?.forecast;
    place.classList.toggle("over", Boolean(isBad || (forecast && !forecast.fits)));
    this.dispatchEvent(new Event("change"));
    if (!forecast) {
      say(find("forecast-text"), words);
      this.gauges(0, 0, 1);
      fill(find("plan"), make("p", {class: "hint"}, words));
      return this.onPlan(null);
    }
    const budget = forecast.budget_bytes ?? answer.budget?.bytes;
    const level = levelOf(forecast, budget);
    fill(find("forecast-text"), make("strong", {}, forecast.fits ? `Takes ${bytesText(level.peak_bytes)} at most: fits` : `Does not fit: needs ${bytesText(level.budget_bytes)}`),
      ` · budget ${bytesText(budget)}`, secondsText(answer), forecast.width ? ` · ${forecast.width}×${forecast.height}` : "");
    find("forecast-text").title = forecast.verdict ?? "";
    this.gauges(0, forecast.fits ? level.peak_bytes : level.budget_bytes, budget);
    this.detail(answer, forecast, level, budget);
    return this.onPlan({peakBytes: level.peak_bytes, budgetBytes: budget, fits: Boolean(forecast.fits)});
  }

  gauges(now, more, most) {
    setGauge(find("forecast-now"), now, most);
    setGauge(find("forecast-more"), more, most);
  }

  detail(answer, forecast, chosen, budget) {
    const rows = (forecast.levels ?? []).map((level) => make("tr", {class: `${level === chosen ? "chosen" : ""} ${level.budget_bytes > budget ? "over" : ""}`},
      make("td", {}, `${level.budget_bytes <= budget ? "✓" : "✕"} ${level.manner}`), make("td", {title: `${exactText(level.budget_bytes)} bytes`}, bytesText(level.budget_bytes))));
    const weights = (forecast.components ?? []).map((component) => `${component.role} ${bytesText(component.weights_bytes)}`).join(", ");
    const wasOpen = find("plan").querySelector("details")?.open;
    fill(find("plan"),
      make("p", {class: forecast.fits ? "good" : "bad"}, `${forecast.fits ? "✓" : "✕"} ${forecast.verdict}`),
      forecast.ram && forecast.ram.fit !== "fits" && forecast.fits && make("p", {class: "bad"}, forecast.ram.verdict),
      make("p", {class: "hint"}, `Weights: ${weights}. Buffers: text ${bytesText(forecast.text_arena_bytes)}, UNet ${bytesText(forecast.unet_arena_bytes)}, VAE ${bytesText(forecast.vae_arena_bytes)}.`),
      rows.length > 0 && make("details", {open: wasOpen}, make("summary", {}, "Each way to run it, and the budget that it needs"), make("table", {class: "levels"}, make("tbody", {}, ...rows))));
    for (const [id, size] of [["width", forecast.width], ["height", forecast.height]])
      if (!find(id).value && size) find(id).placeholder = size;
  }
}

// The way in which the job would run: the first that the budget allows; else the smallest there is.
function levelOf(forecast, budget) {
  const levels = forecast.levels ?? [];
  return levels.find((level) => level.budget_bytes <= budget) ?? levels.at(-1) ?? {peak_bytes: forecast.resident_peak_bytes, budget_bytes: forecast.resident_peak_bytes};
}

function secondsText(answer) {
  const seconds = answer.seconds ?? answer.forecast.seconds;
  return seconds ? ` · about ${durationText(seconds)}` : "";
}
