/** The small form that asks for the service's key. */

import { forgetKey, saveKey } from "./api.js";
import { find } from "./words.js";

let asking = null;

/** Ask for the key -> whether one was given; requests that fail together share one form. */
export function askKey(refused) {
  asking ??= new Promise((resolve) => open(refused, resolve)).finally(() => { asking = null; });
  return asking;
}

function open(refused, resolve) {
  const dialog = find("key-dialog");
  let given = false;
  find("key-title").textContent = refused ? "That key was not taken" : "This service wants a key";
  forgetKey();
  find("key-form").onsubmit = (event) => {
    event.preventDefault();
    saveKey(find("key").value.trim());
    given = true;
    dialog.close();
  };
  find("key-cancel").onclick = () => dialog.close();
  dialog.onclose = () => {
    find("key").value = "";
    resolve(given);
  };
  dialog.showModal();
}
