// memory — the memory view: what is held now by component, the ledger beside the kernel, whether the regions agree, what
// the last change did, and what the job of the form would take.

import {get, post} from "./api.js";
import {fill, find, make, say} from "./element.js";
import {MemoryHistory} from "./memory_history.js";
import {partsOf, percent, setGauge, sum} from "./memory_parts.js";
import {complain} from "./notice.js";
import {lastSwitch, receiptView} from "./receipt.js";
import {bytesText, countText, exactText, timeText} from "./units.js";

export class Memory {
  history = new MemoryHistory();
  answer = null;
  plan = null; // of the form's job: {peakBytes, budgetBytes, fits}

  constructor() {
    find("unload-all").addEventListener("click", () => this.unload("all"));
    find("unload-vae").addEventListener("click", () => this.unload("vae"));
  }

  async unload(what) {
    try {
      await post("api/v1/unload", {what});
      await this.refresh();
    } catch (error) {
      complain(error);
    }
  }

  async refresh() {
    this.show(await get("api/v1/memory"));
  }

  show(answer) {
    this.answer = answer;
    const parts = partsOf(answer);
    this.history.add(parts);
    this.showSum(answer, parts);
    this.showBar(parts);
    this.showReceipts(answer.receipts ?? []);
    this.showAccounts(answer);
    this.showAgreement(answer);
    this.showRegions(answer.regions ?? []);
    const isLoaded = parts.some((part) => part.part !== "job" && part.part !== "program" && part.isResident);
    find("unload-all").disabled = !isLoaded;
    find("unload-vae").disabled = !parts.some((part) => part.part === "vae" && part.isResident);
  }

  showPlan(plan) {
    this.plan = plan;
    if (this.answer) this.showBar(partsOf(this.answer));
  }

  showSum(answer, parts) {
    const held = answer.kernel?.private_bytes ?? sum(parts, "privateBytes");
    const budget = answer.budget?.bytes ?? 0;
    say(find("memory-now"), bytesText(held));
    find("memory-now").title = `${exactText(held)} bytes`;
    const mapped = answer.ledger?.mapped_bytes ?? 0;
    const until = answer.expires ? `; unloaded at ${timeText(answer.expires)} if no job comes` : "";
    say(find("memory-of"), `private, of a budget of ${bytesText(budget)}${mapped ? `; ${bytesText(mapped)} mapped from files` : ""}${until}`);
    find("memory-of").title = answer.budget?.reason ?? "";
    say(find("top-memory"), `${bytesText(held)} of ${bytesText(budget)}`);
    setGauge(find("top-gauge"), held, budget);
  }

  // Private bytes are solid, mapped ones lighter; then what the form's job would take more.
  showBar(parts) {
    const more = this.plan ? Math.max(0, this.plan.peakBytes - (this.answer.ledger?.private_bytes ?? 0)) : 0;
    const held = sum(parts, "privateBytes") + sum(parts, "mappedBytes");
    const most = (held + more) * 1.02;
    const segments = parts.flatMap((part) => [segment(part, part.privateBytes, "private", most), segment(part, part.mappedBytes, "mapped", most)]);
    if (more > 0) {
      const ghost = make("span", {class: "bar-plan", title: `The form's job: ${exactText(more)} bytes more at its peak`});
      ghost.style.setProperty("left", percent(held, most));
      ghost.style.setProperty("width", percent(more, most));
      segments.push(ghost);
    }
    fill(find("memory-bar"), ...segments);
    find("memory-bar").setAttribute("aria-label", parts.map((part) => `${part.title}: ${bytesText(part.privateBytes)} private, ${bytesText(part.mappedBytes)} mapped`).join("; "));
    fill(find("memory-legend"), ...parts.map(legendRow), this.plan && planRow(this.plan, more));
  }

  showReceipts(receipts) {
    if (receipts.length) fill(find("receipt"), receiptView(lastSwitch(receipts)));
    fill(find("receipts"), ...(receipts.length ? receipts.map(receiptView) : [make("p", {class: "hint"}, "None yet.")]));
  }

  showAccounts(answer) {
    const row = (name, bytes, kind = "") => make("tr", {class: kind}, make("td", {}, name), make("td", {}, exactText(bytes)));
    const residual = answer.residual ?? {};
    const items = [["program's code and data", residual.image_bytes], ["heap", residual.heap_bytes], ["stacks", residual.stack_bytes],
      ["generated code", residual.jit_bytes], ["shared memory", residual.shmem_bytes], ["other", residual.other_bytes]];
    fill(find("accounts"),
      row("Private, by darkroom's ledger", answer.ledger?.private_bytes),
      row("Private, by the kernel", answer.kernel?.private_bytes),
      row("Difference: the program itself", residual.total_bytes, "sum"),
      ...items.filter(([, bytes]) => bytes).map(([name, bytes]) => row(name, bytes, "item")));
  }

  showAgreement(answer) {
    const count = (answer.regions ?? []).length;
    const agrees = answer.regions_agree;
    const verdict = find("agree");
    verdict.className = `verdict ${agrees === true ? "good" : agrees === false ? "bad" : ""}`;
    say(verdict, agrees === true ? "✓ agrees with the kernel" : agrees === false ? "✕ does not agree" : "not checked");
    const place = find("agreement");
    place.className = `agreement ${agrees === false ? "bad" : "hint"}`;
    say(place, agrees === true ? (count ? `${countText(count, "region")} compared with the kernel by address: every one agrees.` : "No region is open.")
      : agrees === false ? answer.disagreement : "The kernel does not report regions here, so they cannot be compared.");
  }

  showRegions(regions) {
    fill(find("regions"), ...[...regions].sort((a, b) => b.bytes - a.bytes).map((region) => make("tr", {},
      ...[region.component, region.tag, region.kind, exactText(region.bytes), `0x${Number(region.start).toString(16)}`].map((text) => make("td", {}, text)))));
  }
}

function segment(part, bytes, kind, most) {
  if (bytes <= 0) return null;
  const element = make("span", {class: `bar-part ${kind}`, "data-part": part.part, title: `${part.title}: ${exactText(bytes)} bytes ${kind}`});
  element.style.setProperty("width", percent(bytes, most));
  return element;
}

function legendRow(part) {
  const kind = part.privateBytes > 0 ? "private" : part.mappedBytes > 0 ? "mapped" : "absent";
  const figures = [[part.privateBytes, "private"], [part.mappedBytes, "mapped"]].filter(([bytes]) => bytes > 0);
  return make("li", {"data-part": part.part}, make("span", {class: `swatch ${kind}`}),
    make("span", {class: "name"}, part.title, part.note ? make("span", {class: "note"}, part.note) : null),
    make("span", {class: "bytes"}, ...(figures.length ? figures : [[0, "private"]]).map(([bytes, what]) =>
      make("span", {class: "bytes-of", "data-kind": what, title: `${exactText(bytes)} bytes ${what}`}, bytes ? `${bytesText(bytes)} ${what}` : "0 B"))));
}

function planRow(plan, more) {
  return make("li", {"data-part": "plan"}, make("span", {class: "swatch"}),
    make("span", {class: "name"}, "The form's job", make("span", {class: "note"}, `${bytesText(plan.peakBytes)} private at its peak`)),
    make("span", {class: "bytes", title: `${exactText(more)} bytes more`}, more > 0 ? `${bytesText(more)} more` : "no more"));
}
