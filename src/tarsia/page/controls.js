/** The controls under the picture, and the least confidence. */

import { enable, find, percent } from "./words.js";

export function wireControls(viewer, { onConfidence }) {
  find("zoom-in").addEventListener("click", () => viewer.zoomIn());
  find("zoom-out").addEventListener("click", () => viewer.zoomOut());
  find("fit").addEventListener("click", () => viewer.fit());
  find("actual").addEventListener("click", () => viewer.actual());

  find("opacity").addEventListener("input", ({ target }) => {
    find("opacity-value").textContent = percent(target.value / 100, 0);
    viewer.setOpacity(target.value / 100);
  });

  find("split").addEventListener("click", ({ currentTarget: button }) => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    viewer.setSplit(on ? 0.5 : null);
  });

  // The figure follows at once; the service is asked when the slider has come to rest.
  const sayConfidence = () => {
    const { value } = find("confidence");
    find("confidence-value").textContent = value === "0" ? "any" : percent(value / 100, 0);
  };
  find("confidence").addEventListener("input", sayConfidence);
  find("confidence").addEventListener("change", onConfidence);

  return {
    leastConfidence: () => Number(find("confidence").value) / 100,
    setLeastConfidence(share) {
      find("confidence").value = String(Math.round(share * 100));
      sayConfidence();
    },
    showZoom() {
      const { scale, smallest, largest } = viewer.view;
      find("zoom").textContent = percent(scale, 0);
      enable(find("zoom-out"), scale > smallest);
      enable(find("zoom-in"), scale < largest);
    },
  };
}
