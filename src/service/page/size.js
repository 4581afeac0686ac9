// size — presets for width and height, and the swap.

import {fill, find, make} from "./element.js";

const sizes = {
  "SD1.5": ["512x512", "512x768", "768x512", "640x640"],
  "SDXL": ["1024x1024", "832x1216", "1216x832", "896x1152", "1152x896"],
  "Demo models": ["128x128"],
};

export function startSize(form) {
  const preset = find("preset");
  fill(preset, make("option", {value: ""}, "The model's size"),
    ...Object.entries(sizes).map(([family, list]) => make("optgroup", {label: family},
      ...list.map((size) => make("option", {value: size}, size.replace("x", " × "))))),
    make("option", {value: "own", hidden: true}, "Own size"));
  preset.addEventListener("change", () => {
    const [width, height] = preset.value ? preset.value.split("x") : ["", ""];
    form.set({width, height});
  });
  find("swap").addEventListener("click", () => form.set({width: form.wanted.height, height: form.wanted.width}));
  const follow = () => {
    const {width, height} = form.wanted;
    const size = width || height ? `${width}x${height}` : "";
    preset.value = size;
    if (preset.selectedIndex < 0) preset.value = "own";
  };
  form.addEventListener("change", follow);
  follow();
}
