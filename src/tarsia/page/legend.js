/** The classes of one or two results: colour, share, and a switch for each that both panes heed. */

import { breakable, element, percent } from "./words.js";

/** Results (null while one is missing) -> rows by class name, largest share first; shares stand in result order. */
export function rows(results) {
  const found = new Map();
  results.forEach((result, at) => {
    for (const { name, color, share } of result?.classes ?? []) {
      const row = found.get(name) ?? { name, colors: [], shares: results.map(() => null) };
      if (!row.colors.some((one) => String(one) === String(color))) row.colors.push(color);
      row.shares[at] = share;
      found.set(name, row);
    }
  });
  return [...found.values()].sort((one, other) => most(other) - most(one));
}

const most = (row) => Math.max(...row.shares);

/** The share of the pixels that got no class. */
export function unclassed({ width, height, classes }) {
  return 1 - classes.reduce((sum, { pixels }) => sum + pixels, 0) / (width * height);
}

export class Legend {
  hidden = new Set();
  #open = false;

  constructor(node, allButton, onChange) {
    Object.assign(this, { node, allButton, onChange });
    allButton.addEventListener("click", () => this.#toggleAll());
  }

  /** `names`: what heads the columns of shares where there are two results. */
  show(results, names) {
    const all = rows(results);
    const present = all.filter((row) => most(row) > 0);
    const absent = all.filter((row) => most(row) === 0);
    const heads = names.map((name) => element("span", { title: name }, name));
    this.node.replaceChildren(
      ...(results.length > 1 ? [element("p", { className: "columns" }, ...heads)] : []),
      element("ul", { className: "classes" }, ...present.map((row) => this.#row(row)), ...without(results)),
      ...(absent.length ? [this.#folded(absent)] : []),
    );
    this.#nameButton();
  }

  /** The classes that no pixel has, out of the way. */
  #folded(absent) {
    const more = element("details", { open: this.#open },
      element("summary", {}, `${absent.length} not in this picture`),
      element("ul", { className: "classes" }, ...absent.map((row) => this.#row(row))),
    );
    more.addEventListener("toggle", () => { this.#open = more.open; });
    return more;
  }

  #row({ name, colors, shares }) {
    const box = element("input", { type: "checkbox", checked: !this.hidden.has(name), role: "switch" });
    box.addEventListener("change", () => {
      if (box.checked) this.hidden.delete(name);
      else this.hidden.add(name);
      this.#changed();
    });
    box.dataset.name = name;
    const words = element("span", { className: "name" }, ...breakable(name));
    const line = element("label", {}, box, swatches(colors), words, ...figures(shares));
    return element("li", {}, line, bar(shares, colors[0]));
  }

  #toggleAll() {
    const boxes = [...this.node.querySelectorAll("input")];
    const show = this.#allHidden(boxes);
    for (const box of boxes) box.checked = show;
    this.hidden = new Set(show ? [] : boxes.map((box) => box.dataset.name));
    this.#changed();
  }

  #allHidden(boxes = [...this.node.querySelectorAll("input")]) {
    return boxes.length > 0 && boxes.every((box) => !box.checked);
  }

  #nameButton() {
    this.allButton.textContent = this.#allHidden() ? "Show all" : "Hide all";
  }

  #changed() {
    this.#nameButton();
    this.onChange(this.hidden);
  }
}

function swatches(colors) {
  return element("span", { className: "swatches" }, ...colors.map((color) => {
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = `rgb(${color.join(" ")})`;
    return swatch;
  }));
}

function figures(shares) {
  return shares.map((share) => element("span", { className: "share" }, share === null ? "–" : percent(share)));
}

/** A line as long as the largest share; the switches' list stays one column of figures. */
function bar(shares, color) {
  const inside = element("i");
  inside.style.width = `${Math.max(...shares) * 100}%`;
  inside.style.background = `rgb(${color.join(" ")})`;
  return element("span", { className: "bar", ariaHidden: "true" }, inside);
}

function without(results) {
  const shares = results.map((result) => result && unclassed(result));
  if (!shares.some((share) => share > 0)) return [];
  const text = element("span", { className: "name" }, "no class");
  return [element("li", { className: "none" }, element("span", { className: "line" }, text, ...figures(shares)))];
}
