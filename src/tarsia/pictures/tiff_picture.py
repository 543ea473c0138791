"""A TIFF as a picture: which of its samples are the bands, which say where there is data, what colours they are.

| the file | becomes |
|---|---|
| as many samples as bands are wanted | these, whatever the tags say of the last |
| one more, whose tag says alpha | by its values: 0 and the maximum alone are transparency, 0 = no data; else refused |
| red, green, blue and further ones, none alpha | the first three, with a remark |
| one grey sample, three bands wanted | grey, three times; white is zero: turned about |
| a palette, CMYK, YCbCr, three bands wanted | RGB |
| `take` | the samples of these numbers |
| `alpha: none, last, drop` | says what the last one is, and no tag or value is asked |

GDAL calls a fourth 8-bit sample alpha unless it is told otherwise, so that the tag is no evidence.  A picture that is
turned (orientation) is brought upright, unless it lies somewhere on earth.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from tarsia.card import Spec
from tarsia.errors import ImageError
from tarsia.pictures import kinds
from tarsia.pictures import tiff as tags
from tarsia.pictures.by_rows import ByRows, Lies, Whole
from tarsia.pictures.kinds import Data
from tarsia.pictures.orientation import swaps_sides, upright
from tarsia.pictures.tiff import Tiff
from tarsia.plain_text import number

_STRANGE = 0.02  # of the pixels: the most that are neither 0 nor the maximum in a band that is transparency


class TiffPicture(ByRows):
    """A TIFF in the bands and the kind of `spec`, read by rows; ImageError for one that does not fit it."""

    def __init__(self, tiff: Tiff, spec: Spec) -> None:
        self.where, self.spec, self._tiff = tiff.where, spec, tiff
        self._remarks = [f"{self.where}: holds several pictures, only the first is used"] if tiff.several else []
        self._chosen, self._alpha, self._guessed = self._plan()
        self._bits = tiff.bits  # or as many as the spec says
        self._largest, self._strange = 0, 0
        self._counted_H = np.zeros(tiff.size[0], bool)  # rows whose alpha was looked at
        self._turned = tiff.orientation
        height, width = tiff.size
        self.size = (width, height) if swaps_sides(self._turned) else (height, width)
        self._whole: Whole | None = None

    @property
    def lies(self) -> Lies | None:  # type: ignore[override]
        return self._tiff.lies

    def parts(self, top: int, bottom: int) -> tuple[np.ndarray, Data]:
        """(bottom - top) x W x bands of the spec's kind, upright; and where there is data."""
        if self._turned == 1:
            return self._read(top, bottom)
        if self._whole is None:
            values, data = self._read(0, self._tiff.size[0])
            turned = data.each(lambda mask: upright(mask, self._turned))
            self._whole = Whole(self.where, upright(values, self._turned), turned)
        return self._whole.parts(top, bottom)

    def remarks(self) -> list[str]:
        """What a person should know once all is read."""
        deep = self._bits if self.spec.dtype == "uint8" else 0
        return [*self._remarks, *kinds.dark(self._largest, deep, self.where)]

    def _plan(self) -> tuple[list[int], int | None, bool]:
        """The samples that are bands, the one that says where there is data, and whether its values must show it."""
        tiff, spec, wanted = self._tiff, self.spec, self.spec.bands
        count, last = tiff.samples, tiff.samples - 1
        if tiff.photometric == tags.CMYK and not spec.take:
            if wanted != 3 or count != 4 or spec.alpha not in (None, "none"):
                raise ImageError(f"{self.where}: a CMYK picture; save it as RGB")
            return [0, 1, 2, 3], None, False
        if spec.take:
            if max(spec.take) > count:
                raise self._other(f"as many as `take: {list(spec.take)}` needs")
            return [band - 1 for band in spec.take], None, False
        if spec.alpha in ("last", "drop"):
            if count != wanted + 1:
                raise self._other(f"one more ({wanted + 1}), as `alpha: {spec.alpha}` says")
            return list(range(wanted)), last if spec.alpha == "last" else None, False
        if count == wanted:
            if wanted in (1, 2) and tiff.photometric == tags.PALETTE:
                raise ImageError(f"{self.where}: a palette, whose numbers are no brightness; save it as grey or RGB")
            return list(range(count)), None, False
        if wanted == 3 and count == 1:
            return [0], None, False
        alpha = bool(tiff.extra) and tiff.extra[-1] in (tags.ASSOCIATED, tags.UNASSOCIATED)
        if spec.alpha is None and alpha and count - 1 in ((wanted, 1) if wanted == 3 else (wanted,)):
            if tiff.extra[-1] == tags.ASSOCIATED:
                self._remarks.append(f"{self.where}: its colours are multiplied by its alpha, and are taken as stored")
            return list(range(count - 1)), last, True
        if wanted == 3 and count > 3 and tiff.photometric == tags.RGB and not alpha:
            what = f"a TIFF of {count} bands; those after red, green and blue are left out"
            self._remarks.append(f"{self.where}: {what}")
            return [0, 1, 2], None, False
        raise self._other("")

    def _other(self, why: str) -> ImageError:
        """One error for a number of samples that is not what is wanted, with both numbers and what to do."""
        found, wanted = self._tiff.samples, self.spec.bands
        expected = why or number(wanted, "band")
        remedy = (
            "choose those the model was trained with (gdal_translate -b, or take: in dataset.yaml), or learn from all: "
            f"bands: {found} in dataset.yaml"
        )
        return ImageError(f"{self.where}: a TIFF of {number(found, 'band')}, expected {expected}: {remedy}")

    def _read(self, top: int, bottom: int) -> tuple[np.ndarray, Data]:
        tiff, spec = self._tiff, self.spec
        stored = tiff.rows(top, bottom)
        bands = stored[..., self._chosen]
        data = self._data(bands, tiff, top, bottom)
        if self._alpha is not None:
            alpha = stored[..., self._alpha]
            if self._guessed:
                self._check_alpha(alpha[~self._counted_H[top:bottom]])
                self._counted_H[top:bottom] = True
            data = data._replace(sound_HW=kinds.both(data.sound_HW, alpha != 0))
        valid = data.valid_HW
        self._bits = kinds.said_bits(bands, tiff.bits, spec.bits, self.where, valid)
        if spec.dtype == "uint8" and bands.dtype == np.uint16 and bands.size:
            self._largest = max(self._largest, int(bands.max()))
        return self._colored(kinds.emptied(bands, valid)), data

    def _data(self, bands: np.ndarray, tiff: Tiff, top: int, bottom: int) -> Data:
        """Where there is data, by the mask, by the value that says there is none, and by what is no number."""
        masked = tiff.masked(top, bottom)
        value = self._no_data(bands.dtype)
        return kinds.data_of(bands, None if value is None else value.item(), None if masked is None else ~masked)

    def _no_data(self, kind: np.dtype) -> np.generic | None:
        """The value of no data in the file's own kind; None where there is none, or no sample can hold it."""
        given = self.spec.nodata if self.spec.nodata is not None else self._tiff.nodata
        if given is None or given == "none":
            return None
        found = kinds.held(given, kind)
        if found is None:
            self._note(
                f"{self.where}: its value for no data, {str(given)[:40]}, fits in no sample of {kind}: left aside"
            )
        return found

    def _note(self, remark: str) -> None:
        if remark not in self._remarks:
            self._remarks.append(remark)

    def _check_alpha(self, alpha: np.ndarray) -> None:
        """ImageError where the last band is no transparency, whatever its tag says."""
        whitest = 1.0 if alpha.dtype.kind == "f" else 2 ** (self._tiff.bits - (alpha.dtype.kind == "i")) - 1
        self._strange += int(np.count_nonzero((alpha != 0) & (alpha != whitest)))
        if self._strange <= _STRANGE * self._tiff.size[0] * self._tiff.size[1]:
            return
        found = self._tiff.samples
        raise ImageError(
            f"{self.where}: its last band of {found} is called alpha, and its values are not only 0 and the maximum: "
            f"say what it is: a band (`bands: {found}` in dataset.yaml), transparency (`alpha: last`), or to be left "
            "out (`alpha: drop`)"
        )

    def _colored(self, bands: np.ndarray) -> np.ndarray:
        """The samples as so many bands of the kind that is wanted."""
        tiff, spec = self._tiff, self.spec
        if spec.bands == 3 and tiff.photometric == tags.PALETTE and bands.shape[2] == 1:
            palette_Nx3 = tiff.palette_Nx3
            if bands.size and int(bands.max()) >= len(palette_Nx3):
                raise ImageError(f"{self.where}: an index beyond its palette of {len(palette_Nx3)} colours")
            return kinds.converted(palette_Nx3[bands[..., 0].astype(np.intp)], 8, spec.dtype, self.where)
        if spec.bands == 3 and tiff.photometric == tags.CMYK and bands.shape[2] == 4:
            if bands.dtype != np.uint8:
                raise ImageError(f"{self.where}: CMYK of {tiff.bits} bits; save it as RGB")
            rgb = np.asarray(Image.fromarray(np.ascontiguousarray(bands), "CMYK").convert("RGB"))
            return kinds.converted(rgb, 8, spec.dtype, self.where)
        if tiff.photometric == tags.YCBCR and tiff.compression not in (tags.OLD_JPEG, tags.JPEG):
            if bands.dtype != np.uint8 or bands.shape[2] != 3:
                raise ImageError(f"{self.where}: YCbCr of {number(bands.shape[2], 'band')}; save it as RGB")
            bands = np.asarray(Image.fromarray(np.ascontiguousarray(bands), "YCbCr").convert("RGB"))
        values = kinds.converted(self._white_is_high(bands), self._bits, spec.dtype, self.where)
        if values.shape[2] == 1 and spec.bands == 3:
            return np.repeat(values, 3, axis=2)
        return np.ascontiguousarray(values)

    def _white_is_high(self, bands: np.ndarray) -> np.ndarray:
        if self._tiff.photometric != tags.GREY_INVERTED or bands.shape[2] != 1:
            return bands
        if bands.dtype == bool:
            return ~bands
        if bands.dtype.kind != "u":
            raise ImageError(f"{self.where}: {bands.dtype} with 0 as white; save it as a plain grey TIFF")
        return (bands.dtype.type(2**self._bits - 1) - bands).astype(bands.dtype)
