/** The stage: one or two panes under one view; zoom, move, divider and cursor by mouse, touch and keys. */

import { Pane } from "./pane.js";
import { Viewport } from "./viewport.js";

const STEP = 1.25; // of one press or key
const CURSOR_STEP = 8; // frame pixels

export class Viewer {
  view = new Viewport();
  panes = [new Pane(), new Pane()];
  picture = null;
  hidden = new Set();
  opacity = 0.6;
  split = null;
  cursor = null; // pixel of the picture that the keys have chosen
  #shown = 1;
  #pointers = new Map();
  #waiting = false;

  /** `onView()` after the view changed; `onRead(texts)` with what each pane says where the keys went. */
  constructor(stage, { onView, onRead }) {
    this.stage = stage;
    this.onView = onView;
    this.onRead = onRead;
    stage.append(...this.panes.map((pane) => pane.node));
    this.setPanes([null]);
    for (const pane of this.panes) this.#listen(pane);
    new ResizeObserver(() => this.#measure()).observe(this.panes[0].frame);
  }

  get shown() {
    return this.panes.slice(0, this.#shown);
  }

  /** One pane for each caption; a caption is the model's name, or null where there is but one. */
  setPanes(captions) {
    this.#shown = captions.length;
    this.stage.classList.toggle("two", captions.length === 2);
    this.panes.forEach((pane, at) => {
      pane.node.hidden = at >= captions.length;
      pane.caption.hidden = !captions[at];
      pane.caption.textContent = captions[at] ?? "";
      pane.frame.ariaLabel = `Picture and its classes${captions[at] ? `, ${captions[at]}` : ""}`;
      pane.divider.tabIndex = at ? -1 : 0;
      if (at >= captions.length) pane.setResult(null);
    });
    this.redraw();
  }

  /** A picture: an ImageBitmap, or null where the browser cannot show it, and its size; all of it, or from `place`. */
  setPicture(picture, width, height, place = null) {
    this.picture = picture;
    this.cursor = null;
    this.stage.style.setProperty("--ratio", String(width / height));
    this.view.setPicture(width, height);
    if (place) this.view.place = place;
    this.point(null);
    this.#measure();
  }

  /** Show nothing; the picture stays its owner's to close. */
  clear() {
    this.picture = null;
    for (const pane of this.panes) pane.setResult(null);
  }

  setResult(at, result) {
    this.panes[at].setResult(result, this.hidden);
    this.redraw();
  }

  setHidden(hidden) {
    this.hidden = hidden;
    for (const pane of this.shown) if (pane.result) pane.paint(hidden);
    this.redraw();
  }

  setOpacity(opacity) {
    this.opacity = opacity;
    this.redraw();
  }

  setSplit(split) {
    this.split = split === null ? null : Math.min(1, Math.max(0, split));
    this.redraw();
  }

  zoomIn() { this.#change(() => this.view.zoomBy(STEP, ...this.#focus())); }
  zoomOut() { this.#change(() => this.view.zoomBy(1 / STEP, ...this.#focus())); }
  fit() { this.#change(() => this.view.fit()); }
  actual() { this.#change(() => this.view.zoomTo(1, ...this.#focus())); }

  /** Say what is at a pixel of the picture in every pane. */
  point(pixel, cross = false) {
    return this.shown.map((pane) => pane.point(this.view, pixel, cross));
  }

  /** Draw before the next frame; many changes are one drawing. */
  redraw() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      for (const pane of this.shown) pane.draw(this.view, this.picture, this.opacity, this.split);
      if (this.cursor) this.point(this.cursor, true);
    });
  }

  /** Where buttons and keys zoom: at the cursor, else (nothing) in the middle. */
  #focus() {
    if (!this.cursor) return [];
    const { x, y } = this.view.toFrame(this.cursor.x, this.cursor.y);
    return [x, y];
  }

  #measure() {
    const { clientWidth, clientHeight } = this.panes[0].frame;
    if (clientWidth) this.#change(() => this.view.setFrame(clientWidth, clientHeight));
  }

  #change(act) {
    act();
    for (const { frame } of this.panes) frame.classList.toggle("movable", this.view.movable);
    if (!this.cursor) this.point(null);
    this.redraw();
    this.onView();
  }

