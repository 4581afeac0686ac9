// main — puts the parts together, and keeps them fed: events while they come, else questions from time to time.

import {Refusal, Unreachable} from "./api.js";
import {Catalogue} from "./catalogue.js";
import {Compare} from "./compare.js";
import {startDrop} from "./drop.js";
import {find, say} from "./element.js";
import {EventStream} from "./event_stream.js";
import {parseExact} from "./exact_json.js";
import {Forecast} from "./forecast.js";
import {Form} from "./form.js";
import {Gallery} from "./gallery.js";
import {InitPicture} from "./init_picture.js";
import {Jobs} from "./jobs.js";
import {startKeys} from "./keys.js";
import {startLogin} from "./login.js";
import {Memory} from "./memory.js";
import {ModelChoice} from "./model_choice.js";
import {Networks} from "./networks.js";
import {banner, complain, notice} from "./notice.js";
import {parseParameters, restoreValues, valueOf} from "./parameters.js";
import {Queue} from "./queue.js";
import {requestOf} from "./request.js";
import {startRequestView} from "./request_view.js";
import {Restore} from "./restore.js";
import {startSize} from "./size.js";
import {Stage} from "./stage.js";
import {startTheme} from "./theme.js";
import {TokenCount} from "./token_count.js";
import {Viewer} from "./viewer.js";

const busySeconds = 1, idleSeconds = 5, hiddenSeconds = 10, memorySeconds = 2, mostWaitSeconds = 15, memoryMs = 500, fullTurns = 8;

startTheme();
startLogin();
const catalogue = new Catalogue();
const form = new Form();
const init = new InitPicture();
const jobs = new Jobs();
const memory = new Memory();
const forecast = new Forecast(bodyOf, (plan) => memory.showPlan(plan));
const compare = new Compare();
const gallery = new Gallery((id) => viewer.open(id));
const stage = new Stage(jobs, (id) => viewer.open(id));
const restore = new Restore(form, catalogue);
const awaited = new Map(); // job: the picture that its own is to be compared with
const viewer = new Viewer(gallery, catalogue, {
  reuse: (text) => restore.fromText(text),
  seed: (text) => form.set({seed: valueOf(parseParameters(text), "Seed")}),
  init: (blob) => init.set(blob),
  compare: (a, b) => compare.open(named(a), named(b)),
  again: makeAgain,
  removed: (id) => stage.drop(id),
});
new Queue(jobs);
new ModelChoice(catalogue, form);
new Networks(catalogue, form);
new TokenCount(form);
startSize(form);
startRequestView(async () => requestOf(form.values(), await init.base64()));
startDrop({restore: (blob) => restore.fromBlob(blob), init: (blob) => init.set(blob)});
startKeys({generate, stop: () => stage.stop()});

// ---- asking for pictures ---------------------------------------------------------------------------------------------

async function bodyOf() {
  return form.wanted.model ? requestOf(form.values(), await init.base64()) : null;
}

async function generate() {
  if (find("generate").disabled) return;
  say(find("problem"), "");
  const problem = form.problem();
  try {
    if (problem) throw new Error(problem);
    await jobs.submit(requestOf(form.values(), await init.base64()));
  } catch (error) {
    showProblem(error);
  }
  find("problem").hidden = find("problem").textContent === "";
}

// The server's own words: how many jobs wait, how many bytes are missing.
function showProblem(error) {
  const later = error instanceof Refusal && error.retrySeconds ? ` Try again in ${error.retrySeconds} s.` : "";
  say(find("problem"), `${error.message}${later}`);
}

// The picture's own settings again, with another VAE; both are compared when it is there.
async function makeAgain(id, text, vae) {
  const {values, choices} = restoreValues(parseParameters(text), catalogue);
  const model = catalogue.find(choices.model, choices.modelHash);
  const job = await jobs.submit(requestOf({...form.values(), width: "", height: "", steps: "", cfg: "", sampler: "", clipSkip: "1", batchSize: "1", batchCount: "1",
    ...values, model: model.title, vae}));
  awaited.set(job.id, id);
  notice("Both pictures are shown beside each other when this one is ready.");
}

