// login — asks for a user and password, or a key, once for this tab. They are sent as a header, never in an address.

import {onLoginWanted, setLogin, hasLogin} from "./api.js";
import {find, say} from "./element.js";

let waiting = null;

export function startLogin() {
  onLoginWanted(() => {
    waiting ??= show().finally(() => { waiting = null; });
    return waiting;
  });
}

function show() {
  const dialog = find("login");
  const wrong = hasLogin();
  setLogin(null);
  say(find("login-problem"), wrong ? "The server did not accept this login." : "");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    find("login-form").addEventListener("submit", (event) => {
      event.preventDefault();
      setLogin(header(find("login-user").value, find("login-secret").value));
      find("login-secret").value = "";
      dialog.close();
      resolve();
    }, {once: true});
  });
}

// Without a user name the secret is a key.
function header(user, secret) {
  if (user === "") return `Bearer ${secret}`;
  const bytes = new TextEncoder().encode(`${user}:${secret}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}
