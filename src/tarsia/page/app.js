/**
 * The page: one picture, one or two models, what they see in it.
 *
 * A picture comes in (intake), goes to the service (api), comes back as numbers (png), and is shown (viewer, legend).
 */

import * as api from "./api.js";
import { wireControls } from "./controls.js";
import { listen, showExamples } from "./intake.js";
import { askKey } from "./key.js";
import { Legend } from "./legend.js";
import { choose, chosen, offer } from "./models.js";
import { busy, fail, inform, notice, say } from "./news.js";
import { readBase64 } from "./png.js";
import { wireTaking } from "./taking.js";
import { Viewer } from "./viewer.js";
import { find, percent, seconds } from "./words.js";

// What is asked for: a result for each model chosen, null while it is missing.  `shown` is what was last seen whole, with
// what was chosen for it: it comes back when something else goes wrong.
const state = { file: null, picture: null, results: [], job: null, shown: null, examplesOf: null };
const viewer = new Viewer(find("stage"), { onView: () => controls.showZoom(), onRead: readOut });
const legend = new Legend(find("legend"), find("all"), (hidden) => viewer.setHidden(hidden));
const controls = wireControls(viewer, { onConfidence: () => askAnew(0, 1) });
const taking = wireTaking({
  current: () => state.shown,
  authorised,
  fail,
});

async function start() {
  try {
    offer(await authorised(api.models), (...places) => {
      offerExamples();
      askAnew(...places);
    });
  } catch (problem) {
    return fail(problem, () => location.reload());
  }
  await offerExamples();
}

/** Those that suit the model asked; without any the page does as well. */
async function offerExamples() {
  const [model] = chosen();
  if (state.examplesOf === model) return;
  state.examplesOf = model;
  const found = await api.examples(model).catch(() => null);
  if (state.examplesOf !== model) return; // another was chosen since
  if (!found) state.examplesOf = null; // asked for again at the next occasion
  showExamples(found ?? [], open);
}

function goToStart() {
  state.job?.abort();
  state.job = null; // that it was cancelled is no news to whoever left
  for (const picture of new Set([state.picture, state.shown?.picture])) picture?.close();
  Object.assign(state, { file: null, picture: null, results: [], shown: null });
  viewer.clear();
  document.title = "Tarsia";
  find("work").hidden = true;
  find("start").hidden = false;
  find("choose").focus();
  offerExamples();
}

/** Show a picture as soon as it is known to be one, and what the models see in it as soon as they say so. */
async function open(file) {
  state.job?.abort();
  if (state.picture !== state.shown?.picture) state.picture?.close();
  Object.assign(state, { file, picture: null, results: [] });
  if (!state.shown) makeRoom(file.name);
  const segmented = segment();
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (state.file !== file) return picture?.close();
  if (picture) {
    if (state.shown?.file === file) {
      state.shown.picture = picture; // the result was faster
    } else if (state.shown) {
      state.shown.view = viewer.view.place;
      makeRoom(file.name);
    }
    state.picture = picture;
    place(picture, picture);
  }
  await segmented;
  if (state.file !== file || picture) return;
  if (!state.results.some(Boolean)) return goToStart();
  inform("Your browser cannot show this kind of picture, so you see the classes alone.");
}

function makeRoom(name) {
  viewer.clear();
  viewer.setPanes(captions());
  find("legend").replaceChildren();
  find("facts").textContent = "\u00a0";
  find("start").hidden = true;
  find("work").hidden = false;
  find("work").classList.add("empty");
  head(name);
  find("name").focus({ preventScroll: true });
}

function head(name) {
  find("name").textContent = name;
  document.title = `${name} · Tarsia`;
}

function place(picture, { width, height }, view = null) {
  viewer.setPicture(picture, width, height, view);
  find("work").classList.remove("empty");
}

const captions = () => chosen().length > 1 ? chosen() : [null];

/** What the panes at `places` show is no longer what is asked for. */
function askAnew(...places) {
  if (!state.file) return;
  for (const at of places) state.results[at] = null;
  segment();
}

