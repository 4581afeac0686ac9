// receipt — what a change of the model or VAE, an unload or a job did to memory: released, acquired, before and after.

import {make} from "./element.js";
import {setGauge} from "./memory_parts.js";
import {bytesText, durationText, exactText, timeText} from "./units.js";

const titles = {load: "Model switch", vae: "VAE switch", unload: "Unload", job: "Job", keep_alive: "Unload after the idle time"};

// The one to show first: the last switch or unload that moved something, else the last change of any kind.
export function lastSwitch(receipts) {
  const moved = ({receipt}) => receipt.released_bytes > 0 || receipt.acquired_bytes > 0;
  return receipts.find((noted) => noted.what !== "job" && moved(noted)) ?? receipts.find(moved) ?? receipts[0];
}

// noted: {what, time, receipt}, as the server lists them.
export function receiptView({what, time, receipt}) {
  const most = Math.max(bytesOf(receipt.before), bytesOf(receipt.after), 1);
  return make("div", {class: "change"},
    make("p", {class: "change-head"}, make("strong", {}, titles[what] ?? what), make("span", {class: "hint"}, `${timeText(time)}, took ${durationText((receipt.ms ?? 0) / 1000)}`)),
    make("div", {class: "change-bars"}, ...bar("before", receipt.before, most), ...bar("after", receipt.after, most)),
    make("p", {class: "change-sums"},
      make("span", {title: `${exactText(receipt.released_bytes)} bytes`}, `Released ${bytesText(receipt.released_bytes)}`),
      make("span", {title: `${exactText(receipt.acquired_bytes)} bytes`}, `Acquired ${bytesText(receipt.acquired_bytes)}`)),
    make("p", {class: "reason"}, receipt.reason ?? ""));
}

const bytesOf = (point) => (point?.private_bytes ?? 0) + (point?.mapped_bytes ?? 0);

function bar(name, point, most) {
  const privatePart = make("span", {class: "gauge-part"}), mappedPart = make("span", {class: "gauge-part mapped"});
  setGauge(privatePart, point?.private_bytes ?? 0, most);
  setGauge(mappedPart, point?.mapped_bytes ?? 0, most);
  const exact = `${exactText(point?.private_bytes)} bytes private, ${exactText(point?.mapped_bytes)} mapped`;
  return [make("span", {}, name), make("span", {class: "gauge", title: exact}, privatePart, mappedPart), make("span", {title: exact}, bytesText(bytesOf(point)))];
}
