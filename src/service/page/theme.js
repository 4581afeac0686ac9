// theme — light or dark: as the system says, until the switch is pressed.

import {find, say} from "./element.js";
import {keep, kept} from "./kept.js";

const light = matchMedia("(prefers-color-scheme: light)");
const changed = new EventTarget();

function current() {
  return kept("theme", light.matches ? "light" : "dark");
}

function apply() {
  document.documentElement.dataset.theme = current();
  say(find("theme"), current() === "light" ? "Dark" : "Light");
  changed.dispatchEvent(new Event("change"));
}

export function startTheme() {
  apply();
  light.addEventListener("change", apply);
  find("theme").addEventListener("click", () => {
    keep("theme", current() === "light" ? "dark" : "light");
    apply();
  });
}

export function onTheme(listener) {
  changed.addEventListener("change", listener);
}
