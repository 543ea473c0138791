"""Every kind of picture file that somebody may give to `tarsia predict`, sound and sick, and some sick at random."""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from small_engine import SmallEngine
from tarsia.card import Card, Classes, Input

HEIGHT, WIDTH = 13, 17
CLASSES = Classes(names=("dark", "bright"), colors=((40, 40, 40), (0, 200, 0)))
EXTRA_BYTES = 512 * 2**20  # what a file may cost at most

Expected = tuple[int, int] | str  # height and width, or what the error says


class BrightnessEngine(SmallEngine):
    """Class = brighter than 128 or not."""

    def __init__(self) -> None:
        self.card = Card(architecture="brightness", model={}, classes=CLASSES, input=Input(stride=4))

    def run(self, images_BHW3: np.ndarray) -> np.ndarray:
        brightness_BHW = images_BHW3.mean(3, dtype=np.float32)
        return np.stack([128 - brightness_BHW, brightness_BHW - 128], axis=1)


def ramp() -> Image.Image:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return Image.fromarray(np.stack([rows * 19, columns * 15, (rows + columns) * 8], axis=2).astype(np.uint8))


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, color: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG by hand: what Pillow does not write."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    body = header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def resized(content: bytes, mark: bytes, after: int, form: str, side: int = 13_000) -> bytes:
    """A file whose header says it is larger than it is."""
    at = content.index(mark) + after
    return content[:at] + struct.pack(form, side, side) + content[at + 4 :]


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def modes() -> dict[str, tuple[bytes, Expected]]:
    """Every mode and depth in every format that holds it."""
    size, found = (HEIGHT, WIDTH), {}
    for mode, formats in {
        "1": "PNG TIFF PPM BMP",
        "L": "PNG JPEG WEBP BMP GIF TIFF PPM AVIF",
        "P": "PNG TIFF BMP GIF",
        "RGB": "PNG JPEG WEBP BMP TIFF PPM AVIF GIF",
        "RGBA": "PNG WEBP TIFF AVIF",
        "LA": "PNG TIFF",
        "CMYK": "JPEG TIFF",
        "YCbCr": "JPEG TIFF",
        "RGBX": "TIFF",
    }.items():
        for format in formats.split():
            found[f"{mode} as {format}.{format.lower()}"] = (encoded(ramp().convert(mode), format), size)
    grey_HW = np.asarray(ramp().convert("L"))
    wide = Image.fromarray(grey_HW.astype(np.uint16) << 8)
    rows16 = b"".join(b"\0" + row.astype(">u2").tobytes() for row in np.asarray(ramp()).astype(np.uint16) << 8)
    found |= {
        "16-bit grey.png": (encoded(wide, "PNG"), size),
        "16-bit grey.tif": (encoded(wide, "TIFF"), size),
        "16-bit grey.ppm": (encoded(wide, "PPM"), size),
        "16-bit colour.png": (png(WIDTH, HEIGHT, 16, 2, rows16), size),
        "2-bit grey.png": (png(WIDTH, HEIGHT, 2, 0, (b"\0" + bytes(5)) * HEIGHT), size),
        "4-bit palette.png": (encoded(ramp().quantize(9), "PNG", bits=4), size),
        "palette, transparent.png": (encoded(ramp().quantize(9), "PNG", transparency=3), size),
        "colour, transparent.png": (encoded(ramp(), "PNG", transparency=(0, 0, 0)), size),
        "interlaced.png": (encoded(ramp(), "PNG", interlace=1), size),
        "progressive.jpg": (encoded(ramp(), "JPEG", progressive=True), size),
        "tiled, packed.tif": (encoded(ramp(), "TIFF", compression="tiff_lzw"), size),
        "float.tif": (
            encoded(Image.fromarray(grey_HW.astype(np.float32)), "TIFF"),
            "nothing says which value is white",
        ),
        "32-bit.tif": (encoded(Image.fromarray(grey_HW.astype(np.int32)), "TIFF"), "nothing says which value is white"),
        "lab.tif": (encoded(Image.new("LAB", (4, 4)), "TIFF"), "Lab colours"),
    }
    for orientation in range(1, 9):
        turned = (WIDTH, HEIGHT) if orientation > 4 else size
        found[f"turned {orientation}.jpg"] = (encoded(ramp(), "JPEG", exif=exif(orientation)), turned)
    found["turned 0.jpg"] = (encoded(ramp(), "JPEG", exif=exif(0)), size)
    found["turned 99.webp"] = (encoded(ramp(), "WEBP", exif=exif(99)), size)
    several = {"save_all": True, "append_images": [ramp().rotate(180)]}
    for format in ("GIF", "WEBP", "PNG", "TIFF", "MPO"):
        found[f"several.{format.lower().replace('mpo', 'jpeg')}"] = (encoded(ramp(), format, **several), size)
    return found


