/** What the page says: progress, what happened, and what went wrong. */

import { Problem } from "./api.js";
import { explain, find, hide } from "./words.js";

let onAgain = null;

/** For those who listen; those who look see it happen. */
export function say(text) {
  find("status").textContent = text;
}

/** Text with a share 0 .. 1, or null where it cannot be known; no text: done. */
export function busy(text, share = null) {
  find("stage").setAttribute("aria-busy", String(text !== null));
  if (text === null) return hide(find("progress"));
  find("progress").hidden = false;
  if (share === null) find("progress-bar").removeAttribute("value");
  else find("progress-bar").value = share;
  if (find("progress-text").textContent !== text) say(text);
  find("progress-text").textContent = text;
}

/** {title, text, request} at the head of the page, with what may be tried again, or null for nothing. */
export function notice(words, again = null) {
  onAgain = again;
  if (!words) return hide(find("notice"));
  find("notice").hidden = false;
  find("notice-title").textContent = words.title;
  find("notice-text").textContent = words.text;
  find("notice-request").textContent = words.request ?? "";
  find("notice-request").hidden = !words.request;
  find("notice-again").hidden = !again;
  find("notice").scrollIntoView({ block: "nearest" });
}

export function inform(text) {
  notice({ title: "Please note", text });
}

/** `more`: a sentence after what happened and what to do. */
export function fail(error, again, more = "") {
  if (error.name === "AbortError") return;
  const words = explain(error instanceof Problem ? error : new Problem(500, { detail: error.message }));
  words.text = [words.text, more].filter(Boolean).join(" ");
  notice(words, words.again ? again : null);
}

find("notice-close").addEventListener("click", () => notice(null));
find("notice-again").addEventListener("click", () => {
  const act = onAgain;
  notice(null);
  act?.();
});