/** Ask for every result that is missing, and show all; where that fails, what was shown before stays. */
async function segment() {
  state.job?.abort();
  const job = state.job = new AbortController();
  const { file } = state;
  const [names, leastConfidence] = [chosen(), controls.leastConfidence()];
  state.results.length = names.length;
  const places = [...names.keys()].filter((at) => !state.results[at]);
  const sent = new Map(places.map((at) => [at, 0]));
  const progress = () => {
    const share = [...sent.values()].reduce((sum, one) => sum + one, 0) / sent.size;
    if (share < 1) busy("Sending the picture", share);
    else busy("Looking at every pixel");
  };
  notice(null);
  try {
    if (places.length) progress();
    const found = await authorised(() => Promise.all(places.map((at) => result(names[at], job.signal, (share) => {
      sent.set(at, share);
      progress();
    }))));
    if (state.job !== job) return;
    places.forEach((at, order) => { state.results[at] = found[order]; });
    busy(null);
    keep(names, leastConfidence);
    show();
    announce();
  } catch (problem) {
    if (state.job !== job) return;
    job.abort(); // the other model's request, where only one failed
    busy(null);
    const again = () => {
      choose(names);
      controls.setLeastConfidence(leastConfidence);
      if (state.file === file) askAnew(...places);
      else open(file);
    };
    const kept = restore();
    if (problem.name === "AbortError") notice({ title: "Cancelled", text: kept }, again);
    else fail(problem, again, kept);
  }
}

/** From here on this is what comes back. */
function keep(models, leastConfidence) {
  const { file, results, shown } = state;
  if (shown?.file !== file) {
    if (!state.picture) { // not yet there, or never: the browser may be unable to show it
      makeRoom(file.name);
      place(null, results[0]);
    }
    shown?.picture?.close();
  }
  state.shown = { file, picture: state.picture, results: [...results], models, leastConfidence };
}

/** Back to what was shown, and to what was chosen for it; returns words about that, none where nothing was. */
function restore() {
  if (!state.shown) return "";
  const { file, picture, results, models, leastConfidence, view } = state.shown;
  const name = state.file === file ? "" : state.file.name;
  if (state.picture !== picture) state.picture?.close();
  Object.assign(state, { file, picture, results: [...results] });
  choose(models);
  controls.setLeastConfidence(leastConfidence);
  head(file.name);
  if (viewer.picture !== picture) place(picture, results[0], view);
  show();
  return name && `${name} was left out; you see ${file.name} still.`;
}

/** What a model sees in the picture: the service's answer, its label and confidence as one number a pixel. */
async function result(model, signal, onSent) {
  const query = api.segmentQuery(model, "json", controls.leastConfidence());
  const said = JSON.parse(await (await api.segment(state.file, query, { signal, onSent })).text());
  const [label, confidence] = await Promise.all([readBase64(said.label), readBase64(said.confidence)]);
  return { ...said, label: label.values, confidence: confidence.values };
}

function show() {
  viewer.setPanes(captions());
  state.results.forEach((one, at) => viewer.setResult(at, one));
  legend.show(state.results, chosen());
  viewer.setHidden(legend.hidden);
  taking.show();
  const [{ width, height }] = state.results;
  find("facts").textContent = [`${width} × ${height}`, ...state.results.map(timing)].join(" · ");
}

function announce() {
  say(`Done. ${state.results.map(summary).join(". ")}.`);
  const remarks = new Set(state.results.flatMap((one) => one.remarks));
  if (remarks.size) inform([...remarks].join(" "));
}

function timing({ model, seconds: stages }) {
  return `${model} in ${seconds(Object.values(stages).reduce((sum, one) => sum + one, 0))}`;
}

function summary({ model, classes }) {
  const present = classes.filter(({ share }) => share > 0).sort((one, other) => other.share - one.share);
  const most = present.slice(0, 3).map(({ name, share }) => `${name} ${percent(share)}`).join(", ");
  return `${model} sees ${present.length} ${present.length === 1 ? "class" : "classes"}: ${most}`;
}

/** What each pane says where the keys went, for those who listen. */
function readOut(texts, { x, y }) {
  const names = state.shown?.models ?? [];
  const said = texts.map((text, at) => texts.length > 1 ? `${names[at]}: ${text}` : text);
  find("reading").textContent = texts.every(Boolean) ? `${said.join("; ")}, at ${x}, ${y}` : "";
}

/** Do it; where the service wants a key, ask for one and do it again. */
async function authorised(act) {
  for (let refused = false; ; refused = true) {
    try {
      return await act();
    } catch (problem) {
      if (problem.status !== 401 || !(await askKey(refused || api.hasKey()))) throw problem;
    }
  }
}

find("cancel").addEventListener("click", () => state.job?.abort());
find("new").addEventListener("click", goToStart);
listen({ onFile: open, onNote: inform, onTrouble: notice });
start();
