// stage — the picture in the middle: the preview of the job that runs, or a result; its progress, and Stop.

import {fill, find, make, say} from "./element.js";
import {complain} from "./notice.js";
import {fileOf, previewOf, show, showNothing, thumbnailOf} from "./picture.js";
import {bytesText, countText, durationText} from "./units.js";

const leastPreviewMs = 900;

export class Stage {
  job = null; // whose pictures the strip has
  image = ""; // the id that is shown
  preview = "";
  previewMs = -Infinity;

  constructor(jobs, onOpen) {
    this.jobs = jobs;
    find("stop").addEventListener("click", () => this.stop());
    find("shown-open").addEventListener("click", () => onOpen(this.image));
    jobs.addEventListener("change", () => this.update());
    jobs.addEventListener("ended", ({detail}) => this.end(detail));
    jobs.addEventListener("preview", ({detail}) => this.showPreview(detail.data));
  }

  stop() {
    const job = this.jobs.running();
    if (job) this.jobs.cancel(job.id).catch(complain);
  }

  update() {
    const job = this.jobs.running();
    const waiting = this.jobs.waiting().length;
    find("stop").disabled = !job;
    const bar = find("progress");
    if (job) {
      bar.value = job.progress ?? 0;
      say(find("progress-text"), `${this.jobs.isShown(job) ? "" : "Another page's job: "}${progressText(job, waiting)}`);
      say(find("progress-eta"), paceText(job));
      document.title = `${Math.floor((job.progress ?? 0) * 100)} % · darkroom`;
      return;
    }
    bar.value = 0;
    this.hidePreview();
    document.title = "darkroom";
    say(find("progress-eta"), "");
    const last = this.jobs.over()[0];
    if (!this.image) this.end(this.jobs.over().find((done) => done.images?.length && this.jobs.isShown(done)) ?? {});
    say(find("progress-text"), waiting ? "The next job is about to begin." : idleText(last));
  }

  // A job has ended: its first picture is shown, unless it is another tab's.
  end(job) {
    this.hidePreview();
    if (!job.images?.length || !this.jobs.isShown(job)) return;
    this.job = job;
    this.select(job.images[0]);
  }

  select(image) {
    this.image = image;
    if (!this.preview) this.showImage();
    this.showStrip();
  }

  showImage() {
    const picture = find("shown-picture");
    picture.classList.remove("preview");
    picture.hidden = this.image === "";
    find("shown-open").hidden = this.image === "";
    find("shown-empty").hidden = this.image !== "";
    if (this.image === "") showNothing(picture);
    else show(picture, fileOf(this.image));
    picture.alt = this.job?.request?.prompt ?? "";
    say(find("caption"), this.job ? captionOf(this.job) : "");
    say(find("warnings"), (this.job?.warnings ?? []).join(" "));
    find("warnings").hidden = find("warnings").textContent === "";
    say(find("caption-vae"), this.job?.vae ? vaeText(this.job.vae) : "");
  }

  showStrip() {
    const images = this.job?.images ?? [];
    fill(find("strip"), ...(images.length > 1 ? images.map((id, index) => {
      const picture = make("img", {alt: `Picture ${index + 1} of ${images.length}`});
      show(picture, thumbnailOf(id));
      return make("button", {type: "button", "aria-pressed": String(id === this.image), onclick: () => this.select(id)}, picture);
    }) : []));
  }

  // A picture was deleted.
  drop(image) {
    if (this.job) this.job = {...this.job, images: this.job.images.filter((id) => id !== image)};
    if (this.image !== image) return;
    this.image = this.job?.images[0] ?? "";
    this.showImage();
    this.showStrip();
  }

  // One of a step of the job that runs: the server keeps the newest. It takes the place of what is shown when it is there.
  async showPreview({id, image, step}) {
    const isWanted = () => !document.hidden && this.jobs.running()?.id === id && this.jobs.isShown({id});
    if (!isWanted() || performance.now() - this.previewMs < leastPreviewMs) return;
    this.previewMs = performance.now();
    const next = make("img");
    await show(next, `${previewOf(id)}?image=${image}&step=${step}`);
    try {
      await next.decode();
    } catch {
      return; // the job has ended meanwhile
    }
    if (!isWanted()) return;
    const picture = find("shown-picture");
    showNothing(picture);
    picture.src = this.preview = next.src;
    picture.alt = "Preview of the picture that is being made";
    picture.classList.add("preview");
    picture.hidden = false;
    find("shown-open").hidden = true;
    find("shown-empty").hidden = true;
  }

  hidePreview() {
    if (!this.preview) return;
    this.preview = "";
    this.showImage();
  }
}

function progressText(job, waiting) {
  const parts = [];
  const pictures = (job.request?.batch_size ?? 1) * (job.request?.n_iter ?? 1);
  if (job.steps) parts.push(`Step ${job.step} of ${job.steps}`);
  else parts.push("Getting ready");
  if (pictures > 1) parts.push(countText(pictures, "picture"));
  if (waiting) parts.push(`${waiting} waiting`);
  return parts.join(" · ");
}

function paceText(job) {
  const parts = [];
  const perStep = job.pace?.seconds;
  if (perStep) parts.push(`${durationText(perStep)} a step`);
  if (job.eta_seconds !== null && job.eta_seconds !== undefined && job.eta_seconds >= 0) parts.push(`about ${durationText(job.eta_seconds)} left`);
  return parts.join(" · ");
}

function idleText(last) {
  if (!last) return "Nothing is running.";
  if (last.state === "failed") return `The last job failed: ${errorText(last.error)}`;
  if (last.state === "cancelled") return "The last job was stopped.";
  const seconds = last.started && last.ended ? last.ended - last.started : null;
  const parts = [seconds === null ? "Done" : `Done in ${durationText(seconds)}`];
  if (last.timings_ms?.unet_per_step) parts.push(`${durationText(last.timings_ms.unet_per_step / 1000)} a step`);
  if (last.peak_private_bytes) parts.push(`at most ${bytesText(last.peak_private_bytes)} of private memory`);
  return parts.join(" · ");
}

export function errorText(error) {
  return typeof error === "string" ? error : error?.message ?? "no reason was given";
}

// Which VAE has run, why, and what the probe of its latent space has said.
function vaeText(vae) {
  const name = vae.active === "base" ? "the checkpoint's own VAE" : `the VAE ${vae.name}`;
  return `Decoded with ${name}${vae.verified ? ", verified by its digest" : ""}. ${[vae.reason, vae.probe].filter(Boolean).join("; ")}`;
}

function captionOf(job) {
  const request = job.request ?? {};
  return [request.prompt, request.seed === undefined ? "" : `seed ${request.seed}`].filter(Boolean).join(" · ");
}
