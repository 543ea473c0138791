"""Videos and cameras: frames in, a video out.  Needs av (extra `video`), which brings FFmpeg's libraries with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.errors import ImageError, needs
from tarsia.files import refusal, writing
from tarsia.pictures.files import MAX_PIXELS, shown

_CODEC = "mpeg4"  # plays nearly everywhere and is in every build of FFmpeg; H.264's encoder is under the GPL
_BITS_PER_PIXEL = 0.4
_RATE = Fraction(25)  # where a video does not say
_FINEST = 65_535  # the codec's clock


class Video:
    """An open video: `size` (height, width) upright, `rate` in frames a second, `frames` where the file says."""

    def __init__(self, where: str, container: Any) -> None:
        self.where = where
        self._container = container
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.rate: Fraction = self._stream.average_rate or self._stream.guessed_rate or _RATE
        self.frames: int | None = self._stream.frames or None

    def __iter__(self) -> Iterator[np.ndarray]:
        """H x W x 3 uint8 RGB, upright, one after the other; ImageError where the file is damaged."""
        import av

        frames = self._container.decode(self._stream)
        while True:
            try:
                frame = next(frames, None)
                if frame is None:
                    return
                image_HW3 = frame.to_ndarray(format="rgb24")
            except av.error.FFmpegError as error:
                raise ImageError(f"{self.where}: damaged or cut off ({error.strerror}); get the file again") from error
            quarters = round(-frame.rotation / 90) % 4  # FFmpeg gives degrees against the clock
            yield np.ascontiguousarray(np.rot90(image_HW3, -quarters % 4)) if quarters else image_HW3


@contextlib.contextmanager
def open_video(path: Path, camera: bool = False) -> Iterator[Video]:
    """A video file, or camera number `path`, open for reading.

    Raises ImageError for what is missing, damaged, too large or no video, MissingExtraError without av.
    """
    av = _av(shown(path))
    where = f"camera {path}" if camera else shown(path)
    name = f"/dev/video{path}" if camera else os.path.abspath(path)
    if not camera and not os.path.isfile(path):
        raise ImageError(f"{where}: no such file")
    if camera and not os.path.exists(name):
        raise ImageError(f"{where}: there is no {name} on this machine")
    try:
        # Only what lies on this machine: a playlist may name addresses.
        container = av.open(name, format="v4l2" if camera else None, options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError) as error:
        raise ImageError(f"{where}: cannot be read as video ({error.strerror or error})") from error
    with container:
        if not container.streams.video:
            raise ImageError(f"{where}: holds no video")
        context = container.streams.video[0].codec_context
        if context.width * context.height > MAX_PIXELS:
            raise ImageError(f"{where}: frames of {context.height}x{context.width} are more than {MAX_PIXELS:,} pixels")
        yield Video(where, container)


@contextlib.contextmanager
def writing_video(path: Path, size: tuple[int, int], rate: Fraction) -> Iterator[VideoWriter]:
    """Write an .mp4 of frames of `size` (height, width), whole or not at all; odd sides lose a row or column."""
    av = _av(shown(path))
    with writing(path) as part:
        try:
            with av.open(os.path.abspath(part), "w", format="mp4") as container:
                writer = VideoWriter(container, size, rate)
                yield writer
                writer.finish()
        except av.error.FFmpegError as error:
            raise refusal(path, OSError(error.errno, error.strerror)) from error


class VideoWriter:
    """Takes frames of one size."""

    def __init__(self, container: Any, size: tuple[int, int], rate: Fraction) -> None:
        self._container = container
        self._height, self._width = (side // 2 * 2 for side in size)  # colours are stored for 2 x 2 pixels
        if not self._height or not self._width:
            raise ImageError(f"a video of {size[0]}x{size[1]} (height x width) cannot be written")
        self._stream = container.add_stream(_CODEC, rate=rate.limit_denominator(_FINEST))
        self._stream.height, self._stream.width, self._stream.pix_fmt = self._height, self._width, "yuv420p"
        self._stream.bit_rate = round(_BITS_PER_PIXEL * self._height * self._width * float(rate))
        self._number = 0

    def write(self, image_HW3: np.ndarray) -> None:
        """The next frame."""
        import av

        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image_HW3[: self._height, : self._width]), "rgb24")
        frame.pts = self._number
        self._number += 1
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """What the encoder still holds."""
        self._container.mux(self._stream.encode(None))


def _av(what: str) -> Any:
    with needs(f"{what}: reading videos", "video"):
        import av
    return av
