// viewer — one picture in full: zoom, what it says of itself, and what can be done with it.

import {get} from "./api.js";
import {fill, fillSelect, find, make, say} from "./element.js";
import {complain, copy, notice} from "./notice.js";
import {parseParameters, valueOf} from "./parameters.js";
import {download, fetchPicture, fileOf, show, showNothing} from "./picture.js";
import {bytesText, timeText} from "./units.js";

const zoomStep = 1.3, mostZoom = 16;

// actions: {reuse(text), seed(text), init(blob), compare(id), again(id, text, vae), removed(id)}
export class Viewer {
  id = "";
  text = ""; // of the picture's parameters
  zoom = 0; // 0: fits the window

  constructor(gallery, catalogue, actions) {
    this.gallery = gallery;
    this.catalogue = catalogue;
    this.actions = actions;
    this.dialog = find("viewer");
    const on = (id, act) => find(id).addEventListener("click", () => Promise.resolve(act()).catch(complain));
    on("viewer-close", () => this.close());
    on("viewer-previous", () => this.move(-1));
    on("viewer-next", () => this.move(1));
    on("viewer-in", () => this.scale(zoomStep));
    on("viewer-out", () => this.scale(1 / zoomStep));
    on("viewer-reuse", () => { this.close(); actions.reuse(this.text); });
    on("viewer-seed", () => { this.close(); actions.seed(this.text); });
    on("viewer-init", async () => { actions.init(await fetchPicture(this.id)); this.close(); });
    on("viewer-copy", () => copy(this.text));
    on("viewer-save", () => this.save());
    on("viewer-delete", () => this.remove());
    on("viewer-compare", () => this.compare());
    on("viewer-again", () => { this.close(); return actions.again(this.id, this.text, find("viewer-vae").value); });
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    const place = find("viewer-place");
    place.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && this.zoom === 0 && event.deltaY > 0) return;
      event.preventDefault();
      this.scale(event.deltaY < 0 ? zoomStep : 1 / zoomStep);
    }, {passive: false});
    place.addEventListener("dblclick", () => this.setZoom(this.zoom ? 0 : 2));
    dragScrolls(place);
  }

  async open(id) {
    if (!id) return;
    this.id = id;
    this.text = "";
    this.setZoom(0);
    this.updateMoves();
    if (!this.dialog.open) this.dialog.showModal();
    const picture = find("viewer-picture");
    show(picture, fileOf(id));
    const known = this.gallery.images.find((image) => image.id === id);
    say(find("viewer-prompt"), known?.prompt ?? "");
    this.listFacts(known, null);
    try {
      const [answer, image] = await Promise.all([get(`api/v1/images/${encodeURIComponent(id)}/parameters`), known]);
      if (this.id !== id) return;
      this.text = answer.parameters ?? answer.info ?? "";
      if (typeof this.text !== "string") this.text = "";
      const parameters = parseParameters(this.text);
      say(find("viewer-prompt"), parameters.prompt || (image?.prompt ?? ""));
      this.listFacts(image ?? answer, parameters);
      await this.listVaes(parameters);
    } catch (error) {
      complain(error);
    }
  }

  close() {
    this.dialog.close();
    showNothing(find("viewer-picture"));
  }

  listFacts(image, parameters) {
    const facts = [];
    if (parameters?.negative) facts.push(["Negative prompt", parameters.negative]);
    for (const [key, value] of parameters?.pairs ?? []) facts.push([key, value]);
    if (image?.created) facts.push(["Made", timeText(image.created)]);
    if (image?.bytes) facts.push(["File", bytesText(image.bytes)]);
    fill(find("viewer-facts"), ...facts.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)]));
  }

  async listVaes(parameters) {
    const model = this.catalogue.find(valueOf(parameters, "Model"), valueOf(parameters, "Model hash"));
    const list = model ? await this.catalogue.vaesOf(model.title) : {choices: []};
    const ran = valueOf(parameters, "VAE");
    const same = ran === "built-in" ? "None" : ran;
    fillSelect(find("viewer-vae"), vaeChoices(list).filter(([value]) => value !== "Automatic" && value !== same));
    find("viewer-again").disabled = !model || find("viewer-vae").options.length === 0;
  }

  place() {
    return this.gallery.images.findIndex((image) => image.id === this.id);
  }

  updateMoves() {
    const place = this.place();
    const focused = document.activeElement;
    find("viewer-previous").disabled = place <= 0;
    find("viewer-next").disabled = place < 0 || place >= this.gallery.images.length - 1;
    if (focused?.disabled) find("viewer-close").focus(); // the keyboard stays in the picture
    const chosen = this.gallery.chosen;
    say(find("viewer-compare"), chosen && chosen !== this.id ? "Compare with the chosen picture" : "Compare with…");
  }

  move(by) {
    const next = this.gallery.images[this.place() + by];
    if (this.place() >= 0 && next) return this.open(next.id);
    return null;
  }

  // The first picture is chosen, then another one is opened.
  compare() {
    const first = this.gallery.chosen;
    this.close();
    if (first && first !== this.id) {
      this.gallery.choose("");
      return this.actions.compare(first, this.id);
    }
    this.gallery.choose(this.id);
    notice("Open the other picture in the gallery and press Compare there.");
    return null;
  }

  async save() {
    const parameters = parseParameters(this.text);
    const words = parameters.prompt.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 50).replace(/^-|-$/g, "");
    await download(this.id, `${words || "picture"}-${valueOf(parameters, "Seed") || this.id.slice(0, 8)}`);
  }

  async remove() {
    const id = this.id;
    const place = this.place();
    await this.gallery.remove(id);
    this.actions.removed(id);
    const next = this.gallery.images[Math.min(Math.max(place, 0), this.gallery.images.length - 1)];
    if (next) await this.open(next.id);
    else this.close();
  }

  scale(factor) {
    const picture = find("viewer-picture");
    const now = this.zoom || picture.clientWidth / (picture.naturalWidth || 1);
    this.setZoom(Math.min(now * factor, mostZoom));
  }

  setZoom(zoom) {
    const place = find("viewer-place"), picture = find("viewer-picture");
    const fits = zoom === 0 || (picture.naturalWidth * zoom <= place.clientWidth && picture.naturalHeight * zoom <= place.clientHeight && zoom < 1);
    this.zoom = fits ? 0 : zoom;
    place.classList.toggle("fit", fits);
    place.classList.toggle("zoomed", !fits);
    place.style.setProperty("--zoomed", fits ? "auto" : `${picture.naturalWidth * zoom}px`);
  }

  key(event) {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ArrowLeft: () => this.move(-1), ArrowRight: () => this.move(1), "+": () => this.scale(zoomStep), "=": () => this.scale(zoomStep),
      "-": () => this.scale(1 / zoomStep), "0": () => this.setZoom(0), s: () => this.save(), Delete: () => this.remove(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    Promise.resolve(act()).catch(complain);
  }
}

// What the choices of a VAE list are called: [value for sd_vae, label].
export function vaeChoices(list) {
  const names = (list.choices ?? []).map((choice) => choice.choice);
  const named = names.filter((name) => name !== "automatic" && name !== "none");
  const unique = [...new Set(named)];
  return [["Automatic", "Automatic"], ["None", "The checkpoint's own"], ...unique.map((name) => [name, name])];
}

function dragScrolls(place) {
  let from = null;
  place.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || !place.classList.contains("zoomed")) return;
    from = {x: event.clientX + place.scrollLeft, y: event.clientY + place.scrollTop};
    place.setPointerCapture(event.pointerId);
  });
  place.addEventListener("pointermove", (event) => {
    if (from) place.scrollTo(from.x - event.clientX, from.y - event.clientY);
  });
  place.addEventListener("pointerup", () => { from = null; });
}
