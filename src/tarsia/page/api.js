/** The requests of the page; addresses are relative, so that the service may be mounted under a path. */

const KEY = "tarsia-key";

/** An answer that is not what was asked for; status 0 where there was none.  `kind`: the last part of its type. */
export class Problem extends Error {
  constructor(status, { type = "", title = "", detail = "", request_id = "" } = {}, retryAfter = null) {
    super(detail || title || `status ${status}`);
    Object.assign(this, { status, kind: type.split(":").at(-1), title, detail, requestId: request_id, retryAfter });
  }
}

export function saveKey(key) {
  sessionStorage.setItem(KEY, key);
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
}

export function hasKey() {
  return sessionStorage.getItem(KEY) !== null;
}

/** The address of `path` under the page's own. */
export function address(path, query = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url;
}

/** The query of one segmentation; what is the service's own default is left out. */
export function segmentQuery(model, format, leastConfidence) {
  return { ...(model && { model }), format, ...(leastConfidence > 0 && { min_confidence: leastConfidence }) };
}

export async function models() {
  return JSON.parse(await (await ask("GET", address("v1/models"))).text()).models;
}

/** Pictures to try a model with. */
export async function examples(model) {
  return JSON.parse(await (await ask("GET", address("v1/examples", { model }))).text()).examples;
}

/** The content behind an address that the service gave; never one of another origin. */
export async function content(url) {
  const target = address(url);
  if (target.origin !== location.origin) throw new Problem(0, { detail: "an address outside this service" });
  return ask("GET", target);
}

/**
 * The picture -> the service's answer, a Blob; `onSent` gets the share of the picture that has been sent, 0 .. 1.
 * Rejects with a Problem, or with an AbortError once `signal` is aborted.
 */
export function segment(picture, query, { signal, onSent } = {}) {
  return ask("POST", address("v1/segment", query), { body: picture, signal, onSent });
}

/** XMLHttpRequest, for fetch does not tell how much has been sent. */
function ask(method, url, { body = null, signal, onSent } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.responseType = "blob";
    if (hasKey()) request.setRequestHeader("Authorization", `Bearer ${sessionStorage.getItem(KEY)}`);
    if (body) request.setRequestHeader("Content-Type", body.type || "application/octet-stream");
    if (onSent) request.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
    request.onload = async () => {
      if (request.status >= 200 && request.status < 300) resolve(request.response);
      else reject(await problem(request));
    };
    request.onerror = () => reject(new Problem(0));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    if (signal?.aborted) reject(new DOMException("cancelled", "AbortError"));
    else request.send(body);
  });
}

async function problem(request) {
  const retryAfter = Number.parseInt(request.getResponseHeader("Retry-After") ?? "", 10);
  let said = {};
  try {
    said = JSON.parse(await request.response.text());
  } catch {
    // A proxy's page, not the service's own words: the status has to say it all.
  }
  return new Problem(request.status, said ?? {}, Number.isNaN(retryAfter) ? null : retryAfter);
}
