"""The results of a video: its frames with the classes over them as a video, and label maps of its frames."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import console
from tarsia.card import Card
from tarsia.drawing import paint
from tarsia.errors import ImageError, OutputError
from tarsia.files import writing_folder
from tarsia.output import summary
from tarsia.output.label_files import LabelFiles
from tarsia.output.sources import Source, is_camera
from tarsia.output.what_to_write import WhatToWrite
from tarsia.pictures.files import shown
from tarsia.pictures.videos import Video, open_video, writing_video

_FRAME = re.compile(r"frame-\d{6,}\.png")

Label = Callable[[np.ndarray], list[tuple[np.ndarray, np.ndarray | None]]]  # B x H x W x 3 -> label and confidence each


def write(
    label: Label, card: Card, source: Source, out: Path, what: WhatToWrite, batch: int, most: int | None
) -> dict[str, Any]:
    """Segment the frames of a video, `most` of them at most, and write its results; its row of the summaries.

    The row counts pixels of all frames.  Label maps are frame-000001.png ... in a folder, and only where `label` is
    asked for.  A camera ends with an interrupt, which is no error.  Raises ImageError for a video that cannot be read.
    """
    camera = is_camera(source.path)
    if not card.spec.plain:
        raise ImageError(
            f"{shown(source.path)}: a video's frames are red, green and blue, and this model takes pictures of "
            f"{card.spec}"
        )
    with open_video(source.path, camera) as video, contextlib.ExitStack() as stack:
        frames = iter(itertools.islice(video, most))
        first = next(frames, None)
        if first is None:
            raise ImageError(f"{video.where}: no frame in it can be read")
        folder = writer = None
        if "label" in what.kinds("video"):
            place = source.output(out, "label")
            _check_frames(place)
            folder = stack.enter_context(writing_folder(place))
        if "overlay" in what.kinds("video"):
            writer = stack.enter_context(writing_video(source.output(out, "overlay"), first.shape[:2], video.rate))
        counts, labels = np.zeros(256, np.int64), LabelFiles(card.classes, what.coding)
        work = stack.enter_context(console.Work(video.where, most or video.frames, "frames"))
        stopping = contextlib.suppress(KeyboardInterrupt) if camera else contextlib.nullcontext()
        with stopping:
            for group in _groups(itertools.chain([first], frames), batch, video):
                for image_HW3, found in zip(group, label(np.stack(group)), strict=True):
                    label_HW = what.selected(*found)
                    counts += summary.counted(label_HW)
                    work.step()
                    if writer:
                        writer.write(np.asarray(paint.overlay(image_HW3, label_HW, card.classes, legend=False)))
                    if folder:
                        labels.save(folder / f"frame-{work.count:06d}.png", label_HW)
        work.end()
    return {"row": summary.row_of(first.shape[:2], counts.tolist(), card, frames=work.count)}


def _groups(frames: Iterator[np.ndarray], count: int, video: Video) -> Iterator[list[np.ndarray]]:
    """`count` frames at a time; ImageError where a frame has another size than the first."""
    size = None
    while group := list(itertools.islice(frames, count)):
        size = size or group[0].shape
        strange = next((frame.shape for frame in group if frame.shape != size), None)
        if strange:
            raise ImageError(f"{video.where}: frames change from {size[:2]} to {strange[:2]} (height, width) within it")
        yield group


def _check_frames(path: Path) -> None:
    """OutputError where `path`, which will be replaced, is a folder with anything but frames in it."""
    if path.is_dir() and not path.is_symlink():
        strange = [one for one in path.iterdir() if not _FRAME.fullmatch(one.name) or not one.is_file()]
        if strange:
            raise OutputError(f"{shown(strange[0])} is in the way of a video's frames: choose another `out`")
