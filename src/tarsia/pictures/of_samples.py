"""Stored samples -> a picture in the bands and the kind of a `Spec`; and the errors where they are of other bands."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tarsia.card import Spec
from tarsia.errors import ImageError
from tarsia.pictures import kinds
from tarsia.pictures.by_rows import Whole
from tarsia.pictures.deep import Samples
from tarsia.pictures.rgb import flat
from tarsia.plain_text import number


def of_samples(samples: Samples, spec: Spec, where: str) -> Whole:
    """Stored samples as the bands of `spec`; a last one that is alpha says where there is data, or lies on white."""
    values, bits, alpha, lies = samples
    count, wanted = values.shape[2], spec.bands
    if spec.take:
        if max(spec.take) > count:
            raise other_bands(where, count, spec)
        values, alpha = values[..., [band - 1 for band in spec.take]], False
        count = wanted
    if alpha and spec.alpha is None and count == wanted and wanted in (2, 4):
        raise ImageError(
            f"{where}: its last band is transparency: say `alpha: none` in dataset.yaml where it is a band"
        )
    drops = spec.alpha in ("last", "drop") or (spec.alpha is None and alpha)
    valid = None
    if drops and count != wanted and count - 1 in ((wanted, 1) if wanted == 3 else (wanted,)):
        if spec.dtype == "uint8" and spec.alpha is None and values.dtype == np.uint16:
            return Whole(where, _on_white((values >> (bits - 8)).astype(np.uint8), spec))
        if spec.alpha != "drop":
            valid = values[..., -1] != 0
        values = values[..., :-1]
    elif count != wanted and spec.files:
        raise not_several(where, spec)
    elif count != wanted and not (count == 1 and wanted == 3):
        raise other_bands(where, count, spec)
    data = kinds.data_of(values, spec.nodata, valid)
    valid = data.valid_HW
    values = kinds.emptied(values, valid)
    bits = kinds.said_bits(values, bits, spec.bits, where, valid)
    remarks: list[str] = []
    if values.dtype == np.uint16 and spec.dtype == "uint8" and values.size:
        remarks += kinds.dark(int(values.max()), bits, where)
    found = kinds.converted(values, bits, spec.dtype, where)
    if found.shape[2] < wanted:
        found = np.repeat(found, wanted, axis=2)
    picture = Whole(where, np.ascontiguousarray(found), data, remarks)
    picture.lies = lies
    return picture


def _on_white(values_HWC: np.ndarray, spec: Spec) -> np.ndarray:
    """Grey and alpha, or colours and alpha, laid on white, as of 8 bits."""
    image = np.array(flat(Image.fromarray(values_HWC, "LA" if values_HWC.shape[2] == 2 else "RGBA")))
    return image if spec.bands == 3 else np.ascontiguousarray(image[..., :1])


def other_bands(where: str, found: int, spec: Spec) -> ImageError:
    """For a picture of another number of bands."""
    remedy = "give a TIFF or .npy file with all of them" if spec.bands > 1 else "save it as a grey PNG or TIFF"
    return ImageError(f"{where}: a picture of {number(found, 'band')}, expected {spec.bands}: {remedy}")


def not_several(where: str, spec: Spec) -> ImageError:
    """For what is no first file of several, nor one file of all bands."""
    names = ", ".join(one.file for one in spec.files)
    return ImageError(
        f"{where}: expected a picture whose {spec.bands} bands are files of their own: give the path of its first one, "
        f"{spec.files[0].file}, which has the others beside it ({names}), or one TIFF or .npy file of all bands"
    )