  #listen({ frame, divider }) {
    const place = (event) => {
      const box = frame.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    frame.addEventListener("wheel", (event) => this.#wheel(event, place(event)), { passive: false });
    frame.addEventListener("dblclick", (event) => {
      const { x, y } = place(event);
      this.#change(() => this.view.zoomBy(2, x, y));
    });
    frame.addEventListener("pointerdown", (event) => this.#press(event, place(event)));
    frame.addEventListener("pointermove", (event) => this.#moveTo(event, place(event)));
    for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, (event) => this.#release(event));
    frame.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.#leave());
    frame.addEventListener("blur", () => this.#leave());
    frame.addEventListener("keydown", (event) => event.target === frame && this.#key(event));
    divider.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      divider.setPointerCapture(event.pointerId);
    });
    divider.addEventListener("pointermove", (event) => {
      event.stopPropagation();
      if (divider.hasPointerCapture(event.pointerId)) this.setSplit(place(event).x / frame.clientWidth);
    });
    divider.addEventListener("dblclick", (event) => event.stopPropagation());
    divider.addEventListener("keydown", (event) => this.#divide(event));
  }

  /** The wheel zooms; where there is nothing left to zoom out of, the page scrolls on. */
  #wheel(event, { x, y }) {
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1);
    const factor = Math.exp(-Math.max(-200, Math.min(200, pixels)) * (event.ctrlKey ? 0.01 : 0.002));
    if (factor < 1 && this.view.scale <= this.view.smallest && !event.ctrlKey) return;
    event.preventDefault();
    this.#change(() => this.view.zoomBy(factor, x, y));
    this.#hover({ x, y });
  }

  #press(event, at) {
    if (event.button) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, at);
    this.cursor = null;
    this.#hover(at);
  }

  #moveTo(event, at) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) {
      if (!this.#pointers.size) this.#hover(at);
      return;
    }
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    this.#pointers.set(event.pointerId, at);
    if (others.length) {
      this.#pinch(before, at, others[0]);
    } else if (this.view.movable) {
      this.#change(() => this.view.move(at.x - before.x, at.y - before.y));
    } else {
      this.#hover(at);
    }
  }

  /** One finger went from `before` to `at` while the other stays: the picture's points stay under the fingers. */
  #pinch(before, at, other) {
    const distance = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
    const middle = (point) => ({ x: (point.x + other.x) / 2, y: (point.y + other.y) / 2 });
    const [from, to] = [middle(before), middle(at)];
    this.#change(() => {
      this.view.move(to.x - from.x, to.y - from.y);
      this.view.zoomBy(distance(at) / distance(before), to.x, to.y);
    });
  }

  #release(event) {
    this.#pointers.delete(event.pointerId);
  }

  #leave() {
    this.cursor = null;
    this.point(null);
  }

  #hover({ x, y }) {
    this.cursor = null;
    this.point(this.#pixel(this.view.toPicture(x, y)));
  }

  #pixel({ x, y }) {
    return { x: Math.floor(x), y: Math.floor(y) };
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 1 : Math.max(1, Math.round(CURSOR_STEP / this.view.scale));
    const act = {
      ArrowLeft: () => this.#walk(-step, 0),
      ArrowRight: () => this.#walk(step, 0),
      ArrowUp: () => this.#walk(0, -step),
      ArrowDown: () => this.#walk(0, step),
      "+": () => this.zoomIn(),
      "=": () => this.zoomIn(),
      "-": () => this.zoomOut(),
      "−": () => this.zoomOut(),
      0: () => this.fit(),
      1: () => this.actual(),
      Escape: () => this.#leave(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #walk(dx, dy) {
    const { width, height } = this.view.picture;
    const { frame } = this.view;
    const start = this.cursor ?? this.#pixel(this.view.toPicture(frame.width / 2, frame.height / 2));
    const within = (value, length) => Math.min(length - 1, Math.max(0, value));
    const moved = this.cursor ? [dx, dy] : [0, 0]; // the first key shows where the cursor is
    this.cursor = { x: within(start.x + moved[0], width), y: within(start.y + moved[1], height) };
    this.#change(() => this.view.reveal(this.cursor.x, this.cursor.y));
    this.onRead(this.point(this.cursor, true), this.cursor);
  }

  #divide(event) {
    const to = {
      ArrowLeft: this.split - 0.02, ArrowDown: this.split - 0.02,
      ArrowRight: this.split + 0.02, ArrowUp: this.split + 0.02,
      PageDown: this.split - 0.2, PageUp: this.split + 0.2, Home: 0, End: 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.setSplit(to);
  }
}
