// kept — what survives a reload, in this browser. A browser that keeps nothing (private windows) is no error.

const prefix = "darkroom.";

export function keep(name, value) {
  try {
    localStorage.setItem(prefix + name, JSON.stringify(value));
  } catch {
    // Full, or not allowed.
  }
}

export function kept(name, fallback) {
  try {
    const text = localStorage.getItem(prefix + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

export function forget(name) {
  try {
    localStorage.removeItem(prefix + name);
  } catch {
    // As above.
  }
}