def sick() -> dict[str, tuple[bytes, Expected]]:
    """What is damaged, something else, or made to hurt."""
    found: dict[str, tuple[bytes, Expected]] = {
        "zero bytes.png": (b"", "an empty file"),
        "text.jpg": (b"hello there\n", "a text file, not a picture"),
        "zeros.png": (bytes(500), "unknown format"),
        "noise.jpg": (bytes(range(128, 256)) * 9, "unknown format"),
        "head only.png": (b"\x89PNG\r\n\x1a\n", "PNG"),
        "heic.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "HEIC"),  # damaged, or not without its extra
        "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
        "drawing.png": (b'<?xml version="1.0"?><svg width="4" height="4"></svg>', "SVG"),
        "zip.jpg": (b"PK\3\4" + bytes(40), "zip"),
        "lfs.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        "a jpeg.png": (encoded(ramp(), "JPEG"), (HEIGHT, WIDTH)),
        "a png.jpg": (encoded(ramp(), "PNG"), (HEIGHT, WIDTH)),
        "a gif.tif": (encoded(ramp(), "GIF"), (HEIGHT, WIDTH)),
        "no width.png": (png(0, 4, 8, 2, bytes(4)), "."),
        "no height.png": (png(4, 0, 8, 2, b""), "."),
        "bomb.png": (png(100_000, 100_000, 1, 0, bytes(99_999)), "pixels"),
        "largest.png": (png(2**31 - 1, 2**31 - 1, 8, 2, bytes(99)), "pixels"),
        "bomb.bmp": (
            b"BM"
            + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
            + bytes(9),
            "pixels",
        ),
        "claims.jpg": (resized(encoded(ramp(), "JPEG"), b"\xff\xc0", 5, ">HH"), "cannot hold 13000x13000 pixels"),
        "claims.gif": (resized(encoded(ramp(), "GIF"), b"GIF8", 6, "<HH"), "cannot hold 13000x13000 pixels"),
        "claims.png": (png(13_000, 13_000, 8, 2, bytes(99)), "cannot hold 13000x13000 pixels"),
        "bomb.gif": (b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b";", "."),
        "text bomb.png": (
            png(1, 1, 8, 2, b"\0\1\2\3", chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**8), 9))),
            "",
        ),
        "profile bomb.png": (
            png(1, 1, 8, 2, b"\0\1\2\3", chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(10**8), 9))),
            "",
        ),
        "one pixel.png": (encoded(Image.new("RGB", (1, 1)), "PNG"), (1, 1)),
        "a row.png": (encoded(Image.new("RGB", (20_000, 1)), "PNG"), (1, 20_000)),
        "a column.png": (encoded(Image.new("RGB", (1, 20_000)), "PNG"), (20_000, 1)),
    }
    whole = {
        format: encoded(Image.effect_noise((40, 40), 90).convert("RGB"), format)
        for format in ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "AVIF")
    }
    for format, content in whole.items():
        found[f"cut.{format.lower()}"] = (content[: len(content) * 6 // 10], ".")
    return found


def names() -> dict[str, tuple[bytes, Expected]]:
    """Names that trip programs; all of sound pictures."""
    content = encoded(ramp(), "PNG")
    spelled = [
        "two\nlines.png",
        "tab\tand \x1b[31mred.png",
        " spaces .png",
        "-dash.png",
        "--out.png",
        "Straße 東京.png",
    ]
    spelled += ["a.b.c.png", "$(touch x).png", "a;b|c&d.png", "quote'\".png", "%41 %s.png", "[1].png", "CON.png"]
    spelled += ["n" * 240 + ".png", "#list.png", "@at.png", "~.png"]
    too_long = {"x" * 251 + ".png": (content, "give it a shorter one")}
    sound: tuple[bytes, Expected] = (content, (HEIGHT, WIDTH))
    return dict.fromkeys(spelled, sound) | too_long


def build(folder: Path) -> dict[Path, Expected]:
    """Write the zoo; what is to become of each file.  An empty text: a picture or an error, whichever."""
    folder.mkdir()
    expected: dict[Path, Expected] = {}
    for name, (content, result) in (modes() | sick() | names()).items():
        (folder / name).write_bytes(content)
        expected[folder / name] = result
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "to and.png").symlink_to("fro.png")
    (folder / "fro.png").symlink_to("to and.png")
    (folder / "nowhere.png").symlink_to("gone/away.png")
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "pipe.png")
    expected |= {folder / name: "cannot be read" for name in ("loop.png", "to and.png", "fro.png")}
    expected |= {folder / "nowhere.png": "no such file", folder / "pipe.png": "neither file nor folder"}
    return expected


