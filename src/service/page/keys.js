// keys — the keyboard, as the fingers of A1111's users know it.

import {fill, find, make} from "./element.js";
import {moveElement, weigh} from "./prompt_weight.js";

const list = [
  ["Ctrl+Enter", "Generate; add to the queue while a job runs"],
  ["Esc", "Stop the job that runs; close what is open"],
  ["Ctrl+↑  Ctrl+↓", "In a prompt: more or less weight for the selection, the (block), or the word"],
  ["Alt+←  Alt+→", "In a prompt: move the part between commas"],
  ["/", "Search the gallery"],
  ["←  →", "In a picture: newer, older"],
  ["+  −  0", "In a picture: zoom, zoom, fit"],
  ["s", "In a picture: download"],
  ["Delete", "In a picture: delete it"],
  ["?", "This list"],
];

// acts: {generate(), stop()}
export function startKeys(acts) {
  fill(find("keys-list"), ...list.flatMap(([key, what]) => [make("dt", {}, key), make("dd", {}, what)]));
  find("show-keys").addEventListener("click", showKeys);
  find("keys-close").addEventListener("click", () => find("keys").close());
  addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    const act = actOf(event, acts);
    if (!act) return;
    event.preventDefault();
    act();
  });
  for (const id of ["prompt", "negative"]) find(id).addEventListener("keydown", editPrompt);
}

function showKeys() {
  find("keys").showModal();
}

function actOf(event, acts) {
  const types = event.target.matches?.("input:not([type=range], [type=checkbox]), textarea, select");
  const inDialog = document.querySelector("dialog[open]") !== null;
  if (inDialog) return null;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.altKey)) return acts.generate;
  if (event.key === "Escape") return acts.stop;
  if (types || event.ctrlKey || event.metaKey || event.altKey) return null;
  if (event.key === "?") return showKeys;
  if (event.key === "/") return () => find("search").focus();
  return null;
}

function editPrompt(event) {
  const field = event.target;
  const isUp = event.key === "ArrowUp", isRight = event.key === "ArrowRight";
  let change = null;
  if ((event.ctrlKey || event.metaKey) && (isUp || event.key === "ArrowDown")) change = weigh(field.value, field.selectionStart, field.selectionEnd, isUp);
  else if (event.altKey && (isRight || event.key === "ArrowLeft")) change = moveElement(field.value, field.selectionStart, isRight);
  else return;
  event.preventDefault();
  if (change) apply(field, change);
}

// As if it were typed, so that one Ctrl+Z takes it back.
function apply(field, {from, to, put, start, end}) {
  field.setSelectionRange(from, to);
  if (!document.execCommand("insertText", false, put)) {
    field.setRangeText(put, from, to);
    field.dispatchEvent(new Event("input"));
  }
  field.setSelectionRange(start, end);
}
