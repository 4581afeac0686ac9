// compare — two pictures on one place, with a line between them that can be moved, and how much they differ in numbers.

import {find, say} from "./element.js";
import {fileOf, show} from "./picture.js";

export class Compare {
  constructor() {
    const place = find("compare-place");
    find("compare-at").addEventListener("input", (event) => place.style.setProperty("--at", `${event.target.value}%`));
    find("compare-difference").addEventListener("change", (event) => place.classList.toggle("difference", event.target.checked));
    find("compare-close").addEventListener("click", () => find("compare").close());
  }

  // a, b: {id, name}
  async open(a, b) {
    const at = find("compare-at");
    at.value = 50;
    at.dispatchEvent(new Event("input"));
    const pictures = [find("compare-a"), find("compare-b")];
    const shown = [show(pictures[0], fileOf(a.id)), show(pictures[1], fileOf(b.id))];
    say(find("compare-a-name"), `Left: ${a.name}`);
    say(find("compare-b-name"), `Right: ${b.name}`);
    say(find("compare-verdict"), "");
    if (!find("compare").open) find("compare").showModal();
    at.focus();
    try {
      await Promise.all(shown);
      await Promise.all(pictures.map((picture) => picture.decode()));
      say(find("compare-verdict"), verdict(...pictures));
    } catch {
      say(find("compare-verdict"), "One of the pictures could not be shown.");
    }
  }
}

function verdict(a, b) {
  if (a.naturalWidth !== b.naturalWidth || a.naturalHeight !== b.naturalHeight)
    return `The sizes differ: ${a.naturalWidth}×${a.naturalHeight} and ${b.naturalWidth}×${b.naturalHeight}.`;
  const difference = differenceOf(pixelsOf(a), pixelsOf(b));
  if (difference.pixels === 0) return "Every pixel is the same.";
  const share = 100 * difference.pixels / (a.naturalWidth * a.naturalHeight);
  return `${share < 0.1 ? "Less than 0.1" : share.toFixed(1)} % of the pixels differ, the largest difference of a channel is ${difference.most} of 255, the mean ${difference.mean.toFixed(2)}.`;
}

// Of two arrays of RGBA bytes.
export function differenceOf(a, b) {
  let pixels = 0, most = 0, sum = 0;
  for (let i = 0; i < a.length; i += 4) {
    let here = 0;
    for (let channel = i; channel < i + 3; ++channel) {
      const difference = Math.abs(a[channel] - b[channel]);
      sum += difference;
      if (difference > here) here = difference;
    }
    if (here > 0) ++pixels;
    if (here > most) most = here;
  }
  return {pixels, most, mean: sum / (a.length / 4 * 3)};
}

function pixelsOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}