# ---- at random


def mutated(content: bytes, draw: np.random.Generator) -> bytes:
    """One to five bytes or short pieces changed, taken out or put in; or the end cut off; or a number made huge."""
    changed = bytearray(content)
    for _ in range(int(draw.integers(1, 6))):
        at = int(draw.integers(len(changed))) if draw.random() < 0.6 else int(draw.integers(min(64, len(changed))))
        match int(draw.integers(6)):
            case 0:
                changed[at] = int(draw.integers(256))
            case 1:
                changed[at] ^= 1 << int(draw.integers(8))
            case 2:
                del changed[at : at + int(draw.integers(1, 9))]
            case 3:
                changed[at:at] = draw.bytes(int(draw.integers(1, 9)))
            case 4:
                del changed[at:]
            case _:
                changed[at : at + 2] = b"\xff\xff" if draw.random() < 0.5 else b"\x40\x00"
        if not changed:
            break
    return bytes(changed)


def predict_mutated(count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Write `count` mutated files and predict them in one run, with `EXTRA_BYTES` of memory more than there is before.

    Figures of the run; raises where the command does not answer for every file.
    """
    from tarsia.predicting import predict
    from tarsia.prediction.predictor import Predictor

    draw = np.random.default_rng(seed)
    sound = [(name, content) for name, (content, result) in modes().items() if isinstance(result, tuple)]
    for number in range(count):
        name, content = sound[int(draw.integers(len(sound)))]
        (folder / f"{number}{Path(name).suffix}").write_bytes(mutated(content, draw))
    predictor = Predictor(BrightnessEngine())  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as first:  # what is imported and opened on first use is not a file's doing
        for name, content in sound:
            Path(first, name).write_bytes(content)
        predict(predictor, [first], Path(first, "out"))
    memory = [
        int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if "VmSize" in line
    ]
    resource.setrlimit(resource.RLIMIT_AS, (memory[0] + EXTRA_BYTES,) * 2)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    run = predict(predictor, [folder], folder / "out", save=("label", "overlay"))
    seconds = time.monotonic() - started
    assert len(run.done) + len(run.failed) == count, "not every file is answered for"
    Image.MAX_IMAGE_PIXELS = None  # a header may have been changed into that of a raster, whose label map is as large
    assert all(label and Image.open(label).size for _, label in run.done), "a label map cannot be read"
    strange = [message for path, message in run.failed if path.name not in message or "\n" in message]
    assert not strange, strange
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"done": len(run.done), "refused": len(run.failed), "extra_megabytes": extra, "seconds": seconds}


def apart(function: Callable[..., dict[str, Any]], *arguments: object, timeout: float = 300) -> dict[str, Any]:
    """What a function of this file gives in a process of its own; AssertionError with its last words where it dies."""
    code = (
        "import sys, json, pathlib; sys.path.insert(0, sys.argv[1]); import made_zoo\n"
        f"print(json.dumps(made_zoo.{function.__name__}(*eval(sys.argv[2], {{'PosixPath': pathlib.Path}}))))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(Path(__file__).parent), repr(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    return json.loads(done.stdout.splitlines()[-1])


def predict_zoo(folder: Path) -> dict[str, Any]:
    """The whole zoo through the command: what became of each file by its name, and the memory it took."""
    from tarsia.predicting import predict
    from tarsia.prediction.predictor import Predictor

    expected = build(folder / "zoo")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # By their names and not as a folder: some have suffixes no folder is searched for.
    run = predict(Predictor(BrightnessEngine()), list(expected), folder / "out")  # type: ignore[arg-type]
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    sizes = {path.name: Image.open(label).size[::-1] for path, label in run.done if label}
    return {"sizes": sizes, "failed": [(path.name, message) for path, message in run.failed], "extra_megabytes": extra}
