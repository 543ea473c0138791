/** The ways a picture comes in: picked, photographed, dropped, pasted, or taken from the examples. */

import { content } from "./api.js";
import { canPhotograph, closeCamera, photograph } from "./camera.js";
import { element, enable, explainCamera, find } from "./words.js";

/**
 * `onFile(file)` for each picture; `onNote(text)` where something else came than one file; `onTrouble(words, again)`
 * where the camera gives none.
 */
export function listen({ onFile, onNote, onTrouble }) {
  const take = (files, otherwise) => {
    const [file, ...rest] = files;
    if (!file) return onNote(otherwise);
    closeCamera();
    onFile(file);
    if (rest.length) onNote(`One picture at a time: ${file.name} was taken, ${rest.length} left out.`);
  };
  find("choose").addEventListener("click", () => find("file").click());
  wireCamera(onFile, onTrouble);
  for (const input of [find("file"), find("camera")]) {
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = ""; // so that the same file can be chosen again
      if (files.length) take(files);
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input")) return;
    take([...event.clipboardData.files], "There is no picture in the clipboard: copy one, then paste it here.");
  });
  listenToDrops((files) => take(files, "That was no file: save the picture first, then drop the file here."));
}

/** The pane, but on phones, whose own way to take a photo sees more than a video does; a desktop has no other. */
function wireCamera(onFile, onTrouble) {
  const button = find("photograph");
  button.hidden = !canPhotograph() && matchMedia("(hover: hover) and (pointer: fine)").matches;
  const handheld = matchMedia("(hover: none) and (pointer: coarse)").matches;
  const act = async () => {
    if (handheld || !canPhotograph()) return find("camera").click();
    button.focus(); // where the pane gives the focus back to
    try {
      const file = await photograph();
      if (file) onFile(file);
    } catch (problem) {
      onTrouble(explainCamera(problem), act);
    }
  };
  button.addEventListener("click", act);
}

/** Anywhere on the page; without this the browser would leave the page and open the file. */
function listenToDrops(take) {
  const shade = find("dropping");
  let inside = 0; // elements entered less elements left: each child on the way fires both
  const show = (by) => {
    inside = Math.max(0, inside + by);
    shade.hidden = inside === 0;
  };
  document.addEventListener("dragenter", (event) => { event.preventDefault(); show(1); });
  document.addEventListener("dragleave", () => show(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    show(-inside);
    take([...event.dataTransfer.files]);
  });
}

/** Show examples, [{name, title, url}], at once and their pictures as they come; one that cannot be had goes again. */
export function showExamples(examples, onFile) {
  for (const image of find("examples").querySelectorAll("img")) URL.revokeObjectURL(image.src);
  find("examples").replaceChildren(...examples.map((one) => exampleItem(one, onFile)));
  find("examples-part").classList.remove("waiting");
  find("examples-part").hidden = !examples.length;
}

function exampleItem({ name, title, url }, onFile) {
  const image = element("img", { alt: "" });
  const button = element("button", { type: "button", title }, image, element("span", {}, title));
  const item = element("li", {}, button);
  enable(button, false);
  content(url).then((picture) => {
    if (!item.isConnected) return; // of another model than is asked by now
    const ending = picture.type.split("/")[1]?.replace("jpeg", "jpg") ?? "png";
    image.src = URL.createObjectURL(picture);
    button.addEventListener("click", () => onFile(new File([picture], `${name}.${ending}`, { type: picture.type })));
    enable(button, true);
  }, () => {
    item.remove();
    find("examples-part").hidden = !find("examples").children.length;
  });
  return item;
}
