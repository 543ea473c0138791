/**
 * Reads the numbers in a PNG as the file has them: palette indices or grey values, one byte a pixel.
 *
 * A canvas gives colours only, and the colours of two classes may be the same.  Palette and grey, 1 to 8 bits, not
 * interlaced: what the service writes.  (PNG specification, third edition, sections 5, 7 and 9.)
 */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const GREY = 0, PALETTE = 3;

/** Bytes of a PNG -> {width, height, values: Uint8Array of width * height}. Throws an Error that says what is wrong. */
export async function readValues(bytes) {
  if (!SIGNATURE.every((value, at) => bytes[at] === value)) throw new Error("not a PNG");
  const { header, packed } = chunks(bytes);
  const { width, height, bits } = header;
  const rowBytes = Math.ceil(width * bits / 8);
  const rows = await inflate(packed);
  if (rows.length !== height * (rowBytes + 1)) throw new Error("a PNG cut short");
  unfilter(rows, rowBytes, height);
  return { width, height, values: unpack(rows, rowBytes, header) };
}

/** The base64 text of a PNG -> as readValues. */
export function readBase64(text) {
  return readValues(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
}

function chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const packed = [];
  let header = null;
  for (let at = SIGNATURE.length; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (type === "IHDR") header = readHeader(new DataView(content.buffer, content.byteOffset, length));
    if (type === "IDAT") packed.push(content);
    at += length + 12;
  }
  if (!header || !packed.length) throw new Error("a PNG without a picture");
  return { header, packed };
}

function readHeader(view) {
  const [bits, kind, interlaced] = [view.getUint8(8), view.getUint8(9), view.getUint8(12)];
  if (![GREY, PALETTE].includes(kind) || bits > 8 || interlaced) {
    throw new Error(`a PNG of kind ${kind} with ${bits} bits${interlaced ? ", interlaced" : ""}`);
  }
  return { width: view.getUint32(0), height: view.getUint32(4), bits };
}

async function inflate(parts) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Undo the filter of each row in place; a filter works on bytes, and a pixel of up to 8 bits is one byte to it. */
function unfilter(rows, rowBytes, height) {
  const stride = rowBytes + 1;
  for (let row = 0; row < height; row++) {
    const start = row * stride + 1;
    const kind = rows[start - 1];
    for (let at = start; kind && at < start + rowBytes; at++) {
      const left = at > start ? rows[at - 1] : 0;
      const above = row ? rows[at - stride] : 0;
      const corner = row && at > start ? rows[at - stride - 1] : 0;
      if (kind === 1) rows[at] += left;
      else if (kind === 2) rows[at] += above;
      else if (kind === 3) rows[at] += (left + above) >> 1;
      else if (kind === 4) rows[at] += paeth(left, above, corner);
      else throw new Error(`a PNG with the unknown filter ${kind}`);
    }
  }
}

function paeth(left, above, corner) {
  const guess = left + above - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - above), Math.abs(guess - corner)];
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

function unpack(rows, rowBytes, { width, height, bits }) {
  const values = new Uint8Array(width * height);
  const perByte = 8 / bits, most = (1 << bits) - 1;
  for (let row = 0; row < height; row++) {
    const start = row * (rowBytes + 1) + 1;
    if (bits === 8) values.set(rows.subarray(start, start + width), row * width);
    else for (let x = 0; x < width; x++) {
      const shift = 8 - bits * (x % perByte + 1);
      values[row * width + x] = (rows[start + Math.floor(x / perByte)] >> shift) & most;
    }
  }
  return values;
}
