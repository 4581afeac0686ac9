// queue — what runs and what waits, in order, each with its own Cancel; and jobs that failed, until they are put away.

import {fill, find, make} from "./element.js";
import {complain} from "./notice.js";
import {errorText} from "./stage.js";

export class Queue {
  constructor(jobs) {
    this.jobs = jobs;
    jobs.addEventListener("change", () => this.update());
    find("cancel-all").addEventListener("click", () => jobs.cancelAll().catch(complain));
  }

  update() {
    const running = this.jobs.running();
    const waiting = this.jobs.waiting();
    const failed = this.jobs.over().filter((job) => job.state === "failed").slice(0, 3);
    const rows = [...(running ? [this.row(running, "now")] : []),
      ...waiting.map((job, index) => this.row(job, `${job.position || index + 1}.`)),
      ...failed.map((job) => this.row(job, "failed"))];
    fill(find("jobs"), ...rows);
    find("queue-empty").hidden = rows.length > 0;
    find("cancel-all").disabled = !running && waiting.length === 0;
    fill(find("generate"), running || waiting.length ? `Add to the queue (${waiting.length + (running ? 1 : 0)})` : "Generate");
  }

  row(job, place) {
    const words = job.request?.prompt || "no prompt";
    const verb = job.state === "running" ? "Stop" : job.state === "failed" ? "Put away" : "Cancel";
    return make("li", {class: `job ${job.state}`, "data-job": job.id},
      make("span", {class: "job-place"}, place),
      make("span", {class: "job-words", title: words}, words, make("span", {class: "job-about"}, aboutOf(job))),
      make("button", {type: "button", class: "small", "aria-label": `${verb}: ${words}`, onclick: () => this.jobs.cancel(job.id).catch(complain)}, verb));
  }
}

function aboutOf(job) {
  if (job.state === "failed") return errorText(job.error);
  const request = job.request ?? {};
  const pictures = (request.batch_size ?? 1) * (request.n_iter ?? 1);
  return [request.width && `${request.width}×${request.height}`, request.steps && `${request.steps} steps`,
    request.seed !== undefined && request.seed !== -1 && `seed ${request.seed}`, pictures > 1 && `${pictures} pictures`].filter(Boolean).join(" · ");
}
