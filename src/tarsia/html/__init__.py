"""What the HTML pages share: base.html, which they extend, pictures within a page's size, facts in words."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image

from tarsia import console
from tarsia.errors import MissingExtraError, OutputError, needs
from tarsia.files import write_text, writing
from tarsia.plain_text import plain

PAGE_LIMIT_BYTES = 5_000_000
_KINDS = ("worst", "sample", "differ")  # of pictures in a report's folder
_SHOWN_WIDTH = 1064  # of the page's column, CSS pixels
_FIGURE_DENSITY = 1.3  # pixels of a figure to a CSS pixel: letters like the page's, and sharp on fine screens
_SHARP_BYTES = 300_000  # figures stay PNG up to here: JPEG blurs letters and thin lines
# (largest width, JPEG quality) tried in turn until the page is small enough
REDUCTIONS = ((1600, 85), (1200, 85), (1000, 80), (800, 75), (640, 70), (480, 60))
_WORDS = {
    "dataset": "Data set",
    "data_hash": "Data hash",
    "ignored_value": "Ignored value",
    "absent_class_rule": "Absent classes",
    "tta": "Test-time augmentation",
    "multiply_adds": "Multiply-adds",
    "latency_ms": "Latency",
    "peak_memory_bytes": "Peak memory",
}


def write_page(
    path: Path,
    package: str,
    values: Mapping[str, Any],
    figures: Sequence[tuple[str, Path]] = (),
    pictures: Sequence[tuple[str, Path]] = (),
    sorts: bool = False,
) -> None:
    """Fill page.html of a package, which extends base.html -> one HTML file under 5 MB that needs nothing but itself.

    `values`: what the template asks for, `title` and `facts` among it.  `figures` and `pictures` (caption, file) go in
    as data URIs, reduced where the page would be too large, and in the end the last ones left out, which the value
    `note` says.  All text is escaped.  A content security policy lets no script run but the page's own, which there is
    with `sorts`: headings of the table `classes` sort it.  Raises MissingExtraError without jinja2, OutputError where a
    picture cannot be read or the page not written.
    """
    script = _source("sort.js") if sorts else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    known = {"version": "", **values, "script": script, "script_hash": f"sha256-{digest}"}
    template = _template(package)
    empty = template.render(**known, figures=[], pictures=[], note="")
    room = PAGE_LIMIT_BYTES - len(empty.encode()) - 2000
    drawn, shown, note = fit(figures, pictures, room)
    write_text(Path(path), template.render(**known, figures=drawn, pictures=shown, note=note))


def _template(package: str) -> Any:
    with needs("writing the report page", "report"):
        import jinja2  # noqa: F401
    return _compiled(package)


@functools.cache
def _compiled(package: str) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _source("page.html", package) if name == package else _source(name)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=_plain,
    )
    return environment.get_template(package)


def _source(name: str, package: str = __name__) -> str:
    return resources.files(package).joinpath(name).read_text("utf-8")


def _plain(value: Any) -> Any:
    """What a template prints: autoescaping sees to markup, and this to characters that do not print."""
    return plain(value, lines=True) if type(value) is str else value


def save_pictures(folder: Path, pictures: Iterable[tuple[str, str, Image.Image]]) -> list[Path]:
    """Write pictures (kind, name, picture) as KIND-01-NAME.png, in place of those of an earlier time -> their files."""
    for kind in _KINDS:
        for old in folder.glob(f"{kind}-[0-9]*-*.png"):
            old.unlink()
    paths = []
    for place, (kind, name, picture) in enumerate(pictures, 1):
        word = re.sub(r"[^\w.-]+", "_", name)[:80]
        paths.append(folder / f"{kind}-{place:02d}-{word}.png")
        with writing(paths[-1]) as part:
            picture.save(part, format="PNG")
    return paths


@contextlib.contextmanager
def left_out(path: Path) -> Iterator[None]:
    """What needs an extra that is not installed is left out, and said: the file `path`, and what goes with it."""
    try:
        yield
    except MissingExtraError as error:
        console.note(f"{path} is left out: {error}")


def fit(
    figures: Sequence[tuple[str, Path]], pictures: Sequence[tuple[str, Path]], room: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """Figures and pictures as data URIs that take at most `room` bytes together, and what had to be done for that."""
    for width, quality in REDUCTIONS:
        drawn = [embedded(caption, path, width, quality, figure=True) for caption, path in figures]
        shown = [embedded(caption, path, width, quality) for caption, path in pictures]
        if sum(item["bytes"] for item in drawn + shown) <= room:
            reduced = f"Pictures are reduced to at most {width} pixels in width to keep this page under 5 MB."
            return drawn, shown, "" if width == REDUCTIONS[0][0] else reduced
    kept: list[dict[str, Any]] = []
    room -= sum(item["bytes"] for item in drawn)
    for item in shown:
        room -= item["bytes"]
        if room < 0:
            break
        kept.append(item)
    left = f"the last {len(shown) - len(kept)} of {len(shown)} left out"
    return drawn, kept, f"Pictures are reduced to at most {width} pixels in width and {left} to stay under 5 MB."


def embedded(caption: str, path: Path, width: int, quality: int, figure: bool = False) -> dict[str, Any]:
    """One picture for the template, as PNG or JPEG (WebP where it has alpha), the smaller.

    A figure stays PNG up to _SHARP_BYTES.
    """
    try:
        with Image.open(path) as file:
            picture = file.convert("RGBA" if file.mode == "RGBA" else "RGB")
    except OSError as error:
        raise OutputError(f"the report page cannot show {path}: {error}; write that picture again") from error
    shown = min(round(picture.width / (_FIGURE_DENSITY if figure else 1)), _SHOWN_WIDTH)
    tall = max(1, round(picture.height * shown / picture.width))
    if picture.width > width:
        size = (width, max(1, round(picture.height * width / picture.width)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    kind, data = "png", _encode(picture, "png", quality)
    if not figure or len(data) > _SHARP_BYTES:
        lossy = "webp" if picture.mode == "RGBA" else "jpeg"
        kind, data = min((kind, data), (lossy, _encode(picture, lossy, quality)), key=lambda choice: len(choice[1]))
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    markup = 1000 + 12 * len(plain(caption).encode())  # escaped, and twice in the page
    return {"caption": caption, "uri": uri, "bytes": len(uri) + markup, "shown": shown, "tall": tall}


def _encode(picture: Image.Image, kind: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = (
        {} if kind == "png" else {"quality": quality, "optimize": True}
    )  # WebP does not look at optimize
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def in_words(facts: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """(name in words, value in words, exact value) of every fact there is."""
    rows = []
    for key, value in (facts or {}).items():
        if value is not None and value != "":
            text = _value_in_words(key, value)
            exact = f"{value:,}" if isinstance(value, int) and key in ("parameters", "multiply_adds") else ""
            rows.append((_WORDS.get(key, str(key).replace("_", " ").capitalize()), text, exact))
    return rows


def _value_in_words(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value_in_words(str(name), item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        if key == "command":
            return " ".join(str(item) for item in value)
        return ", ".join(str(item) for item in value)
    if isinstance(value, int | float):
        return _number_value_in_words(key, value)
    return str(value)


def _number_value_in_words(key: str, value: float) -> str:
    if key.endswith("_bytes"):
        return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"
    if key.endswith("_ms"):
        return f"{value:.1f} ms"
    if key.endswith("_seconds"):
        return f"{value:.1f} s"
    if key in ("parameters", "multiply_adds"):
        for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= size:
                return f"{value / size:.3g} {unit}"
    return str(value)
