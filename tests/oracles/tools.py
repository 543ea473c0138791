"""What annotation programs' own code reads of files that Tarsia wrote, and writes of the same label maps.

Run by the Python of an environment of its own (requirements.txt beside it), which knows nothing of Tarsia:

    python tools.py FOLDER

FOLDER/truth.json has the classes' names, `pictures` (names) and `folder`, where NAME.png and NAME.npy, the label map
(class indices, int64, HW), are; FOLDER/coco, cvat, label-studio and labelme are what Tarsia wrote of them.  Written are
FOLDER/read.json, the classes of each pixel as each program reads them, and FOLDER/written/PROGRAM-FORM.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np

# The windows of labelme, and the networks it can call: neither reads or writes a file.
sys.modules |= {name: MagicMock() for name in ("PyQt5", "PyQt5.QtCore", "PyQt5.QtGui", "PyQt5.QtWidgets")}
sys.modules |= {name: MagicMock() for name in ("onnxruntime", "osam")}
FOLDER = Path(sys.argv[1])
TRUTH = json.loads((FOLDER / "truth.json").read_text())
CLASSES: list[str] = TRUTH["classes"]
LABELS = {name: np.load(FOLDER / "truth" / f"{name}.npy") for name in TRUTH["pictures"]}
OBJECTS = range(1, len(CLASSES))  # the first is the background
Read = dict[str, np.ndarray]
Masks = Iterator[tuple[str, str, np.ndarray]]  # picture, class, where


def read(masks: Masks) -> Read:
    """The label maps of masks in their order; -1 where there is none."""
    found = {name: np.full(label.shape, -1) for name, label in LABELS.items()}
    for picture, kind, mask in masks:
        assert mask.shape == found[picture].shape, (picture, mask.shape)
        found[picture][mask.astype(bool)] = CLASSES.index(kind)
    return found


def pycocotools_coco() -> Masks:
    from pycocotools.coco import COCO

    coco = COCO(FOLDER / "coco" / "coco.json")
    for one in coco.loadAnns(coco.getAnnIds()):
        name = Path(coco.loadImgs(one["image_id"])[0]["file_name"]).stem
        yield name, coco.loadCats(one["category_id"])[0]["name"], coco.annToMask(one)


def supervision_coco() -> Masks:
    import supervision

    file = FOLDER / "coco" / "coco.json"
    pictures = FOLDER / "coco" / "images"
    found = supervision.DetectionDataset.from_coco(str(pictures), str(file), force_masks=True)
    for path, _, one in found:
        for mask, kind in zip(one.mask, one.class_id, strict=True):
            yield Path(path).stem, found.classes[kind], mask


def datumaro_form(form: str, path: Path) -> Masks:
    import datumaro

    found = datumaro.Dataset.import_from(str(path), form).transform("polygons_to_masks")
    names = [label.name for label in found.categories()[datumaro.AnnotationType.label]]
    for item in found:
        masks = [one for one in item.annotations if one.type == datumaro.AnnotationType.mask]  # beside boxes
        for one in sorted(masks, key=lambda one: one.z_order):
            yield Path(item.id).stem, names[one.label], np.asarray(one.image)


def datumaro_coco() -> Masks:
    folder = FOLDER / "as-coco-lies"
    (folder / "annotations").mkdir(parents=True)
    shutil.copy(FOLDER / "coco" / "coco.json", folder / "annotations" / "instances_train.json")
    shutil.copytree(FOLDER / "coco" / "images", folder / "images" / "train")
    yield from datumaro_form("coco_instances", folder)


def label_studio() -> Masks:
    from label_studio_converter.brush import decode_rle

    for task in json.loads((FOLDER / "label-studio" / "label-studio.json").read_text()):
        picture = Path(task["data"]["image"]).stem
        for one in task["annotations"][0]["result"]:
            height, width = one["original_height"], one["original_width"]
            mask = decode_rle(one["value"]["rle"]).reshape(height, width, 4)[..., 3]
            yield picture, one["value"]["brushlabels"][0], mask > 0


def labelme() -> Masks:
    from labelme import LabelFile
    from labelme.utils import shapes_to_label

    numbers = {kind: number + 1 for number, kind in enumerate(CLASSES)}
    for name, label in LABELS.items():
        (path,) = (FOLDER / "labelme").glob(f"**/{name}.json")
        map_, _ = shapes_to_label(label.shape, LabelFile(str(path)).shapes, numbers)
        for kind, number in numbers.items():
            yield name, kind, map_ == number


READ: dict[str, Callable[[], Masks]] = {
    "pycocotools, coco": pycocotools_coco,
    "supervision, coco": supervision_coco,
    "datumaro, coco": datumaro_coco,
    "datumaro, cvat": lambda: datumaro_form("cvat", FOLDER / "cvat"),
    "label-studio-converter, label-studio": label_studio,
    "labelme, labelme": labelme,
}


def write_datumaro(form: str, folder: Path, **options: Any) -> None:
    import datumaro
    from datumaro.components.annotation import Mask
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image

    items = []
    kinds = range(len(CLASSES)) if form == "coco_panoptic" else OBJECTS  # there, what has no segment is ignored
    for number, (name, label) in enumerate(LABELS.items(), 1):
        masks = [Mask(label == kind, label=kind, id=kind + 1, group=kind + 1) for kind in kinds if kind in label]
        told: dict[str, Any] = {"annotations": masks, "attributes": {"id": number}}
        media = Image.from_file(str(FOLDER / "truth" / f"{name}.png"))
        items.append(DatasetItem(name, subset="train", media=media, **told))
    found = datumaro.Dataset.from_iterable(items, categories=CLASSES)
    found.export(str(folder), form, save_media=True, **options)


def write_supervision(form: str, folder: Path) -> None:
    import supervision

    detections = {}
    for name, label in LABELS.items():
        kinds = [kind for kind in OBJECTS if kind in label]
        masks = np.stack([label == kind for kind in kinds])
        boxes = supervision.mask_to_xyxy(masks)
        path = str(FOLDER / "truth" / f"{name}.png")
        detections[path] = supervision.Detections(boxes.astype(float), mask=masks, class_id=np.array(kinds))
    found = supervision.DetectionDataset(CLASSES, list(detections), detections)
    if form == "coco":
        found.as_coco(str(folder / "images"), str(folder / "coco.json"))
    else:
        found.as_yolo(str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"))


def write_label_studio(folder: Path) -> None:
    from label_studio_converter.brush import mask2rle

    tasks = []
    for number, (name, label) in enumerate(LABELS.items(), 1):
        result = []
        size = {"original_width": label.shape[1], "original_height": label.shape[0], "image_rotation": 0}
        told = {"type": "brushlabels", "from_name": "tag", "to_name": "image"} | size
        for kind in [kind for kind in OBJECTS if kind in label]:
            runs = mask2rle((label == kind).astype(np.uint8) * 255)
            value = {"format": "rle", "rle": runs, "brushlabels": [CLASSES[kind]]}
            result.append(told | {"id": f"{name}{kind}", "value": value})
        annotations = [{"id": 1, "result": result}]
        tasks.append({"id": number, "data": {"image": f"{name}.png"}, "annotations": annotations})
        shutil.copy(FOLDER / "truth" / f"{name}.png", folder)
    (folder / "label-studio.json").write_text(json.dumps(tasks))


def write_labelme(folder: Path) -> None:
    from labelme import LabelFile

    for name, label in LABELS.items():
        shapes = []
        for kind in [kind for kind in OBJECTS if kind in label]:
            rows, columns = np.nonzero(label == kind)
            top, left, bottom, right = rows.min(), columns.min(), rows.max(), columns.max()
            corners = [[float(left), float(top)], [float(right), float(bottom)]]
            shapes.append(_shape(CLASSES[kind], corners, (label == kind)[top : bottom + 1, left : right + 1]))
        shutil.copy(FOLDER / "truth" / f"{name}.png", folder)
        height, width = label.shape
        size = {"image_height": height, "image_width": width}
        LabelFile().save(str(folder / f"{name}.json"), shapes=shapes, image_path=f"{name}.png", **size)


def _shape(kind: str, points: list[list[float]], mask: np.ndarray) -> dict[str, Any]:
    import base64
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    coded = base64.b64encode(buffer.getvalue()).decode()
    return {"label": kind, "points": points, "group_id": None, "shape_type": "mask", "flags": {}, "mask": coded}


WRITTEN: dict[str, Callable[[Path], None]] = {
    "datumaro-datumaro": lambda folder: write_datumaro("datumaro", folder),
    "datumaro-coco_instances": lambda folder: write_datumaro("coco_instances", folder),
    "datumaro-coco_panoptic": lambda folder: write_datumaro("coco_panoptic", folder),
    "datumaro-voc_segmentation": lambda folder: write_datumaro("voc_segmentation", folder),
    "datumaro-cvat": lambda folder: write_datumaro("cvat", folder),
    "datumaro-label_me": lambda folder: write_datumaro("label_me", folder),
    "supervision-coco": lambda folder: write_supervision("coco", folder),
    "supervision-yolo": lambda folder: write_supervision("yolo", folder),
    "label-studio-converter-label-studio": write_label_studio,
    "labelme-labelme": write_labelme,
}


def main() -> None:
    told: dict[str, Any] = {}
    for name, masks in READ.items():
        try:
            told[name] = {picture: label.tolist() for picture, label in read(masks()).items()}
        except Exception as error:
            told[name] = f"{type(error).__name__}: {error}"
    for name, write in WRITTEN.items():
        folder = FOLDER / "written" / name
        folder.mkdir(parents=True)
        try:
            write(folder)
        except Exception as error:
            told[name] = f"{type(error).__name__}: {error}"
    (FOLDER / "read.json").write_text(json.dumps(told))
    programs = ("pycocotools", "datumaro", "supervision", "label-studio-converter", "labelme")
    print(", ".join(f"{name} {version(name)}" for name in programs))


main()
