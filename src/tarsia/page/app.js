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
import { chosen, offer } from "./models.js";
import { busy, fail, inform, notice, say } from "./news.js";
import { readBase64 } from "./png.js";
import { wireTaking } from "./taking.js";
import { Viewer } from "./viewer.js";
import { find, percent, seconds } from "./words.js";

const state = { file: null, results: [], job: null }; // a result for each model chosen, null while it is missing
const viewer = new Viewer(find("stage"), { onView: () => controls.showZoom(), onRead: readOut });
const legend = new Legend(find("legend"), find("all"), (hidden) => viewer.setHidden(hidden));
const controls = wireControls(viewer, { onConfidence: () => askAnew(0, 1) });
const taking = wireTaking({
  current: () => ({ file: state.file, models: chosen(), leastConfidence: controls.leastConfidence() }),
  authorised,
  fail,
});

async function start() {
  try {
    offer(await authorised(api.models), askAnew);
    await showExamples(await authorised(api.examples), open);
  } catch (problem) {
    fail(problem, () => location.reload());
  }
}

function goToStart() {
  state.job?.abort();
  Object.assign(state, { file: null, results: [] });
  viewer.clear();
  document.title = "Tarsia";
  find("work").hidden = true;
  find("start").hidden = false;
  find("choose").focus();
}

/** Show a picture at once, and what the models see in it as soon as they say so. */
async function open(file) {
  state.job?.abort();
  Object.assign(state, { file, results: [] });
  makeRoom(file.name);
  const segmented = segment();
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (state.file !== file) return picture?.close();
  if (picture) place(picture, picture);
  await segmented;
  if (state.file !== file || picture) return;
  const result = state.results.find(Boolean);
  if (!result) return goToStart();
  place(null, result);
  inform("Your browser cannot show this kind of picture, so you see the classes alone.");
}

function makeRoom(name) {
  viewer.clear();
  viewer.setPanes(captions());
  find("legend").replaceChildren();
  find("name").textContent = name;
  find("facts").textContent = "\u00a0";
  document.title = `${name} · Tarsia`;
  find("start").hidden = true;
  find("work").hidden = false;
  find("work").classList.add("empty");
  find("name").focus({ preventScroll: true });
}

function place(picture, { width, height }) {
  viewer.setPicture(picture, width, height);
  find("work").classList.remove("empty");
}

const captions = () => chosen().length > 1 ? chosen() : [null];

/** What the panes at `places` show is no longer what is asked for. */
function askAnew(...places) {
  if (!state.file) return;
  for (const at of places) state.results[at] = null;
  segment();
}

/** Ask for every result that is missing, and show all. */
async function segment() {
  state.job?.abort();
  const job = state.job = new AbortController();
  const names = chosen();
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
    show();
  } catch (problem) {
    if (state.job !== job) return;
    job.abort(); // the other model's request, where only one failed
    busy(null);
    for (const at of places) viewer.setResult(at, null); // an older answer would pass for this one
    if (problem.name === "AbortError") notice({ title: "Cancelled", text: "" }, segment);
    else fail(problem, segment);
  }
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
  const names = chosen();
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
