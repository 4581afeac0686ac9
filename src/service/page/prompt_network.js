// prompt_network — LoRAs and words in the text of a prompt: which there are, and what the text becomes with or without one.

const tag = /<lora:([^:>]+)((?::[^>]*)?)>/g;

// [{name, weight, from, to}]: the first weight, 1 where there is none.
export function lorasOf(text) {
  return [...text.matchAll(tag)].map((found) => ({
    name: found[1], weight: Number(found[2].split(":")[1] || 1), rest: found[2].split(":").slice(2), from: found.index, to: found.index + found[0].length,
  }));
}

const same = (a, b) => a.trim().toLowerCase() === b.trim().toLowerCase();
const number = (value) => String(Number(Number(value).toFixed(2)));

export function withLora(text, name, weight) {
  const there = lorasOf(text).find((lora) => same(lora.name, name));
  if (!there) return `${text.trimEnd()}${text.trim() ? " " : ""}<lora:${name}:${number(weight)}>`;
  const put = `<lora:${[there.name, number(weight), ...there.rest].join(":")}>`;
  return text.slice(0, there.from) + put + text.slice(there.to);
}

export function withoutLora(text, name) {
  let left = text;
  for (const lora of lorasOf(text).reverse())
    if (same(lora.name, name)) left = left.slice(0, lora.from).trimEnd() + left.slice(lora.to);
  return left.trim();
}

// The parts between commas, without what stands in <>.
function elementsOf(text) {
  return text.replace(/<[^>]*>/g, " ").split(",").map((part) => part.trim());
}

export function hasWords(text, words) {
  return elementsOf(text).some((part) => same(part, words));
}

// At the end of the text, before the networks that stand there.
export function withWords(text, words) {
  if (hasWords(text, words)) return text;
  const end = text.match(/(\s*<[^<>]*>)*\s*$/).index;
  const before = text.slice(0, end).replace(/[\s,]+$/, "");
  return `${before}${before ? ", " : ""}${words}${text.slice(end).trimEnd()}`;
}

export function withoutWords(text, words) {
  const networks = (part) => (part.match(/<[^>]*>/g) ?? []).join(" ");
  const kept = [];
  for (const part of text.split(",")) {
    if (!same(part.replace(/<[^>]*>/g, " "), words)) kept.push(part);
    else if (networks(part)) kept.push(`${kept.pop() ?? ""} ${networks(part)}`);
  }
  return kept.join(",").trim();
}
