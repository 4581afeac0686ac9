// memory_history — the last minutes of memory, private and mapped, by component, as stacked areas. Samples are kept over a reload of
// this tab.

import {find, say} from "./element.js";
import {onTheme} from "./theme.js";
import {bytesText} from "./units.js";

const keepSeconds = 300, leastSeconds = 60, key = "darkroom.memory-history", least = 0.4;
const order = ["program", "text", "text2", "unet", "vae", "job"];

export class MemoryHistory {
  samples = restored();

  constructor() {
    onTheme(() => this.draw());
    new ResizeObserver(() => this.draw()).observe(find("history"));
    addEventListener("pagehide", () => store(this.samples));
  }

  // parts: of memory_parts.
  add(parts) {
    const now = Date.now() / 1000;
    const last = this.samples.at(-1);
    const sample = {at: now, bytes: Object.fromEntries(parts.map((part) => [part.part, part.privateBytes + part.mappedBytes]))};
    if (last && now - last.at < least && sumOf(last) >= sumOf(sample)) return;
    this.samples.push(sample);
    while (this.samples.length && this.samples[0].at < now - keepSeconds) this.samples.shift();
    this.draw();
  }

  draw() {
    const canvas = find("history");
    const scale = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    const most = Math.max(1, ...this.samples.map(sumOf)) * 1.1;
    const now = Date.now() / 1000;
    const span = Math.max(leastSeconds, now - (this.samples[0]?.at ?? now));
    const x = (at) => width - (now - at) / span * width;
    const y = (bytes) => height - bytes / most * height;
    const base = this.samples.map(() => 0);
    const style = getComputedStyle(document.documentElement);
    for (const part of order) {
      const top = this.samples.map((sample, index) => base[index] + (sample.bytes[part] ?? 0));
      if (top.some((bytes, index) => bytes > base[index])) area(context, this.samples, base, top, x, y, width, style.getPropertyValue(colour(part)));
      top.forEach((bytes, index) => { base[index] = bytes; });
    }
    const peak = Math.max(0, ...this.samples.map(sumOf));
    say(find("history-about"), this.samples.length > 1 ? `Private and mapped; highest: ${bytesText(peak)}` : "");
  }
}

// Memory changes in steps: each sample holds until the next.
function area(context, samples, base, top, x, y, right, fill) {
  context.fillStyle = fill;
  context.beginPath();
  const edge = (values) => samples.flatMap((sample, index) => {
    const to = index + 1 < samples.length ? x(samples[index + 1].at) : right;
    return [[x(sample.at), y(values[index])], [to, y(values[index])]];
  });
  for (const [at, height] of edge(top)) context.lineTo(at, height);
  for (const [at, height] of edge(base).reverse()) context.lineTo(at, height);
  context.fill();
}

const colour = (part) => part === "text" ? "--text1" : `--${part}`;
const sumOf = (sample) => Object.values(sample.bytes).reduce((total, bytes) => total + bytes, 0);

function restored() {
  try {
    const samples = JSON.parse(sessionStorage.getItem(key) ?? "[]");
    return samples.filter((sample) => sample.at > Date.now() / 1000 - keepSeconds);
  } catch {
    return [];
  }
}

function store(samples) {
  try {
    sessionStorage.setItem(key, JSON.stringify(samples));
  } catch {
    // Nothing is kept then.
  }
}
