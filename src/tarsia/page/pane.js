/** One frame: a picture under its classes, the divider, and the tag that says the class of one pixel. */

import { element, percent } from "./words.js";

const IGNORED = 255;
const SMOOTH_UP_TO = 6; // device pixels per picture pixel: further in, pixels are what one wants to see

export class Pane {
  result = null;

  constructor() {
    this.caption = element("figcaption", { hidden: true });
    this.canvas = element("canvas");
    this.divider = element("div", {
      className: "divider", hidden: true, tabIndex: 0,
      role: "slider", ariaLabel: "Before / after", ariaValueMin: 0, ariaValueMax: 100,
    });
    this.swatch = element("span", { className: "swatch" });
    this.tagText = element("span");
    this.tag = element("div", { className: "tag", hidden: true }, this.swatch, this.tagText);
    this.cross = element("div", { className: "cross", hidden: true });
    this.frame = element("div", {
      className: "frame", tabIndex: 0, role: "application", ariaLabel: "Picture and its classes",
    }, this.canvas, this.cross, this.tag, this.divider);
    this.frame.setAttribute("aria-describedby", "keys");
    this.node = element("figure", { className: "pane" }, this.caption, this.frame);
    this.overlay = element("canvas");
  }

  /** {width, height, label, confidence, classes}, or null while there is none. */
  setResult(result, hidden) {
    this.result = result;
    if (result) this.paint(hidden);
  }

  /** Colour the overlay anew; classes whose names are `hidden`, and pixels without a class, are clear. */
  paint(hidden) {
    const { width, height, label, classes } = this.result;
    const colors = new Uint8ClampedArray(256 * 4);
    for (const { index, name, color } of classes) {
      if (!hidden.has(name)) colors.set([...color, 255], index * 4);
    }
    const lookup = new Uint32Array(colors.buffer);
    const pixels = new Uint32Array(label.length);
    for (let at = 0; at < label.length; at++) pixels[at] = lookup[label[at]];
    Object.assign(this.overlay, { width, height });
    const content = new ImageData(new Uint8ClampedArray(pixels.buffer), width, height);
    this.overlay.getContext("2d").putImageData(content, 0, 0);
  }

  /** `picture` may be null where the browser cannot show it; `split` is the divider's place, 0 .. 1, or null. */
  draw(view, picture, opacity, split) {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(view.frame.width * ratio), Math.round(view.frame.height * ratio)];
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const context = this.canvas.getContext("2d");
    const scale = view.scale * ratio;
    const box = [-view.left, -view.top, view.picture.width, view.picture.height].map((one) => Math.round(one * scale));
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = scale < SMOOTH_UP_TO;
    context.imageSmoothingQuality = "high";
    if (picture) context.drawImage(picture, ...box);
    if (this.result) {
      const left = split === null ? 0 : Math.round(split * width);
      context.save();
      context.beginPath();
      context.rect(left, 0, width - left, height);
      context.clip();
      context.globalAlpha = opacity;
      context.drawImage(this.overlay, ...box);
      context.restore();
    }
    this.divider.hidden = split === null || !this.result;
    if (split !== null) {
      this.divider.style.left = `${split * 100}%`;
      this.divider.ariaValueNow = Math.round(split * 100);
      this.divider.ariaValueText = `picture on the left ${Math.round(split * 100)} %, classes on the right`;
    }
  }

  /** What is at a pixel: {name, color, confidence}, name null where the pixel has no class; null outside. */
  at({ x, y }) {
    if (!this.result) return null;
    const { width, height, label, confidence, classes } = this.result;
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    const value = label[y * width + x];
    const found = value === IGNORED ? null : classes.find(({ index }) => index === value);
    return { name: found?.name ?? null, color: found?.color, confidence: confidence[y * width + x] / 255 };
  }

  /** Show the tag of a pixel of the picture, or none; `cross` marks the pixel too. Returns what the tag says. */
  point(view, pixel, cross) {
    const { x, y } = pixel ? view.toFrame(pixel.x + 0.5, pixel.y + 0.5) : {};
    const visible = x >= 0 && y >= 0 && x <= view.frame.width && y <= view.frame.height;
    const found = visible && this.at(pixel);
    this.tag.hidden = !found;
    this.cross.hidden = !found || !cross;
    if (!found) return "";
    const text = says(found);
    this.tagText.textContent = text;
    this.swatch.hidden = !found.color;
    if (found.color) this.swatch.style.background = `rgb(${found.color.join(" ")})`;
    this.cross.style.transform = `translate(${x}px, ${y}px)`;
    const { offsetWidth: wide, offsetHeight: high } = this.tag;
    const left = Math.max(4, x + 14 + wide > view.frame.width ? x - 14 - wide : x + 14);
    const top = Math.max(4, y - 10 - high < 0 ? y + 14 : y - 10 - high);
    this.tag.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
    return text;
  }
}

function says({ name, confidence }) {
  const sure = confidence > 0.99 ? ">99\u00a0%" : percent(confidence, 0);
  return `${name ?? "no class"} · ${sure} sure`;
}
