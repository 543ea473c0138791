/** The choice of one or two models. */

import { element, find } from "./words.js";

const SHOWN = 14; // names of classes in the page's head

let offered = [];

/** The names of the models asked, one or two; an empty name is the service's default. */
export function chosen() {
  const [model, other] = [find("model").value, find("other").value];
  return other ? [model, other] : [model];
}

/** Offer `models`, as the service lists them; `onChange(place)` once another one is chosen. */
export function offer(models, onChange) {
  offered = models;
  const options = () => models.map(({ name }) => element("option", { value: name }, name));
  find("model").replaceChildren(...options());
  find("model").value = models.find((one) => one.default).name;
  find("other").replaceChildren(element("option", { value: "" }, "none"), ...options());
  find("other-field").hidden = models.length < 2;
  find("model").addEventListener("change", () => {
    keepApart();
    introduce();
    onChange(0);
  });
  find("other").addEventListener("change", () => onChange(1));
  keepApart();
  introduce();
}

/** Choose these, one or two, without `onChange`. */
export function choose([model, other = ""]) {
  find("model").value = model;
  find("other").value = other;
  keepApart();
  introduce();
}

/** A model is not compared with itself. */
function keepApart() {
  const [model, other] = [find("model"), find("other")];
  for (const option of other.options) option.disabled = option.value === model.value;
  if (other.value === model.value) other.value = "";
}

function introduce() {
  const model = offered.find((one) => one.name === find("model").value);
  if (!model) return;
  const { name, classes, problem } = model;
  const more = classes.length - SHOWN;
  const listed = classes.slice(0, SHOWN).map((one) => one.name).join(", ") + (more > 0 ? ` and ${more} more` : "");
  const known = `${name} tells ${classes.length} classes apart: ${listed}.`;
  find("knows").textContent = problem ? `${known} But ${problem}.` : known;
}
