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

  async load() {
    const images = await this.fetch("");
    this.images = images;
    this.update(images.length === pageCount);
  }

  async older() {
    const images = await this.fetch(this.images.at(-1)?.number ?? this.images.at(-1)?.id ?? "");
    this.images = [...this.images, ...images];
    this.update(images.length === pageCount);
  }

  async fetch(before) {
    const query = new URLSearchParams({limit: pageCount});
    if (before !== "") query.set("before", before);
    const words = find("search").value.trim();
    if (words) query.set("q", words);
    const answer = await get(`api/v1/images?${query}`);
    return answer.images ?? answer;
  }

  // New pictures at the top; those that are there stay as they are.
  async refresh() {
    const newest = await this.fetch("");
    const known = new Set(newest.map((image) => image.id));
    const older = this.images.length > newest.length ? this.images.filter((image) => !known.has(image.id)) : [];
    this.images = [...newest, ...older];
    this.update(newest.length === pageCount);
  }

  async remove(id) {
    await ask("DELETE", `api/v1/images/${encodeURIComponent(id)}`);
    this.images = this.images.filter((image) => image.id !== id);
    this.update(!find("more").hidden);
  }

  choose(id) {
    this.chosen = id;
    this.update(!find("more").hidden);
  }

  update(hasOlder) {
    const place = find("tiles");
    const old = new Map([...place.children].map((item) => [item.dataset.id, item]));
    const items = this.images.map((image) => old.get(image.id) ?? this.tile(image));
    const same = items.length === place.children.length && items.every((item, index) => item === place.children[index]);
    if (!same) fill(place, ...items);
    for (const item of items) item.firstChild.classList.toggle("chosen", item.dataset.id === this.chosen);
    find("more").hidden = !hasOlder;
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
