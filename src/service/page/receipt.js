// receipt — what a change of the model or VAE, an unload or a job did to memory: released, acquired, before and after.

import {make} from "./element.js";
import {setGauge} from "./memory_parts.js";
import {bytesText, durationText, exactText, timeText} from "./units.js";

// noted: {what, time, receipt}, as the server lists them.
export function receiptView({what, time, receipt}) {
  const before = receipt.before?.private_bytes ?? 0, after = receipt.after?.private_bytes ?? 0;
  const most = Math.max(before, after, 1);
  return make("div", {class: "change"},
    make("div", {class: "change-bars"}, ...bar("before", before, most), ...bar("after", after, most)),
    make("p", {class: "change-sums"},
      make("span", {title: `${exactText(receipt.released_bytes)} bytes`}, `Released ${bytesText(receipt.released_bytes)}`),
      make("span", {title: `${exactText(receipt.acquired_bytes)} bytes`}, `Acquired ${bytesText(receipt.acquired_bytes)}`),
      make("span", {}, `in ${durationText((receipt.ms ?? 0) / 1000)}`),
      time && make("span", {}, timeText(time))),
    make("p", {class: "reason"}, what && make("strong", {}, `${what}: `), receipt.reason ?? ""));
}

function bar(name, bytes, most) {
  const now = make("span", {class: "gauge-now"});
  setGauge(now, bytes, most);
  return [make("span", {}, name), make("span", {class: "gauge"}, now), make("span", {title: `${exactText(bytes)} bytes`}, bytesText(bytes))];
}
