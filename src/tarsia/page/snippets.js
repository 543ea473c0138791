/** The request that the page made, as a line for a shell and as a program for Python without any package. */

/** `url` with its query, the file's name and its media type -> text. The key, where one is wanted, is never in it. */
export function curl({ url, file, type, answer, key }) {
  return [
    `curl --fail-with-body --data-binary ${shell(`@${file}`)}`,
    `-H ${shell(`Content-Type: ${type}`)}`,
    ...(key ? ['-H "Authorization: Bearer $TARSIA_API_KEY"'] : []),
    shell(url),
    `--output ${shell(answer)}`,
  ].join(" \\\n  ");
}

export function python({ url, file, type, answer, key }) {
  return [
    ...(key ? ["import os"] : []),
    "from pathlib import Path",
    "from urllib.request import Request, urlopen",
    "",
    `picture = Path(${quoted(file)}).read_bytes()`,
    `headers = {"Content-Type": ${quoted(type)}}`,
    ...(key ? ["headers[\"Authorization\"] = f\"Bearer {os.environ['TARSIA_API_KEY']}\""] : []),
    `url = ${quoted(url)}`,
    "with urlopen(Request(url, picture, headers)) as answer:",
    `    Path(${quoted(answer)}).write_bytes(answer.read())`,
  ].join("\n");
}

/** One word for a POSIX shell, whatever is in it. */
function shell(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A string of JSON is a string of Python too. */
function quoted(text) {
  return JSON.stringify(text);
}