function named(id) {
  const image = gallery.images.find((one) => one.id === id);
  const own = ["none", "built-in"].includes(image?.vae);
  const words = [image?.model, image?.vae && (own ? "the checkpoint's own VAE" : `VAE ${image.vae}`), image?.seed !== undefined && `seed ${image.seed}`].filter(Boolean).join(" · ");
  return {id, name: words || id.slice(0, 8)};
}

find("form").addEventListener("submit", (event) => { event.preventDefault(); generate(); });
find("reset").addEventListener("click", () => { form.reset(); init.set(null); });
find("seed-random").addEventListener("click", () => form.set({seed: ""}));
find("seed-reuse").addEventListener("click", () => {
  const seed = gallery.images.find((image) => image.id === stage.image)?.seed ?? stage.job?.request?.seed;
  if (seed === undefined || seed === -1) notice("There is no picture whose seed is known.");
  else form.set({seed});
});
find("strength").addEventListener("input", showStrength);
form.addEventListener("change", () => { showStrength(); forecast.soon(); });
init.addEventListener("change", () => forecast.soon());
catalogue.addEventListener("change", () => forecast.again());

function showStrength() {
  say(find("strength-value"), Number(form.wanted.strength).toFixed(2));
}

// ---- what the server says --------------------------------------------------------------------------------------------

jobs.addEventListener("ended", async ({detail: job}) => {
  try {
    await Promise.all([gallery.refresh(), memory.refresh()]);
  } catch (error) {
    if (!(error instanceof Unreachable)) complain(error);
  }
  forecast.again();
  const other = awaited.get(job.id);
  awaited.delete(job.id);
  if (other && job.images?.length) compare.open(named(other), named(job.images[0]));
  else if (other) notice(`The picture for the comparison was not made: ${job.error?.message ?? job.state}`, "bad");
});

let streams = false, isGone = false, wait = 1;

const stream = {current: null};

function onEvent(type, text) {
  let data;
  try {
    data = parseExact(text);
  } catch {
    return;
  }
  if (type === "memory") refreshMemory();
  else jobs.take(type, data);
}

function onStream(state) {
  const was = streams;
  streams = state === "open";
  if (streams && !was) look().catch(() => {});
  else if (!streams) soon(wait);
}

let memoryTimer = 0;
function refreshMemory() {
  memoryTimer ||= setTimeout(() => {
    memoryTimer = 0;
    if (!document.hidden) memory.refresh().catch(() => {});
  }, memoryMs);
}

// Everything that may have changed: after a start, after the server was gone, and while no events come.
async function look() {
  await jobs.refresh();
  await memory.refresh();
}

async function start() {
  await catalogue.load();
  await look();
  await gallery.load();
  stage.update();
}

function setLink(state, words) {
  const place = find("link-state");
  place.dataset.state = state;
  say(place, words);
}

// The fields stay as they are while the server is away; when it is back, everything is asked again.
async function turn() {
  try {
    if (isGone || !started) {
      await start();
      started = true;
      stream.current ??= new EventStream("api/v1/events", onEvent, onStream);
    } else if (streams && ++turns % fullTurns !== 0) {
      if (!document.hidden) await memory.refresh(); // events say the rest
    } else {
      await look();
    }
    if (isGone) notice("The server is back.");
    isGone = false;
    wait = 1;
    banner("");
    setLink("open", "connected");
  } catch (error) {
    if (error instanceof Unreachable) {
      isGone = true;
      setLink("gone", "no answer");
      banner("The server does not answer. Your fields are kept; this page goes on by itself when it is back.");
    } else {
      complain(error);
    }
    wait = Math.min(wait * 2, mostWaitSeconds);
  }
  soon(pause());
}

let started = false, timer = 0, turns = 0;

function soon(seconds) {
  clearTimeout(timer);
  timer = setTimeout(turn, seconds * 1000);
}

function pause() {
  if (wait > 1) return wait;
  if (document.hidden) return hiddenSeconds;
  if (streams) return jobs.running() ? memorySeconds : 3 * idleSeconds;
  return jobs.running() || jobs.waiting().length ? busySeconds : idleSeconds;
}

addEventListener("online", () => soon(0));
document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(0); });
turn();
