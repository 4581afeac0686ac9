// init_picture — the picture that image to image starts from, kept over a reload (IndexedDB: it may be large).

import {find, say} from "./element.js";
import {base64Of} from "./picture.js";

const database = "darkroom", shelf = "pictures", key = "init";

export class InitPicture extends EventTarget {
  blob = null;

  constructor() {
    super();
    find("init-file").addEventListener("change", (event) => {
      if (event.target.files[0]) this.set(event.target.files[0]);
      event.target.value = "";
    });
    find("init-clear").addEventListener("click", () => this.set(null));
    fetchKept().then((blob) => { if (blob && !this.blob) this.show(blob); }, () => {});
  }

  set(blob) {
    this.show(blob);
    find("init").open = true;
    store(blob).catch(() => {});
  }

  show(blob) {
    this.blob = blob;
    const image = find("init-picture");
    if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
    if (blob) image.src = URL.createObjectURL(blob);
    else image.removeAttribute("src");
    image.hidden = !blob;
    find("init-hint").hidden = Boolean(blob);
    find("init-clear").disabled = !blob;
    find("init-tag").hidden = !blob;
    say(find("generate"), find("generate").textContent);
    if (blob) find("init").open = true;
    this.dispatchEvent(new Event("change"));
  }

  async base64() {
    return this.blob ? base64Of(this.blob) : null;
  }
}

function openShelf() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(database, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(shelf);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function transact(mode, act) {
  const shelfDatabase = await openShelf();
  return new Promise((resolve, reject) => {
    const request = act(shelfDatabase.transaction(shelf, mode).objectStore(shelf));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  }).finally(() => shelfDatabase.close());
}

const store = (blob) => transact("readwrite", (place) => blob ? place.put(blob, key) : place.delete(key));
const fetchKept = () => transact("readonly", (place) => place.get(key));
