// gallery — everything that was made, newest first; thumbnails are fetched when they come into view.

import {ask, get} from "./api.js";
import {fill, find, make} from "./element.js";
import {complain} from "./notice.js";
import {show, thumbnailOf} from "./picture.js";

const pageCount = 48, typingMs = 250;

export class Gallery extends EventTarget {
  images = [];
  chosen = ""; // the picture to compare with the next one that is opened

  constructor(onOpen) {
    super();
    this.onOpen = onOpen;
    let timer = 0;
    find("search").addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.load().catch(complain), typingMs);
    });
    find("more").addEventListener("click", () => this.older().catch(complain));
  }

  next = null; // what to ask for the pictures before the last one with; null: there are none

  async load() {
    const {images, next} = await this.fetch(null);
    this.images = images;
    this.next = next;
    this.update();
  }

  async older() {
    const {images, next} = await this.fetch(this.next);
    this.images = [...this.images, ...images];
    this.next = next;
    this.update();
  }

  async fetch(before) {
    const query = new URLSearchParams({limit: pageCount});
    if (before !== null) query.set("before", before);
    const words = find("search").value.trim();
    if (words) query.set("q", words);
    return get(`api/v1/images?${query}`);
  }

  // New pictures at the top; those that are there stay as they are.
  async refresh() {
    const {images, next} = await this.fetch(null);
    const last = images.at(-1)?.number ?? 0;
    const older = next === null ? [] : this.images.filter((image) => image.number < last);
    if (older.length === 0) this.next = next;
    this.images = [...images, ...older];
    this.update();
  }

  async remove(id) {
    await ask("DELETE", `api/v1/images/${encodeURIComponent(id)}`);
    this.images = this.images.filter((image) => image.id !== id);
    this.update();
  }

  choose(id) {
    this.chosen = id;
    this.update();
  }

  update() {
    const place = find("tiles");
    const old = new Map([...place.children].map((item) => [item.dataset.id, item]));
    const items = this.images.map((image) => old.get(image.id) ?? this.tile(image));
    const same = items.length === place.children.length && items.every((item, index) => item === place.children[index]);
    if (!same) fill(place, ...items);
    for (const item of items) item.firstChild.classList.toggle("chosen", item.dataset.id === this.chosen);
    find("more").hidden = this.next === null;
    const empty = find("gallery-empty");
    empty.hidden = this.images.length > 0;
    empty.textContent = find("search").value.trim() ? "No prompt has these words." : "No picture yet.";
    this.dispatchEvent(new Event("change"));
  }

  tile(image) {
    const picture = make("img", {alt: ""});
    show(picture, thumbnailOf(image.id), {lazily: true});
    const words = image.prompt || "no prompt";
    return make("li", {"data-id": image.id},
      make("button", {type: "button", class: "tile", "aria-label": words, title: words, onclick: () => this.onOpen(image.id)}, picture));
  }
}
