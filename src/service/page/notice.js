// notice — short messages that go away by themselves, and the banner for what lasts.

import {find, make, say} from "./element.js";

const shownMs = 6000;

export function notice(text, kind = "") {
  const element = make("p", {class: `notice ${kind}`}, text);
  find("notices").append(element);
  setTimeout(() => element.remove(), shownMs);
}

export function complain(error) {
  if (error.name !== "AbortError") notice(error.message, "bad");
}

export function banner(text) {
  const element = find("banner");
  say(element, text);
  element.hidden = text === "";
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    notice("Copied.");
  } catch {
    notice("The browser did not allow copying: select the text and copy it yourself.", "bad");
  }
}
