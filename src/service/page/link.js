// link — keeps the page fed: events while they come, else questions from time to time; says so when the server is away,
// and goes on when it is back.

import {Unreachable} from "./api.js";
import {find, say} from "./element.js";
import {EventStream} from "./event_stream.js";
import {parseExact} from "./exact_json.js";
import {banner, complain, notice} from "./notice.js";

const busySeconds = 1, idleSeconds = 5, hiddenSeconds = 10, streamSeconds = 2, quietSeconds = 15, mostWaitSeconds = 15;
const fullTurns = 8; // while events come, everything is asked again only so often

// feed: {start() asks for everything; look() for what changes; glance() for what events do not say; event(type, data);
// isBusy()}
export class Link {
  hasStarted = false;
  isGone = false;
  streams = false;
  wait = 1; // seconds, longer after each failure
  turns = 0;
  timer = 0;
  stream = null;

  constructor(feed) {
    this.feed = feed;
    addEventListener("online", () => this.soon(0));
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.soon(0); });
    this.turn();
  }

  soon(seconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.turn(), seconds * 1000);
  }

  async turn() {
    try {
      await this.ask();
      if (this.isGone) notice("The server is back.");
      this.isGone = false;
      this.wait = 1;
      banner("");
      show("open", "connected");
    } catch (error) {
      this.fail(error);
    }
    this.soon(this.pause());
  }

  async ask() {
    if (this.isGone || !this.hasStarted) {
      await this.feed.start();
      this.hasStarted = true;
      this.stream ??= new EventStream("api/v1/events", (type, text) => this.take(type, text), (state) => this.follow(state));
    } else if (this.streams && ++this.turns % fullTurns !== 0) {
      if (!document.hidden) await this.feed.glance();
    } else {
      await this.feed.look();
    }
  }

  // The fields stay as they are while the server is away.
  fail(error) {
    if (error instanceof Unreachable) {
      this.isGone = true;
      show("gone", "no answer");
      banner("The server does not answer. Your fields are kept; this page goes on by itself when it is back.");
    } else {
      complain(error);
    }
    this.wait = Math.min(this.wait * 2, mostWaitSeconds);
  }

  pause() {
    if (this.wait > 1) return this.wait;
    if (document.hidden) return hiddenSeconds;
    if (this.streams) return this.feed.isBusy() ? streamSeconds : quietSeconds;
    return this.feed.isBusy() ? busySeconds : idleSeconds;
  }

  follow(state) {
    const was = this.streams;
    this.streams = state === "open";
    if (this.streams && !was) this.feed.look().catch(() => {});
    else if (!this.streams) this.soon(this.wait);
  }

  take(type, text) {
    try {
      this.feed.event(type, parseExact(text));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error; // an event that is no JSON is none of ours
    }
  }
}

function show(state, words) {
  const place = find("link-state");
  place.dataset.state = state;
  say(place, words);
}
