/** Small things every part says or makes: elements, figures, and problems in words with what to do. */

/** An element with properties and children; text goes in as text, never as markup. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export const find = (id) => document.getElementById(id);

/** Whether a button can do something; with `disabled` the browser would take the focus from it, and from its user. */
export function enable(button, on) {
  button.setAttribute("aria-disabled", String(!on));
}

/** Hide an element; where the focus was in it, the page's main part has it next. */
export function hide(node) {
  const held = node.contains(document.activeElement);
  node.hidden = true;
  if (held) find("main").focus({ preventScroll: true });
}

/** A share of 0 .. 1; what is there never reads 0.0 %. */
export function percent(share, digits = 1) {
  return digits && share > 0 && share < 0.0005 ? "<0.1\u00a0%" : `${(share * 100).toFixed(digits)}\u00a0%`;
}

export function seconds(value) {
  if (value < 0.1) return `${Math.max(1, Math.round(value * 1000))}\u00a0ms`;
  return `${value.toFixed(value < 10 ? 2 : 0)}\u00a0s`;
}

/** A class name, which may break after an underscore. */
export function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part, at) => at ? [element("wbr"), part] : [part]);
}

/** A Problem -> {title, text, request, again}: what happened, what to do, and whether trying again may help. */
export function explain({ status, kind, title, detail, requestId, retryAfter }) {
  const [head, advice, again = false] = words(status, kind, retryAfter);
  const forPrograms = [401, 403, 404, 429, 503].includes(status) || ["media-type", "no-picture"].includes(kind);
  const said = (detail || title).replace(/^the body\b/, "the picture");
  const text = forPrograms || !said ? advice : sentence(said);
  return { title: head, text, request: requestId ? `Request ${requestId}` : "", again };
}

/** The browser's reason for giving no camera -> {title, text}. */
export function explainCamera({ name }) {
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return {
        title: "This page may not use the camera",
        text: "Allow it in your browser, beside the page's address, then try again; or choose a picture.",
      };
    case "NotFoundError":
    case "OverconstrainedError":
      return { title: "There is no camera", text: "Connect one, then try again; or choose a picture." };
    default:
      return {
        title: "The camera shows nothing",
        text: "Another program may be using it: close that, then try again; or choose a picture.",
      };
  }
}

function words(status, kind, retryAfter) {
  switch (status) {
    case 0:
      return ["The service cannot be reached", "Check your connection, then try again.", true];
    case 401:
    case 403:
      return ["The service did not take the key", "Try again with the key that its owner gave you.", true];
    case 404:
      return ["There is no such model any more", "Reload the page to see the models there are."];
    case 413:
      return ["This is more than the service takes", "Make the picture smaller, then choose it again."];
    case 400:
    case 415:
    case 422:
      if (kind === "invalid-parameter") return ["The service did not understand the page", "Reload the page."];
      return ["This is no picture the service can read", "Choose a JPEG, PNG or WebP picture."];
    case 408:
    case 504:
      return ["It took too long", "Try again, or try a smaller picture.", true];
    case 429:
    case 503:
      return ["The service is busy", `Try again in ${wait(retryAfter)}.`, true];
    default:
      return ["Something went wrong in the service", "Try again; if it stays so, tell its owner.", true];
  }
}

function wait(count) {
  return count === null ? "a moment" : count === 1 ? "1 second" : `${count} seconds`;
}

function sentence(text) {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return capital && !/[.!?]$/.test(capital) ? `${capital}.` : capital;
}
