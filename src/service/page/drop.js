// drop — pictures that are dropped on the page or pasted: what for is asked, except on the place of image to image.

import {find} from "./element.js";
import {complain, notice} from "./notice.js";

const types = ["image/png", "image/jpeg", "image/webp"];

// takers: {restore(blob), init(blob)}
export function startDrop(takers) {
  const zone = find("drop-zone");
  let depth = 0;
  const hide = () => { depth = 0; zone.hidden = true; };
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    ++depth;
    zone.hidden = false;
  });
  addEventListener("dragleave", () => { if (--depth <= 0) hide(); });
  addEventListener("dragover", (event) => { if (hasFiles(event.dataTransfer)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    hide();
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    const blob = pictureOf(event.dataTransfer.files);
    if (blob && event.target.closest("#init")) takers.init(blob);
    else if (blob) askWhatFor(blob, takers);
  });
  addEventListener("paste", (event) => {
    const files = event.clipboardData?.files ?? [];
    if (files.length === 0) return;
    event.preventDefault();
    const blob = pictureOf(files);
    if (blob) askWhatFor(blob, takers);
  });
  find("restore-file").addEventListener("change", (event) => {
    const blob = event.target.files[0];
    if (blob) Promise.resolve(takers.restore(blob)).catch(complain);
    event.target.value = "";
  });
}

function hasFiles(transfer) {
  return [...(transfer?.types ?? [])].includes("Files");
}

function pictureOf(files) {
  const blob = [...files].find((file) => types.includes(file.type));
  if (!blob) notice("This is not a PNG, JPEG or WebP picture.", "bad");
  return blob;
}

export function askWhatFor(blob, takers) {
  const dialog = find("dropped");
  const address = URL.createObjectURL(blob);
  find("dropped-picture").src = address;
  const done = new AbortController();
  const on = (id, act) => find(id).addEventListener("click", () => {
    dialog.close();
    Promise.resolve(act()).catch(complain);
  }, {signal: done.signal});
  on("dropped-restore", () => takers.restore(blob));
  on("dropped-init", () => takers.init(blob));
  on("dropped-close", () => {});
  dialog.addEventListener("close", () => {
    done.abort();
    URL.revokeObjectURL(address);
  }, {once: true});
  dialog.showModal();
}
