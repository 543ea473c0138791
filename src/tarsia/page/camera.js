/** The pane that takes a picture with a camera of this device. */

import { find } from "./words.js";

const WANTED = { audio: false, video: { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } } };
const QUALITY = 0.95; // of the JPEG

/** Browsers lend a camera to pages of https and of this machine only. */
export function canPhotograph() {
  return Boolean(navigator.mediaDevices?.getUserMedia);
}

/** Close the pane where it is open; its picture is not taken then. */
export function closeCamera() {
  find("camera-dialog").close();
}

/**
 * Show what the camera sees until a picture is taken -> a File, or null where the pane was closed instead.
 * Rejects with the browser's DOMException where no camera is to be had.  However it ends, the camera is off afterwards.
 */
export async function photograph() {
  const [dialog, view] = [find("camera-dialog"), find("camera-view")];
  const closed = new Promise((resolve) => { dialog.onclose = () => resolve(null); });
  const asked = navigator.mediaDevices.getUserMedia(WANTED);
  wait(dialog);
  try {
    const stream = await Promise.race([asked, closed]);
    if (stream) await Promise.race([show(stream, view, dialog), closed]);
    await closed;
    if (dialog.returnValue === "lost") throw new DOMException("the camera has gone", "NotReadableError");
    return dialog.returnValue === "taken" ? await picture() : null;
  } finally {
    asked.then(stop, () => {}); // also where the camera comes after the pane has gone
    view.srcObject = null;
    dialog.close();
  }
}

function wait(dialog) {
  dialog.returnValue = "";
  find("camera-text").textContent = "Waiting for the camera. Your browser may ask whether this page may use it.";
  find("camera-take").disabled = true;
  dialog.showModal();
}

async function show(stream, view, dialog) {
  for (const track of stream.getTracks()) track.onended = () => dialog.close("lost");
  view.srcObject = stream;
  await view.play();
  find("camera-text").textContent = "The picture goes to this service only, which keeps no copy.";
  find("camera-take").disabled = false;
  find("camera-take").focus();
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** What the camera sees now, kept until the pane has closed. */
function take() {
  const [view, still] = [find("camera-view"), find("camera-still")];
  Object.assign(still, { width: view.videoWidth, height: view.videoHeight });
  still.getContext("2d").drawImage(view, 0, 0);
  find("camera-dialog").close("taken");
}

async function picture() {
  const content = await new Promise((resolve) => find("camera-still").toBlob(resolve, "image/jpeg", QUALITY));
  return new File([content], "photo.jpg", { type: "image/jpeg" });
}

find("camera-take").addEventListener("click", take);
find("camera-cancel").addEventListener("click", closeCamera);
addEventListener("pagehide", closeCamera);
