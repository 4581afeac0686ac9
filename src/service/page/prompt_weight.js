// prompt_weight — changes the weight of a part of a prompt, as fingers that know A1111 expect it: (words:1.1), <lora:x:1.05>.
//
// weigh(text, start, end, up) answers the edit {from, to, put, start, end}: put replaces text[from..to), then start and end
// are the selection; or null where there is nothing to weigh. Weights go in steps of 0.1, extra networks' in steps of 0.05.

const step = 0.1, networkStep = 0.05;
const delimiters = /[.,\\/!?%^*;:{}=`~()<>[\]\s]/;
const pairs = [["<", ">"], ["(", ")"], ["[", "]"]];

export function weigh(text, start, end, up) {
  const block = start === end ? blockAt(text, start) : blockOf(text, start, end);
  if (block) return block.open === "<" ? weighNetwork(text, block, up) : weighBlock(text, block, up);
  const words = start === end ? wordAt(text, start) : trimmed(text, start, end);
  if (words.from === words.to) return null;
  const inner = text.slice(words.from, words.to);
  return edit(words.from, words.to, inner, up ? 1 + step : 1 - step);
}

// Moves the part between commas that holds the caret by one place: {from, to, put, start, end}, or null.
export function moveElement(text, caret, right) {
  const parts = text.split(",");
  let at = 0, index = 0;
  while (index < parts.length - 1 && caret > at + parts[index].length) at += parts[index++].length + 1;
  const other = index + (right ? 1 : -1);
  if (other < 0 || other >= parts.length) return null;
  const offset = caret - at;
  const left = Math.min(index, other), blanks = (part) => part.length - part.trimStart().length;
  const lead = [parts[left], parts[left + 1]].map((part) => part.slice(0, blanks(part)));
  const tail = [parts[left], parts[left + 1]].map((part) => part.slice(part.trimEnd().length || part.length));
  const words = [parts[left].trim(), parts[left + 1].trim()];
  const first = lead[0] + words[1] + tail[0], second = lead[1] + words[0] + tail[1];
  const from = parts.slice(0, left).reduce((sum, part) => sum + part.length + 1, 0);
  const put = `${first},${second}`;
  const inWords = Math.max(0, Math.min(offset - blanks(parts[index]), parts[index].trim().length));
  const place = right ? from + first.length + 1 + lead[1].length : from + lead[0].length;
  return {from, to: from + parts[left].length + 1 + parts[left + 1].length, put, start: place + inWords, end: place + inWords};
}

// The innermost block of a kind around a place: <> before () before [].
function blockAt(text, at) {
  for (const [open, close] of pairs) {
    const from = openBefore(text, at, open, close);
    if (from < 0) continue;
    const to = closeAfter(text, Math.max(at, from + 1), open, close);
    if (to >= 0) return {open, from, to: to + 1};
  }
  return null;
}

// The block whose words the selection is, so that a second press goes on with it.
function blockOf(text, start, end) {
  for (const [open, close] of pairs) {
    const rest = text.slice(end).match(/^(:[\d.]*)?(.)/s);
    if (start > 0 && text[start - 1] === open && rest?.[2] === close)
      return {open, from: start - 1, to: end + rest[0].length};
  }
  return null;
}

function openBefore(text, at, open, close) {
  let depth = 0;
  for (let i = at - 1; i >= 0; --i) {
    if (text[i - 1] === "\\") continue;
    if (text[i] === close) ++depth;
    else if (text[i] === open && depth-- === 0) return i;
  }
  return -1;
}

function closeAfter(text, at, open, close) {
  let depth = 0;
  for (let i = at; i < text.length; ++i) {
    if (text[i - 1] === "\\") continue;
    if (text[i] === open) ++depth;
    else if (text[i] === close && depth-- === 0) return i;
  }
  return -1;
}

function wordAt(text, at) {
  let from = at, to = at;
  while (from > 0 && !delimiters.test(text[from - 1])) --from;
  while (to < text.length && !delimiters.test(text[to])) ++to;
  return {from, to};
}

function trimmed(text, start, end) {
  let from = start, to = end;
  while (from < to && /\s/.test(text[from])) ++from;
  while (to > from && /\s/.test(text[to - 1])) --to;
  return {from, to};
}

// ((words)) means 1.1 twice, [words] a division by 1.1: they are written as a number first.
function weighBlock(text, block, up) {
  const close = block.open === "(" ? ")" : "]";
  let {from, to} = block, factor = 1;
  let inner = text.slice(from + 1, to - 1);
  const stated = block.open === "(" ? inner.match(/^([\s\S]*):\s*([+-]?\d*\.?\d+)\s*$/) : null;
  if (stated) {
    inner = stated[1];
    factor = Number(stated[2]);
  } else {
    factor = block.open === "(" ? 1.1 : 1 / 1.1;
    while (text[from - 1] === block.open && text[to] === close && text[from - 2] !== "\\") {
      --from;
      ++to;
      factor *= block.open === "(" ? 1.1 : 1 / 1.1;
    }
    while (inner.startsWith(block.open) && inner.endsWith(close)) {
      inner = inner.slice(1, -1);
      factor *= block.open === "(" ? 1.1 : 1 / 1.1;
    }
  }
  const rounded = stated ? factor : Math.round(factor / step) * step;
  return edit(from, to, inner, rounded + (up ? step : -step));
}

function weighNetwork(text, {from, to}, up) {
  const parts = text.slice(from + 1, to - 1).match(/^([^:]+:[^:]+)(?::([+-]?\d*\.?\d+))?(:[\s\S]*)?$/);
  if (!parts) return null;
  const weight = shortest(Number(parts[2] ?? 1) + (up ? networkStep : -networkStep), 2);
  const put = `<${parts[1]}:${weight}${parts[3] ?? ""}>`;
  return {from, to, put, start: from + 1, end: from + put.length - 1};
}

function edit(from, to, inner, weight) {
  const rounded = Number(weight.toFixed(2));
  if (rounded === 1) return {from, to, put: inner, start: from, end: from + inner.length};
  return {from, to, put: `(${inner}:${number(rounded)})`, start: from + 1, end: from + 1 + inner.length};
}

// 2 -> "2.0", 1.25 -> "1.25"
function number(value) {
  return Number.isInteger(value) ? value.toFixed(1) : shortest(value, 2);
}

function shortest(value, digits) {
  return String(Number(value.toFixed(digits)));
}
