"""TIFF and BigTIFF by tifffile: what the header says, and the stored samples of any rows.

One decoder for every task, windows too: two decoders agree on lossless files only.  Never `imread` or `.series`: of an
OME-TIFF these open the files that its XML names.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile

from tarsia.errors import ImageError, TarsiaError, TooLargeError
from tarsia.pictures.by_rows import Lies
from tarsia.pictures.kinds import held
from tarsia.pictures.orientation import ORIENTATION
from tarsia.pictures.segment import check_segment

GREY_INVERTED, RGB, PALETTE, CMYK, YCBCR = 0, 2, 3, 5, 6  # PhotometricInterpretation, TIFF 6.0
_LAB, _RAW = (8, 9, 10), (32803, 34892)  # likewise; a mosaic of colours, and linear values (TIFF/EP, DNG)
ASSOCIATED, UNASSOCIATED = 1, 2  # ExtraSamples: alpha, multiplied into the colours or not
OLD_JPEG, JPEG = 6, 7  # Compression
NODATA = 42113  # GDAL's, as text
_PLACE_TAGS = (33550, 33922, 34264, 50844)  # pixel scale, tie points, transformation, rational polynomials
_GEO_KEYS, _GEO_DOUBLES = 34735, 34736
_RASTER_TYPE, _IS_POINT = 1025, 2  # keys of GeoTIFF 1.1, and their values
_GEOGRAPHIC, _PROJECTED, _OF_ITS_OWN = 2048, 3072, 32767
_CITATIONS = (_RASTER_TYPE, 1026, 2049, 3073, 4097)  # what says nothing of a coordinate system
_DNG_VERSION, _SUB_IFDS = 50706, 330
_PREVIEW, _MASK = 1, 4  # NewSubfileType's bits
_WORLD_FILES = (".tfw", ".tifw", ".tiffw", ".wld")
_MOST_PAGES, _MOST_SEGMENTS = 64, 10_000_000
_LARGEST_SEGMENT = 256 * 2**20  # bytes: a segment is decoded whole
_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_tiff(head: bytes) -> bool:
    """Whether a file begins as TIFFs and BigTIFFs do."""
    return head[:4] in _SIGNATURES


class Tiff:
    """The first picture of a TIFF that is open for reading, previews and masks left aside."""

    def __init__(self, file: BinaryIO, where: str, path: Path | None = None) -> None:
        self.where, self.path, self._file = where, path, file
        with _explained(where):
            self._tiff = tifffile.TiffFile(file)
            self.page, self._mask_page, self.several = self._chosen()
            page = self.page
            self.size: tuple[int, int] = (int(page.imagelength), int(page.imagewidth))
            self.samples = int(page.samplesperpixel)
            self.photometric, self.compression = int(page.photometric), int(page.compression)
            self.extra: tuple[int, ...] = tuple(int(kind) for kind in page.extrasamples)
            bits = np.ravel(page.bitspersample)
            self.bits = int(bits[0])
            self.kind: np.dtype[Any] | None = page.dtype
        if len(set(bits.tolist())) > 1:
            raise ImageError(f"{where}: its samples have {bits.tolist()} bits: save all with the same number")
        self._check()
        self._file_length = self._file.seek(0, io.SEEK_END)

    def close(self) -> None:
        self._tiff.close()

    @property
    def orientation(self) -> int:
        """1 to 8 as the tag has it; a picture that lies somewhere on earth is as stored."""
        found = self._tag(ORIENTATION)
        return int(found) if isinstance(found, int) and 1 <= found <= 8 and not self.lies_somewhere else 1

    @property
    def mode(self) -> str:
        """As Pillow calls the kind of picture; the number of samples where it has no name for it."""
        if self.photometric == PALETTE:
            return "P"
        names = {1: "1" if self.bits == 1 else "L" if self.bits <= 8 else "I;16", 3: "RGB"}
        return names.get(self.samples, f"{self.samples} bands")

    @property
    def lies_somewhere(self) -> bool:
        """Whether its tags, or a world file beside it, place it on earth."""
        if any(tag in self.page.tags for tag in _PLACE_TAGS):
            return True
        return self.path is not None and any(self.path.with_suffix(end).is_file() for end in _WORLD_FILES)

    @property
    def lies(self) -> Lies | None:
        """Where on earth it lies by its tags (GeoTIFF 1.1); None where these place no corner and name no system."""
        keys, scale, tie, matrix = (self._tag(tag) for tag in (_GEO_KEYS, *_PLACE_TAGS[:3]))
        affine = None
        if matrix is not None and len(matrix) == 16:
            affine = [float(matrix[k]) for k in (0, 1, 3, 4, 5, 7)]
        elif scale is not None and tie is not None and len(tie) == 6 and len(scale) >= 2:
            (column, row, _, x, y, _), (wide, high) = map(float, tie), map(float, scale[:2])
            affine = [wide, 0.0, x - column * wide, 0.0, -high, y + row * high]
        known = {int(keys[k]): int(keys[k + 3]) for k in range(4, len(keys) - 3, 4)} if keys is not None else {}
        if affine is not None and known.get(_RASTER_TYPE) == _IS_POINT:  # places are of the pixels' middles
            affine[2], affine[5] = affine[2] - (affine[0] + affine[1]) / 2, affine[5] - (affine[3] + affine[4]) / 2
        number = known.get(_PROJECTED) or known.get(_GEOGRAPHIC) or 0
        told = [one for one in sorted(known.items()) if one[0] not in _CITATIONS]
        crs = f"EPSG:{number}" if 0 < number < _OF_ITS_OWN else f"{told} {self._tag(_GEO_DOUBLES)}" if known else None
        return None if crs is None and affine is None else Lies(crs, None if affine is None else tuple(affine))

    @property
    def nodata(self) -> str | None:
        """The text of GDAL's value for no data; None without the tag."""
        found = self._tag(NODATA)
        return None if found is None else str(found).strip().strip("\0").strip()

    @property
    def palette_Nx3(self) -> np.ndarray:
        """The colours of a palette, N x 3 uint8: the upper bytes of its 16 bits."""
        with _explained(self.where), _quiet():
            colors = self.page.colormap
            if colors is None:
                raise ImageError(f"{self.where}: a palette TIFF without its palette; get the file again")
            return (np.asarray(colors).reshape(3, -1).T >> 8).astype(np.uint8)

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """The stored samples of these rows, (bottom - top) x W x S; ImageError where the file is damaged there."""
        return self._rows(self.page, top, bottom)

    def masked(self, top: int, bottom: int) -> np.ndarray | None:
        """True where a mask in the file, or a .msk beside it, says that there is no data; None without one."""
        if self._mask_page is not None:
            return self._rows(self._mask_page, top, bottom)[..., 0] == 0
        beside = None if self.path is None else self.path.with_name(self.path.name + ".msk")
        if beside is None or not beside.is_file():
            return None
        with open_tiff(beside, f"{self.where}: its mask {beside.name}") as mask:
            if mask.size != self.size:
                raise ImageError(f"{mask.where}: {mask.size} (height, width), and the picture has {self.size}")
            return (mask.rows(top, bottom) == 0).all(axis=2)

    def _tag(self, code: int) -> Any:
        with _explained(self.where), _quiet():
            tag = self.page.tags.get(code)
            return None if tag is None else tag.value

    def _chosen(self) -> tuple[Any, Any, bool]:
        """The page, its mask if there is one, and whether there are other pictures; a RAW file is refused."""
        pages = self._tiff.pages
        found, mask, several = None, None, False
        for index in range(_MOST_PAGES):
            try:
                page: Any = pages[index]
            except IndexError:
                break
            kind = int(page.subfiletype or 0)
            if _DNG_VERSION in page.tags or (kind & _PREVIEW and index == 0 and _SUB_IFDS in page.tags):
                raise ImageError(f"{self.where}: a camera's RAW file; develop it, as 16-bit TIFF or PNG")
            if kind & _MASK:
                mask = page if mask is None and not kind & _PREVIEW else mask
            elif not kind & _PREVIEW:
                several = found is not None
                found = found or page
            if several:
                break
        if found is None:
            raise ImageError(f"{self.where}: holds no picture but previews; get the file again")
        return found, mask if mask is not None and _masks(mask, found) else None, several

    def _check(self) -> None:
        """ImageError for what no decoder should be asked for."""
        height, width = self.size
        if height < 1 or width < 1:
            raise ImageError(f"{self.where}: an empty picture ({height}x{width}, height x width)")
        if self.photometric in _RAW:
            raise ImageError(f"{self.where}: a camera's RAW file; develop it, as 16-bit TIFF or PNG")
        if self.photometric in _LAB:
            raise ImageError(f"{self.where}: Lab colours; save it as RGB")
        if self.kind is None or self.kind.kind not in "buif":
            what = "complex numbers" if self.kind is not None and self.kind.kind == "c" else f"{self.bits}-bit samples"
            raise ImageError(f"{self.where}: a TIFF of {what}, which Tarsia does not read: save 8, 16 or 32 bits")
        page = self.page
        if len(page.dataoffsets) > _MOST_SEGMENTS or len(page.dataoffsets) != len(page.databytecounts):
            raise ImageError(f"{self.where}: damaged, {len(page.dataoffsets):,} pieces of data; get the file again")
        with _explained(self.where):
            rows, columns = _segment_size(page)
            bytes_each = rows * columns * self.kind.itemsize
            bytes_each *= self.samples if page.planarconfig == 1 else 1
            whole = page.is_contiguous
        if bytes_each > _LARGEST_SEGMENT and not whole:
            raise ImageError(
                f"{self.where}: is stored in pieces of {rows}x{columns} (height x width), each to be held whole: store "
                "it in tiles (gdal_translate -co TILED=YES)"
            )
        self._by_offset = bytes_each > _LARGEST_SEGMENT

    def _rows(self, page: Any, top: int, bottom: int) -> np.ndarray:
        with _explained(self.where), _quiet():
            return (
                self._by_rows(page, top, bottom)
                if self._by_offset and page is self.page
                else self._cut(page, top, bottom)
            )

    def _cut(self, page: Any, top: int, bottom: int) -> np.ndarray:
        """The rows from the segments that they lie in."""
        height, width, samples = int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel)
        found = np.zeros((bottom - top, width, samples), page.dtype)
        if page.tags.get(NODATA) is not None:
            self._fill(found)
        rows, columns = _segment_size(page)
        across = math.ceil(width / columns)
        planes = samples if page.planarconfig == 2 else 1
        decode = page.decode  # on a JPEG page the first access moves the file's position
        down = math.ceil(height / rows)
        for plane in range(planes):
            for row in range(top // rows, math.ceil(bottom / rows)):
                for column in range(across):
                    index = (plane * down + row) * across + column
                    length = int(page.databytecounts[index])
                    if length == 0:  # a sparse file's piece
                        continue
                    content = self._bytes(page, index, length)
                    check_segment(content, int(page.compression), (rows, columns), self.where)
                    segment, place, _ = decode(content, index, jpegtables=page.jpegtables)
                    if segment is None:
                        continue
                    first, y, x = place[0], place[2], place[3]
                    part = segment[0]
                    begin, end = max(top, y), min(bottom, y + part.shape[0])
                    right = min(width, x + part.shape[1])
                    into = slice(first, first + part.shape[2])
                    found[begin - top : end - top, x:right, into] = part[begin - y : end - y, : right - x]
        return found

    def _by_rows(self, page: Any, top: int, bottom: int) -> np.ndarray:
        """The rows of data that nothing packs, by their place in the file."""
        height, width = self.size
        samples = self.samples
        planes, deep = (samples, 1) if page.planarconfig == 2 else (1, samples)
        kind = page.dtype.newbyteorder(self._tiff.byteorder)
        line = width * deep * kind.itemsize
        parts = []
        for plane in range(planes):
            self._file.seek(int(page.dataoffsets[0]) + (plane * height + top) * line)
            content = self._file.read((bottom - top) * line)
            if len(content) < (bottom - top) * line:
                raise ImageError(f"{self.where}: damaged or cut off; get the file again")
            parts.append(np.frombuffer(content, kind).reshape(bottom - top, width, deep))
        return np.concatenate(parts, axis=2).astype(page.dtype)

    def _bytes(self, page: Any, index: int, length: int) -> bytes:
        offset = int(page.dataoffsets[index])
        if not 8 <= offset <= self._file_length - length:  # within the file, after its first header
            raise ImageError(f"{self.where}: damaged or cut off; get the file again")
        self._file.seek(offset)
        return self._file.read(length)

    def _fill(self, found: np.ndarray) -> None:
        """Where a sparse file has nothing, there is no data."""
        value = held(self.nodata or "0", found.dtype)
        found[...] = 0 if value is None else value


@contextlib.contextmanager
def open_tiff(source: Path | bytes | BinaryIO, where: str, path: Path | None = None) -> Iterator[Tiff]:
    """A TIFF, its content, or a file that is open already, for reading.  ImageError for what is no sound one."""
    with contextlib.ExitStack() as stack:
        if isinstance(source, Path):
            try:
                file: BinaryIO = stack.enter_context(source.open("rb"))
            except OSError as error:
                raise ImageError(f"{where}: cannot be read ({error.strerror or error})") from error
            path = source
        else:
            file = io.BytesIO(source) if isinstance(source, bytes) else source
        file.seek(0)
        with _quiet():
            tiff = Tiff(file, where, path)
        yield tiff


def _masks(mask: Any, page: Any) -> bool:
    """Whether a page is a sound mask of another: one sample of up to 8 bits, of its size, in pieces that are small."""
    rows, columns = _segment_size(mask)
    same = (mask.imagelength, mask.imagewidth) == (page.imagelength, page.imagewidth)
    plain = mask.samplesperpixel == 1 and mask.dtype is not None and np.dtype(mask.dtype).itemsize == 1
    return bool(same and plain and rows * columns <= _LARGEST_SEGMENT)


def _segment_size(page: Any) -> tuple[int, int]:
    """Rows and columns of a strip or tile."""
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return max(1, min(int(page.rowsperstrip or page.imagelength), int(page.imagelength))), int(page.imagewidth)


# tifffile's own messages name no file: in a thread that reads they go unheard, other threads keep theirs.
_UNHEARD = threading.local()
logging.getLogger("tifffile").addFilter(lambda record: not getattr(_UNHEARD, "depth", 0))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    _UNHEARD.depth = getattr(_UNHEARD, "depth", 0) + 1
    try:
        yield
    finally:
        _UNHEARD.depth -= 1


@contextlib.contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn whatever tifffile and its decoders make of a bad file into one ImageError."""
    try:
        yield
    except TarsiaError:
        raise
    except MemoryError as error:
        raise TooLargeError(f"{where}: not enough memory to decode it; make the picture smaller") from error
    except Exception as error:
        from tarsia.pictures.files import shown

        text = shown(str(error))
        if "imagecodecs" in text or "not supported" in text:
            raise ImageError(f"{where}: a TIFF of a kind that Tarsia does not read ({text}): save it anew") from error
        raise ImageError(f"{where}: damaged or cut off ({text}); get the file again") from error
