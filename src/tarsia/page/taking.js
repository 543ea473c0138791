/** What one takes away: the mask, the overlay, the polygons, and the request as code. */

import * as api from "./api.js";
import { curl, python } from "./snippets.js";
import { element, enable, find } from "./words.js";

const ENDINGS = { png: "-mask.png", overlay: "-overlay.jpg", geojson: ".geojson" };

/** `current()` -> {file, models, leastConfidence} of what is shown, null before; `authorised` and `fail`: the page's. */
export function wireTaking({ current, authorised, fail }) {
  const buttons = [...document.querySelectorAll("[data-format]")];
  let language = curl;

  const query = (format) => api.segmentQuery(find("taken").value, format, current().leastConfidence);

  function showCode() {
    if (!current()) return;
    const { file } = current();
    find("code").textContent = language({
      url: api.address("v1/segment", query("png")).href,
      file: file.name,
      type: file.type || "application/octet-stream",
      answer: named(file.name, "png"),
      key: api.hasKey(),
    });
  }

  async function download(button) {
    const format = button.dataset.format;
    if (!current() || button.ariaDisabled === "true") return;
    const { file } = current();
    enable(button, false);
    try {
      const content = await authorised(() => api.segment(file, query(format)));
      const name = named(file.name, format);
      save(content, content.type === "image/png" ? name.replace(/jpg$/, "png") : name); // a huge overlay is no JPEG
    } catch (problem) {
      fail(problem, () => download(button));
    } finally {
      enable(button, true);
    }
  }

  function speak(chosen, button) {
    language = chosen;
    for (const one of [find("as-curl"), find("as-python")]) one.setAttribute("aria-pressed", String(one === button));
    showCode();
  }

  for (const button of buttons) button.addEventListener("click", () => download(button));
  find("as-curl").addEventListener("click", ({ currentTarget }) => speak(curl, currentTarget));
  find("as-python").addEventListener("click", ({ currentTarget }) => speak(python, currentTarget));
  find("copy").addEventListener("click", ({ currentTarget }) => copy(find("code"), currentTarget));
  find("taken").addEventListener("change", showCode);

  return {
    /** After a new result: of which models there is something to take. */
    show() {
      const { models } = current();
      const before = find("taken").value;
      const options = models.map((name) => element("option", { value: name, selected: name === before }, name));
      find("taken").replaceChildren(...options);
      find("taken-field").hidden = models.length < 2;
      showCode();
    },
  };
}

/** holiday.jpg and "png" -> holiday-mask.png. */
function named(file, format) {
  return (file.replace(/\.[^.]*$/, "") || "picture") + ENDINGS[format];
}

function save(content, name) {
  const link = element("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it only after the click
}

/** The clipboard is for pages of https and this machine only; elsewhere the text is selected and copied as of old. */
async function copy(node, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(node.textContent);
  } catch {
    getSelection().selectAllChildren(node);
    done = document.execCommand("copy");
  }
  const says = done ? "Copied" : "Press Ctrl+C";
  button.textContent = says;
  find("status").textContent = done ? "Copied." : "The code is selected: press Ctrl and C.";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}
