// api — requests to the server: relative addresses, the login's header, and the server's own words when it refuses.

import {parseExact} from "./exact_json.js";

const headerKey = "darkroom.authorization";

// The server answered, and refused.
export class Refusal extends Error {
  constructor(status, message, code, retrySeconds) {
    super(message);
    this.status = status;
    this.code = code;
    this.retrySeconds = retrySeconds;
  }
}

// No answer came.
export class Unreachable extends Error {}

// Asks the user for a login when the server wants one; resolves when there is one. Set by login.js.
let askLogin = async () => { throw new Refusal(401, "The server asks for a login.", "unauthorized", 0); };
export function onLoginWanted(ask) {
  askLogin = ask;
}

export function hasLogin() {
  return sessionStorage.getItem(headerKey) !== null;
}

export function setLogin(header) {
  if (header === null) sessionStorage.removeItem(headerKey);
  else sessionStorage.setItem(headerKey, header);
}

// The browser's own credentials are left out, so that it does not put up its own dialog; where a proxy in front wants
// them (its answer is none of ours), they are sent.
let credentials = "omit";

async function send(method, path, {json, signal, headers = {}, cache = "no-store"} = {}) {
  const options = {method, signal, credentials, cache, headers: {...headers}};
  if (credentials === "omit") options.redirect = "manual";
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers["Content-Type"] = "application/json";
  }
  const login = sessionStorage.getItem(headerKey);
  if (login !== null) options.headers.Authorization = login;
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The server does not answer.");
  }
}

function isForeign(response) {
  return response.type === "opaqueredirect" ||
    ((response.status === 401 || response.status === 403) && !isJson(response));
}

function isJson(response) {
  return (response.headers.get("Content-Type") ?? "").startsWith("application/json");
}

// The response of a request that was accepted. path is relative to the page.
export async function open(method, path, options = {}) {
  for (;;) {
    const response = await send(method, path, options);
    if (credentials === "omit" && isForeign(response)) {
      credentials = "same-origin";
      continue;
    }
    if (response.status === 401) {
      await askLogin();
      continue;
    }
    if (!response.ok) throw await refusal(response);
    return response;
  }
}

export async function ask(method, path, json, options = {}) {
  const response = await open(method, path, {...options, json});
  const text = await read(response);
  return text ? parseExact(text) : null;
}

export const get = (path, options) => ask("GET", path, undefined, options);
export const post = (path, json, options) => ask("POST", path, json, options);

async function read(response) {
  try {
    return await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The server's answer was cut off.");
  }
}

async function refusal(response) {
  const text = await read(response);
  let code = "", message = "";
  try {
    const answer = JSON.parse(text);
    const error = answer.error ?? {};
    message = error.message ?? answer.message ?? answer.detail ?? "";
    code = error.code ?? "";
  } catch {
    message = "";
  }
  const retry = Number(response.headers.get("Retry-After") ?? 0) || 0;
  if (response.status === 502 || response.status === 504) return new Unreachable("The proxy reports that the server does not answer.");
  return new Refusal(response.status, message || `The server answered ${response.status} ${response.statusText}`.trim(), code, retry);
}
