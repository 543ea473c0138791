"""Data sets as people have them, drawn small: pictures of ground, boxes and discs, with labels of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from small_data import draw

CAMVID = np.array([[128, 64, 128], [128, 0, 0], [64, 0, 128], [0, 0, 0]], np.uint8)  # road, building, car, void
PLAIN = np.array([[10, 200, 30], [200, 40, 40], [40, 60, 220]], np.uint8)
COUNT = 8


def put(image: Path, label: Path, seed: int, coded: Callable[[np.ndarray], np.ndarray] = lambda label: label) -> None:
    """A picture and its label, which is `coded`."""
    picture, classes = draw(seed, (48, 64))
    for path, pixels in ((image, picture), (label, coded(classes))):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy":
            np.save(path, pixels)
        elif path.suffix.lower() in (".jpg", ".jpeg"):
            Image.fromarray(pixels).save(path, quality=90)
        else:
            Image.fromarray(pixels).save(path)


def colored(classes: np.ndarray) -> np.ndarray:
    return PLAIN[classes]


def plain(root: Path) -> None:
    for k in range(COUNT):
        put(root / f"images/{k:03d}.jpg", root / f"masks/{k:03d}.png", k)


def beside(root: Path) -> None:
    for k in range(COUNT):
        put(root / f"{k}.jpg", root / f"{k}.png", k, colored)


def deepglobe(root: Path) -> None:
    for k in range(COUNT):
        put(root / f"train/{100 + 7 * k}_sat.jpg", root / f"train/{100 + 7 * k}_mask.png", k, colored)


def potsdam(root: Path) -> None:
    for k in range(COUNT):
        name = f"top_potsdam_{2 + k // 4}_{10 + k % 4}"
        put(root / f"2_Ortho_RGB/{name}_RGB.tif", root / f"5_Labels_all/{name}_label.tif", k, colored)


def loveda(root: Path) -> None:
    seed = 0
    for split, count in (("Train", 4), ("Val", 2)):
        for scene in ("Urban", "Rural"):
            for k in range(count):
                place = root / split / scene
                put(
                    place / f"images_png/{k}.png",
                    place / f"masks_png/{k}.png",
                    seed := seed + 1,
                    lambda label: label + 1,
                )


def openearthmap(root: Path) -> None:
    for k in range(COUNT):
        region = ("aachen", "kyoto", "lima", "oslo")[k // 2]
        put(root / region / f"images/{region}_{k}.tif", root / region / f"labels/{region}_{k}.tif", k)
    (root / "train.txt").write_text(
        "".join(f"{name}_{k}.tif\n" for k, name in enumerate(["aachen"] * 2 + ["kyoto"] * 2))
    )
    (root / "val.txt").write_text("lima_4.tif\nlima_5.tif\n")


def camvid_lists(root: Path) -> None:
    for k in range(COUNT):
        split = "train" if k < 6 else "val"
        put(root / f"{split}/{k:03d}.png", root / f"{split}annot/{k:03d}.png", k)
        with (root / f"{split}.txt").open("a") as file:
            file.write(f"/SegNet/CamVid/{split}/{k:03d}.png /SegNet/CamVid/{split}annot/{k:03d}.png\n")


def paddleseg(root: Path) -> None:
    for k in range(COUNT):
        put(root / f"images/x{k}.jpg", root / f"annotations/x{k}.png", k)
        with (root / ("train.txt" if k < 6 else "val.txt")).open("a") as file:
            file.write(f"images/x{k}.jpg annotations/x{k}.png\n")


def dsb2018(root: Path) -> None:
    for k in range(COUNT):
        name = f"{k:02x}a{k}"
        place = root / "stage1_train" / name
        put(place / f"images/{name}.png", place / f"masks/{k}f1.png", k, lambda label: np.uint8(255) * (label == 1))
        put(place / f"images/{name}.png", place / f"masks/{k}f2.png", k, lambda label: np.uint8(255) * (label == 2))


def two_words(root: Path) -> None:
    for k in range(COUNT):
        put(root / f"all/{12 + k}_photo.png", root / f"all/{12 + k}_truth.png", k)


def prefixes(root: Path) -> None:
    for k in range(COUNT):
        put(root / f"images/image_{k:04d}.png", root / f"masks/gt_{k:04d}.png", k)


def spread(root: Path) -> None:
    def coded(label: np.ndarray) -> np.ndarray:
        spread = label * np.uint8(85)
        spread[:4] = 255
        return spread

    for k in range(COUNT):
        put(root / f"img/{k}.jpg", root / f"gt/{k}.png", k, coded)


def jpeg_masks(root: Path) -> None:
    for k in range(COUNT):
        put(root / f"images/{k}.jpg", root / f"masks/{k}.jpg", k, lambda label: np.uint8(255) * (label > 0))


def arrays(root: Path) -> None:
    for k in range(COUNT):
        put(root / f"images/{k}.jpg", root / f"labels/{k}.npy", k, lambda label: label.astype(np.float32))


def roboflow(root: Path) -> None:
    for k in range(COUNT):
        split = ("train", "train", "train", "valid")[k % 4]
        put(root / split / f"a{k}.jpg", root / split / f"a{k}_mask.png", k)


def nested(root: Path) -> None:
    for k in range(COUNT):
        split, place = "train" if k < 6 else "val", "north" if k % 2 else "south"
        put(root / f"images/{split}/{place}/{k}.png", root / f"labels/{split}/{place}/{k}.png", k)


LAYOUTS: dict[str, tuple[Callable[[Path], None], dict[str, int], int]] = {
    # what draws it, pictures of each split that must be found, classes
    "plain": (plain, {"train": 6, "val": 2}, 3),
    "beside": (beside, {"train": 6, "val": 2}, 3),
    "deepglobe": (deepglobe, {"train": 6, "val": 2}, 3),
    "potsdam": (potsdam, {"train": 6, "val": 2}, 3),
    "loveda": (loveda, {"train": 8, "val": 4}, 3),
    "openearthmap": (openearthmap, {"train": 4, "val": 2}, 3),
    "camvid-lists": (camvid_lists, {"train": 6, "val": 2}, 3),
    "paddleseg": (paddleseg, {"train": 6, "val": 2}, 3),
    "dsb2018": (dsb2018, {"train": 6, "val": 2}, 2),
    "two-words": (two_words, {"train": 6, "val": 2}, 3),
    "prefixes": (prefixes, {"train": 6, "val": 2}, 3),
    "spread": (spread, {"train": 6, "val": 2}, 4),
    "jpeg-masks": (jpeg_masks, {"train": 6, "val": 2}, 2),
    "arrays": (arrays, {"train": 6, "val": 2}, 3),
    "roboflow": (roboflow, {"train": 6, "val": 2}, 3),
    "nested": (nested, {"train": 6, "val": 2}, 3),
}


def newcomer(root: Path) -> None:
    """61 photos with blanks in their names, 60 masks in CamVid's colours, two of them spoilt, and one photo cut off."""
    random = np.random.default_rng(0)
    for k in range(61):
        picture, classes = draw(1000 + k, (48, 64))
        classes[:2, :5] = 3
        name = f"IMG 20{k:02d} (copy)"
        for folder in ("Pictures", "Masks"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(root / "Pictures" / f"{name}.JPG", format="JPEG", quality=90)
        if k == 60:
            continue
        mask = CAMVID[classes]
        if k == 7:
            mask = mask[:30]
        if k == 11:
            mask = (mask + random.integers(0, 9, mask.shape)).astype(np.uint8)
        Image.fromarray(mask).save(root / "Masks" / f"{name}.PNG", format="PNG")
    cut = root / "Pictures" / "IMG 2030 (copy).JPG"
    cut.write_bytes(cut.read_bytes()[:500])
