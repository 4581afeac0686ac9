// picture — shows and downloads pictures of the server. Where there is a login, they are fetched with its header.

import {hasLogin, open} from "./api.js";
import {make} from "./element.js";

export const fileOf = (id) => `api/v1/images/${encodeURIComponent(id)}`;
export const previewOf = (job) => `api/v1/jobs/${encodeURIComponent(job)}/preview`;
export const thumbnailOf = (id) => `${fileOf(id)}/thumbnail`;

const nearby = new IntersectionObserver((entries) => {
  for (const {isIntersecting, target} of entries) {
    if (!isIntersecting) continue;
    nearby.unobserve(target);
    load(target);
  }
}, {rootMargin: "300px"});

// Shows the picture at a path in an <img>. lazily: when it comes near the window. Resolves when it is on its way.
export async function show(image, path, {lazily = false} = {}) {
  if (image.dataset.path === path) return;
  release(image);
  image.dataset.path = path;
  if (!hasLogin()) {
    image.loading = lazily ? "lazy" : "eager";
    image.src = path;
  } else if (lazily) {
    nearby.observe(image);
  } else {
    await load(image);
  }
}

export function showNothing(image) {
  release(image);
  image.removeAttribute("src");
  delete image.dataset.path;
}

async function load(image) {
  const path = image.dataset.path;
  try {
    const blob = await (await open("GET", path, {cache: "default"})).blob();
    if (image.dataset.path !== path) return;
    image.src = URL.createObjectURL(blob);
  } catch {
    image.alt = "This picture could not be fetched";
  }
}

function release(image) {
  nearby.unobserve(image);
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
}

export async function fetchPicture(id) {
  return (await open("GET", fileOf(id), {cache: "default"})).blob();
}

export async function download(id, name) {
  const blob = await fetchPicture(id);
  const address = URL.createObjectURL(blob);
  const suffix = blob.type === "image/jpeg" ? "jpg" : "png";
  make("a", {href: address, download: `${name}.${suffix}`}).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// The bytes of a blob as base64.
export async function base64Of(blob) {
  const reader = new FileReader();
  await new Promise((resolve, reject) => {
    reader.onload = resolve;
    reader.onerror = () => reject(new Error("The file could not be read."));
    reader.readAsDataURL(blob);
  });
  return reader.result.slice(reader.result.indexOf(",") + 1);
}
