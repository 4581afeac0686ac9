// jobs — the jobs of the server, as it reports them: by events while they come, else by asking. Nothing about a job is
// known to this page alone, so a reload or another browser shows the same.

import {ask, get, post} from "./api.js";

export const isOver = (job) => job.state === "done" || job.state === "failed" || job.state === "cancelled";

const progressOf = ({progress, step, steps, stage, eta_seconds}) => ({progress, step, steps, stage, eta_seconds});

const ownKey = "darkroom.own-jobs", mostOwn = 200, togetherMs = 200;

function remembered() {
  try {
    return new Set(JSON.parse(sessionStorage.getItem(ownKey) ?? "[]"));
  } catch {
    return new Set();
  }
}

function remember(own) {
  try {
    sessionStorage.setItem(ownKey, JSON.stringify([...own].slice(-mostOwn)));
  } catch {
    // Not allowed here: after a reload this tab shows what anybody makes.
  }
}

// Seconds of a step, the mean of those that this page has seen of the job: {fromStep, fromMs, seconds}.
function paceOf(job, {step, steps}) {
  const now = performance.now();
  if (!step || !steps) return job.pace ?? null;
  const pace = job.pace ?? {fromStep: step, fromMs: now, seconds: null};
  if (step < pace.fromStep) return {fromStep: step, fromMs: now, seconds: pace.seconds};
  if (step === pace.fromStep || step === job.step) return pace;
  return {...pace, seconds: (now - pace.fromMs) / 1000 / (step - pace.fromStep)};
}

export class Jobs extends EventTarget {
  byId = new Map();
  own = remembered(); // ids of the jobs that this tab has asked for
  timer = 0;
  looking = new Map(); // job: "once", or "again" where more was said of it meanwhile

  async refresh() {
    const answer = await get("api/v1/jobs?limit=200");
    const fresh = new Map(answer.jobs.map((job) => [job.id, job]));
    for (const [id, job] of fresh) {
      const old = this.byId.get(id);
      this.byId.set(id, {...old, ...job});
      if (old && !isOver(old) && isOver(job)) this.ended(id);
    }
    for (const id of [...this.byId.keys()])
      if (!fresh.has(id)) this.byId.delete(id);
    this.changed();
  }

  // An event of the server about a job.
  take(type, data) {
    const id = data.job ?? data.id;
    if (!id) return;
    const old = this.byId.get(id);
    if (!old || type === "state" || type === "image") {
      this.look(id);
      if (type === "state" && this.waiting().length) this.soon(); // their places have changed
      return;
    }
    if (isOver(old)) return;
    if (type === "preview") this.dispatchEvent(new CustomEvent("preview", {detail: {id, data}}));
    else this.byId.set(id, {...old, ...progressOf(data), pace: paceOf(old, data)});
    this.changed();
  }

  // Asks for one job. Looks for the same job that come meanwhile are one.
  async look(id) {
    if (this.looking.has(id)) {
      this.looking.set(id, "again");
      return;
    }
    this.looking.set(id, "once");
    try {
      const job = await get(`api/v1/jobs/${encodeURIComponent(id)}`);
      const old = this.byId.get(id);
      this.byId.set(id, {pace: old?.pace, ...job});
      if (isOver(job) && (!old || !isOver(old))) this.ended(id);
    } catch (error) {
      if (error.status === 404) this.byId.delete(id);
    } finally {
      const again = this.looking.get(id) === "again";
      this.looking.delete(id);
      if (again) this.look(id);
    }
    this.changed();
  }

  async submit(body) {
    const job = await post("api/v1/jobs", body);
    this.own.add(job.id);
    remember(this.own);
    this.byId.set(job.id, {request: body, created: Date.now() / 1000, ...this.byId.get(job.id), ...job});
    this.changed();
    return job;
  }

  async cancel(id) {
    await ask("DELETE", `api/v1/jobs/${encodeURIComponent(id)}`);
    await this.look(id);
  }

  async cancelAll() {
    for (const job of this.waiting().reverse()) await this.cancel(job.id);
    if (this.running()) await this.cancel(this.running().id);
  }

  // Does this tab show it? Its own jobs; and anybody's as long as it has asked for none.
  isShown(job) {
    return this.own.size === 0 || this.own.has(job.id);
  }

  running() {
    return [...this.byId.values()].find((job) => job.state === "running") ?? null;
  }

  // In the order in which they run.
  waiting() {
    return [...this.byId.values()].filter((job) => job.state === "queued").sort((a, b) => a.position - b.position || a.created - b.created);
  }

  // The newest first.
  over() {
    return [...this.byId.values()].filter(isOver).sort((a, b) => (b.ended ?? b.created) - (a.ended ?? a.created));
  }

  ended(id) {
    this.dispatchEvent(new CustomEvent("ended", {detail: this.byId.get(id)}));
  }

  soon() {
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.refresh().catch(() => {});
    }, togetherMs);
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }
}
