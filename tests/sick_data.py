"""A healthy data set, and every kind of damage that can be done to it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from PIL import Image

SIZE = (96, 128)
CLASSES = ("ground", "sky", "box", "disc", "bar", "far")
COLORS = np.array([[90, 120, 90], [150, 190, 240], [200, 60, 40], [40, 80, 210], [230, 220, 60], [120, 60, 140]])
TRAIN, VAL = 36, 14
_TURN_RIGHT = 6  # EXIF: the picture is shown turned by 90 degrees


def scene(seed: int, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Sky over ground with a box, a disc, a bar and a hill before them, somewhere."""
    random = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width]
    label = np.where(y < random.integers(height // 4, height // 2), 1, 0).astype(np.uint8)
    label[
        (y > height // 3 + random.integers(0, 9)) & (abs(x - random.integers(20, width - 20)) < 14) & (label == 0)
    ] = 5
    top, left = random.integers(8, height // 2), random.integers(4, width // 2)
    label[top : top + height // 3, left : left + width // 4] = 2
    middle = random.integers(height // 4, height * 3 // 4), random.integers(width // 4, width * 3 // 4)
    label[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < (height // 6) ** 2] = 3
    left = random.integers(4, width - 12)
    label[random.integers(0, 20) :, left : left + 6] = 4
    shades = COLORS[label] + random.normal(0, 30, (len(CLASSES), 3))[label]
    light = random.uniform(0.6, 1.1) + random.uniform(-0.2, 0.2) * x[..., None] / width
    return (shades * light + random.normal(0, 6, (*size, 3))).clip(0, 255).astype(np.uint8), label


def write_healthy(root: Path, train: int = TRAIN, val: int = VAL, **more: object) -> Path:
    """`train` and `val` scenes as a data set `folder`; `more` goes to dataset.yaml -> `root`."""
    for split, count, offset in (("train", train, 0), ("val", val, 5000)):
        for index in range(count):
            put(root, split, f"{split[0]}{index:02d}", *scene(offset + index))
    splits = {split: {"images": f"{split}/images", "labels": f"{split}/labels"} for split in ("train", "val")}
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": list(CLASSES), "splits": splits} | more))
    return root


def put(root: Path, split: str, name: str, image: np.ndarray, label: np.ndarray) -> None:
    for folder, pixels in (("images", image), ("labels", label)):
        (root / split / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / split / folder / f"{name}.png")


class Sick(NamedTuple):
    """A kind of damage: done to a healthy data set it makes this finding, which names this sample (or none)."""

    damage: str
    do: Callable[[Path], None]
    kind: str
    severity: str
    name: str = ""
    says: str = ""  # in the place's detail or in the title


def image(root: Path, name: str, split: str = "train") -> Path:
    return root / split / "images" / f"{name}.png"


def label(root: Path, name: str, split: str = "train") -> Path:
    return root / split / "labels" / f"{name}.png"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def _save(path: Path, array: np.ndarray) -> None:
    Image.fromarray(np.ascontiguousarray(array)).save(path)


def _truncate(root: Path) -> None:
    path = image(root, "t00")
    path.write_bytes(path.read_bytes()[:2000])


def _empty_file(root: Path) -> None:
    image(root, "t01").write_bytes(b"")


def _text_for_label(root: Path) -> None:
    label(root, "t02").write_text("version https://git-lfs.github.com/spec/v1\n")


def _jpeg_label(root: Path) -> None:
    path = label(root, "t03")
    Image.fromarray(pixels(path)).save(path.with_suffix(".jpg"))
    path.unlink()


def _jpeg_kept_as_png(root: Path) -> None:
    path, buffer = label(root, "t04"), io.BytesIO()
    Image.fromarray(pixels(path)).save(buffer, format="JPEG", quality=60)
    with Image.open(buffer) as lossy:
        _save(path, np.asarray(lossy).clip(0, 5))


def _smooth_resize(root: Path) -> None:
    path = label(root, "t05")
    small = Image.fromarray(pixels(path)).resize((64, 48), Image.Resampling.NEAREST)
    small.resize((128, 96), Image.Resampling.BILINEAR).save(path)


def _other_size(root: Path) -> None:
    path = label(root, "t06")
    Image.fromarray(pixels(path)).resize((64, 48), Image.Resampling.NEAREST).save(path)


def _strange_value(root: Path) -> None:
    values = pixels(label(root, "t07"))
    values[10:20, 10:20] = 77
    _save(label(root, "t07"), values)


def _no_label(root: Path) -> None:
    label(root, "t08").unlink()


def _no_picture(root: Path) -> None:
    image(root, "v01", "val").unlink()


def _two_of_a_name(root: Path) -> None:
    path = image(root, "t09")
    Image.fromarray(pixels(path)).save(path.with_suffix(".jpg"))


def _all_ignored(root: Path) -> None:
    _save(label(root, "t10"), np.full(SIZE, 255, np.uint8))


def _nothing_drawn(root: Path) -> None:
    _save(label(root, "t11"), np.zeros(SIZE, np.uint8))


def _one_color(root: Path) -> None:
    _save(image(root, "t12"), np.full((*SIZE, 3), 7, np.uint8))


def _grey(root: Path) -> None:
    with Image.open(image(root, "t13")) as picture:
        picture.convert("L").save(image(root, "t13"))


def _dark_16_bit(root: Path) -> None:
    with Image.open(image(root, "t14")) as picture:
        grey = np.asarray(picture.convert("L")).astype(np.uint16)
    _save(image(root, "t14"), grey * 8)


def _turned(root: Path) -> None:
    shown, drawn = scene(77, (128, 96))
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(shown)))
    exif = Image.Exif()
    exif[0x0112] = _TURN_RIGHT
    lying.save(image(root, "t15"), exif=exif)
    _save(label(root, "t15"), np.rot90(drawn))


def _upside_down(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(pixels(image(root, "t16"))).save(image(root, "t16"), exif=exif)


def _moved(root: Path) -> None:
    values = pixels(label(root, "t17"))
    _save(label(root, "t17"), np.pad(values, ((0, 0), (12, 0)), mode="edge")[:, :-12])


def _mirrored(root: Path) -> None:
    _save(label(root, "t30"), pixels(label(root, "t30"))[:, ::-1])


def _exchanged(root: Path) -> None:
    one, other = pixels(label(root, "t19")), pixels(label(root, "t20"))
    _save(label(root, "t19"), other)
    _save(label(root, "t20"), one)


def _leak(root: Path) -> None:
    put(root, "val", "v90", pixels(image(root, "t21")), pixels(label(root, "t21")))


def _near_leak(root: Path) -> None:
    picture, buffer = Image.fromarray(pixels(image(root, "t22"))), io.BytesIO()
    picture.resize((160, 120)).save(buffer, format="JPEG", quality=40)
    with Image.open(buffer) as lossy:
        brighter = np.asarray(lossy) * 1.1
    drawn = Image.fromarray(pixels(label(root, "t22"))).resize((160, 120), Image.Resampling.NEAREST)
    put(root, "val", "v91", brighter.clip(0, 255).astype(np.uint8), np.asarray(drawn))


def _mirrored_leak(root: Path) -> None:
    put(root, "val", "v92", *(np.ascontiguousarray(pixels(of(root, "t23"))[:, ::-1]) for of in (image, label)))


def _repeated(root: Path) -> None:
    put(root, "train", "t90", pixels(image(root, "t24")), pixels(label(root, "t24")))


def _labelled_twice(root: Path) -> None:
    put(root, "train", "t91", pixels(image(root, "t25")), pixels(label(root, "t25")).clip(0, 4))


def _one_label_for_two(root: Path) -> None:
    _save(label(root, "t26"), pixels(label(root, "t27")))


def _same_but_for_case(root: Path) -> None:
    put(root, "train", "T28", *scene(901))


def _more_classes(root: Path) -> None:
    _edit(root, lambda tree: tree["classes"].append("ghost"))


def _only_in_val(root: Path) -> None:
    for path in (root / "train" / "labels").iterdir():
        values = pixels(path)
        _save(path, np.where(values == 5, 0, values))


def _only_in_train(root: Path) -> None:
    for path in (root / "val" / "labels").iterdir():
        values = pixels(path)
        _save(path, np.where(values == 3, 0, values))


def _rare(root: Path) -> None:
    for path in root.glob("*/labels/*.png"):
        values = pixels(path)
        values[values == 5] = 0
        values[40:42, 60:62] = 5
        _save(path, values)


def _tiny(root: Path) -> None:
    put(root, "train", "t92", *scene(902, (96, 128)))
    for of in (image, label):
        _save(of(root, "t92"), pixels(of(root, "t92"))[:24, :30])


def _edit(root: Path, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    tree = yaml.safe_load((root / "dataset.yaml").read_text())
    change(tree)
    (root / "dataset.yaml").write_text(yaml.safe_dump(tree))


# Done to one data set all together, but for the last ones, which concern every label.
SICK = (
    Sick("truncated picture", _truncate, "unreadable-image", "error", "t00", "cut off"),
    Sick("empty file", _empty_file, "unreadable-image", "error", "t01", "empty file"),
    Sick("text for a label", _text_for_label, "unreadable-label", "error", "t02", "git-lfs"),
    Sick("JPEG label", _jpeg_label, "unreadable-label", "error", "t03", "does not keep label values exactly"),
    Sick("JPEG label kept as PNG", _jpeg_kept_as_png, "smoothed-label", "warning", "t04", "of its borders"),
    Sick("smoothly resized label", _smooth_resize, "smoothed-label", "warning", "t05", "of its borders"),
    Sick("label of another size", _other_size, "size-differs", "error", "t06", "96x128, its label 48x64"),
    Sick("unknown value", _strange_value, "unknown-values", "error", "t07", "value 77 in 100 pixels"),
    Sick("missing label", _no_label, "missing-partner", "error", "t08.png", "has no label"),
    Sick("missing picture", _no_picture, "missing-partner", "error", "v01.png", "has no picture"),
    Sick("two files of a name", _two_of_a_name, "name-twice", "error", "t09.jpg", "two files of one name"),
    Sick("all ignored", _all_ignored, "unlabelled", "warning", "t10", "100.0 % ignored"),
    Sick("empty mask", _nothing_drawn, "nearly-empty", "warning", "t11", "100.0 % one class"),
    Sick("picture of one colour", _one_color, "constant-picture", "warning", "t12", "brightness 7 of 255"),
    Sick("grey picture", _grey, "mixed-color", "note", "t13", "without colours"),
    Sick("dark 16-bit picture", _dark_16_bit, "odd-picture", "warning", "t14", "nearly black"),
    Sick("turned by EXIF", _turned, "exif-turned", "error", "t15", "EXIF orientation 6"),
    Sick("upside down by EXIF", _upside_down, "exif-turned", "error", "t16", "EXIF orientation 3"),
    Sick("moved label", _moved, "misplaced-label", "warning", "t17", "pixels to the left"),
    Sick("mirrored label", _mirrored, "misplaced-label", "warning", "t30", "mirrored left to right"),
    Sick("exchanged labels", _exchanged, "misplaced-label", "warning", "t20", "is the label of t19"),
    Sick("same picture in both splits", _leak, "leak", "error", "v90", "the same picture as t21 of train"),
    Sick("nearly the same in both", _near_leak, "near-leak", "warning", "v91", "as t22 of train"),
    Sick("mirrored in the other split", _mirrored_leak, "near-leak", "warning", "v92", "mirrored, nearly the same"),
    Sick("repeated picture", _repeated, "duplicate", "warning", "t90", "the same picture as t24 of train"),
    Sick("labelled twice", _labelled_twice, "contradiction", "warning", "t91", "not the same label as t25"),
    Sick("one label for two", _one_label_for_two, "repeated-label", "warning", "t27", "the very same label as t26"),
    Sick("names that differ by case", _same_but_for_case, "name-collision", "warning", "t28", "by letter case only"),
    Sick("class never present", _more_classes, "class-absent", "warning", says="ghost is in no picture"),
    Sick("tiny picture", _tiny, "tiny-picture", "note", "t92", "24x30"),
    Sick("several sizes", _tiny, "mixed-sizes", "note", says="from 24x30"),
)
OF_CLASSES = (
    Sick("class only in val", _only_in_val, "class-untrained", "warning", "v00", "shows far"),
    Sick("class only in train", _only_in_train, "class-unscored", "warning", says="disc is in train, but not in val"),
    Sick("rare class", _rare, "imbalance", "note", says="far (0.033 %)"),
)


def make_sick(root: Path, but: str = "") -> Path:
    """All damage of `SICK` at once, aside from what makes the finding `but`, done to a healthy data set."""
    for damage in dict.fromkeys(one.do for one in SICK if one.kind != but):
        damage(root)
    return root
