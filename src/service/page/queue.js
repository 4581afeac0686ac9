// queue — what runs and what waits, in order, each with its own Cancel; and jobs that failed, until they are put away.

import {fill, find, make, say} from "./element.js";
import {complain} from "./notice.js";
import {errorText} from "./stage.js";

export class Queue {
  rows = new Map(); // by the job's id: a row stays while its job does, so that a press is not lost

  constructor(jobs) {
    this.jobs = jobs;
    jobs.addEventListener("change", () => this.update());
    find("cancel-all").addEventListener("click", () => jobs.cancelAll().catch(complain));
  }

  update() {
    const running = this.jobs.running();
    const waiting = this.jobs.waiting();
    const failed = this.jobs.over().filter((job) => job.state === "failed").slice(0, 3);
    const shown = [...(running ? [running] : []), ...waiting, ...failed];
    const rows = shown.map((job, index) => this.row(job, placeOf(job, index + (running ? 0 : 1))));
    const place = find("jobs");
    if (rows.length !== place.children.length || rows.some((row, index) => row !== place.children[index])) fill(place, ...rows);
    const ids = new Set(shown.map((job) => job.id));
    for (const id of [...this.rows.keys()])
      if (!ids.has(id)) this.rows.delete(id);
    find("queue-empty").hidden = rows.length > 0;
    find("cancel-all").disabled = !running && waiting.length === 0;
    say(find("generate"), running || waiting.length ? `Add to the queue (${waiting.length + (running ? 1 : 0)})` : "Generate");
  }

  row(job, place) {
    const row = this.rows.get(job.id) ?? this.makeRow(job.id);
    this.rows.set(job.id, row);
    const words = job.request?.prompt || "no prompt";
    const verb = job.state === "running" ? "Stop" : job.state === "failed" ? "Put away" : "Cancel";
    row.className = `job ${job.state}`;
    const [where, what, button] = row.children;
    say(where, place);
    say(what.firstChild, words);
    what.title = words;
    say(what.lastChild, aboutOf(job));
    say(button, verb);
    button.setAttribute("aria-label", `${verb}: ${words}`);
    return row;
  }

  makeRow(id) {
    return make("li", {"data-job": id},
      make("span", {class: "job-place"}),
      make("span", {class: "job-words"}, make("span", {}), make("span", {class: "job-about"})),
      make("button", {type: "button", class: "small", onclick: () => this.jobs.cancel(id).catch(complain)}));
  }
}

function placeOf(job, index) {
  return job.state === "running" ? "now" : job.state === "failed" ? "failed" : `${job.position || index}.`;
}

function aboutOf(job) {
  if (job.state === "failed") return errorText(job.error);
  const request = job.request ?? {};
  const pictures = (request.batch_size ?? 1) * (request.n_iter ?? 1);
  return [request.width && `${request.width}×${request.height}`, request.steps && `${request.steps} steps`,
    request.seed !== undefined && request.seed !== -1 && `seed ${request.seed}`, pictures > 1 && `${pictures} pictures`].filter(Boolean).join(" · ");
}
