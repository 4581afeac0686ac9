// memory_parts — what the memory answer says of each component: one entry for each slot, then the job's buffers, then the
// rest of the program. Private bytes count against the budget; mapped bytes are a file's, which the kernel can drop.

const titles = {text: "Text encoder", text2: "Text encoder 2", unet: "UNet", vae: "VAE", job: "Buffers", program: "The program itself"};

// [{part, title, note, privateBytes, mappedBytes, isResident}]
export function partsOf(memory) {
  const slots = (memory.components ?? []).map((component) => ({
    part: component.role,
    title: titles[component.role] ?? component.role,
    note: noteOf(component),
    privateBytes: component.private_bytes,
    mappedBytes: component.mapped_bytes,
    isResident: component.private_bytes + component.mapped_bytes > 0,
  }));
  const inSlots = sum(slots, "privateBytes");
  const inSlotsMapped = sum(slots, "mappedBytes");
  const job = {part: "job", title: titles.job, note: "of jobs, encoded prompts", privateBytes: Math.max(0, (memory.ledger?.private_bytes ?? 0) - inSlots),
    mappedBytes: Math.max(0, (memory.ledger?.mapped_bytes ?? 0) - inSlotsMapped), isResident: true};
  const rest = memory.residual?.total_bytes ?? null;
  const program = {part: "program", title: titles.program, note: "code, heap, stacks", privateBytes: rest ?? 0, mappedBytes: 0, isResident: rest !== null};
  return [...slots, job, program];
}

export function sum(parts, name) {
  return parts.reduce((total, part) => total + part[name], 0);
}

function noteOf(component) {
  const isOther = component.name !== component.role; // "vae (override)"
  const source = isOther ? component.path.split("/").at(-1) : "the checkpoint's own";
  return component.role === "vae" ? `${component.state} · ${source}` : component.state;
}

// A bar's part: bytes of the most that is shown. However few, they can be seen.
export function setGauge(element, bytes, most) {
  element.style.setProperty("width", percent(bytes, most));
  element.classList.toggle("some", bytes > 0);
}

export function percent(bytes, most) {
  return most > 0 ? `${Math.min(100, 100 * bytes / most)}%` : "0%";
}
