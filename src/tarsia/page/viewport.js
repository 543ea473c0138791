/**
 * What part of the picture a frame shows, and how large: the one view that all panes share.
 *
 * `scale` is frame pixels (CSS) per picture pixel; (left, top) is the picture's point in the frame's upper left corner.
 * A picture smaller than the frame stands in its middle; a larger one has no gap at its border.
 */

const LARGEST = 32;

export class Viewport {
  scale = 1;
  left = 0;
  top = 0;
  picture = { width: 1, height: 1 };
  frame = { width: 1, height: 1 };
  fitted = true;

  setPicture(width, height) {
    this.picture = { width, height };
    this.fit();
  }

  /** Where the view is in its picture, to come back to. */
  get place() {
    const { scale, left, top, fitted } = this;
    return { scale, left, top, fitted };
  }

  set place(place) {
    Object.assign(this, place);
    this.#hold();
  }

  setFrame(width, height) {
    this.frame = { width: Math.max(1, width), height: Math.max(1, height) };
    if (this.fitted) this.fit();
    else this.#hold();
  }

  get fitScale() {
    return Math.min(this.frame.width / this.picture.width, this.frame.height / this.picture.height);
  }

  get smallest() {
    return Math.min(1, this.fitScale);
  }

  get largest() {
    return Math.max(LARGEST, this.fitScale);
  }

  /** Whether there is more of the picture than the frame shows. */
  get movable() {
    const { width, height } = this.picture;
    return width * this.scale > this.frame.width + 0.5 || height * this.scale > this.frame.height + 0.5;
  }

  fit() {
    this.scale = this.fitScale;
    this.#hold();
    this.fitted = true;
  }

  /** Change the scale, with the picture's point under (x, y) of the frame kept where it is; the middle by default. */
  zoomTo(scale, x = this.frame.width / 2, y = this.frame.height / 2) {
    const point = this.toPicture(x, y);
    this.scale = Math.min(this.largest, Math.max(this.smallest, scale));
    this.left = point.x - x / this.scale;
    this.top = point.y - y / this.scale;
    this.#hold();
    this.fitted = this.scale === this.fitScale;
  }

  zoomBy(factor, x, y) {
    this.zoomTo(this.scale * factor, x, y);
  }

  /** Move the picture by frame pixels. */
  move(dx, dy) {
    this.left -= dx / this.scale;
    this.top -= dy / this.scale;
    this.#hold();
  }

  /** Move as little as it takes for a point of the picture to be well inside the frame. */
  reveal(x, y) {
    const margin = Math.min(40, this.frame.width / 4, this.frame.height / 4);
    const at = this.toFrame(x, y);
    const into = (value, length) => Math.min(length - margin, Math.max(margin, value)) - value;
    this.move(into(at.x, this.frame.width), into(at.y, this.frame.height));
  }

  toPicture(x, y) {
    return { x: this.left + x / this.scale, y: this.top + y / this.scale };
  }

  toFrame(x, y) {
    return { x: (x - this.left) * this.scale, y: (y - this.top) * this.scale };
  }

  #hold() {
    const held = (start, length, shown) =>
      shown >= length ? (length - shown) / 2 : Math.min(length - shown, Math.max(0, start));
    this.left = held(this.left, this.picture.width, this.frame.width / this.scale);
    this.top = held(this.top, this.picture.height, this.frame.height / this.scale);
  }
}
