// event_stream — the server's events, one after the other (text/event-stream), read with fetch so that a login's header
// goes with them. It goes on where it was (Last-Event-ID), waits longer after each failure, and rests while the page is
// hidden.

import {open, Refusal, Unreachable} from "./api.js";

const longestWaitSeconds = 15;

// One block of lines of the stream: {id, type, data}, or null for a comment.
export function parseEvent(block) {
  const event = {id: "", type: "message", data: ""};
  const data = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") data.push(value);
    else if (name === "event") event.type = value;
    else if (name === "id") event.id = value;
  }
  event.data = data.join("\n");
  return data.length ? event : null;
}

// onEvent(type, data text); onState("open" | "closed" | "refused"), with the error.
export class EventStream {
  constructor(path, onEvent, onState) {
    this.path = path;
    this.onEvent = onEvent;
    this.onState = onState;
    this.last = "";
    this.stop = null;
    document.addEventListener("visibilitychange", () => this.follow());
    this.follow();
  }

  follow() {
    if (document.hidden) {
      this.stop?.abort();
      this.stop = null;
    } else if (!this.stop) {
      this.stop = new AbortController();
      this.run(this.stop.signal);
    }
  }

  async run(signal) {
    let wait = 1;
    while (!signal.aborted) {
      try {
        await this.read(signal, () => { wait = 1; });
        this.onState("closed", null);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Unreachable) this.last = ""; // another process, which counts anew, may answer next
        this.onState(error instanceof Refusal ? "refused" : "closed", error);
      }
      await pause(wait, signal);
      wait = Math.min(wait * 2, longestWaitSeconds);
    }
  }

  async read(signal, onOpen) {
    const headers = this.last ? {"Last-Event-ID": this.last} : {};
    const response = await open("GET", this.path, {signal, headers});
    this.onState("open", null);
    onOpen();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split(/\r\n\r\n|\n\n|\r\r/);
      text = blocks.pop();
      for (const block of blocks) this.take(parseEvent(block));
    }
  }

  take(event) {
    if (!event) return;
    if (event.id) this.last = event.id;
    this.onEvent(event.type, event.data);
  }
}

function pause(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, {once: true});
  });
}
