"""What stands in a label file -> labels in memory: 0 .. K-1, and 255 = ignored."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tarsia.card import IGNORED
from tarsia.errors import DatasetError

Rgb = tuple[int, int, int]

MAX_VALUE = 65_535  # the largest value of a 16-bit label file
_UNKNOWN = 256  # no label, and one more than fits uint8
_AT_ONCE = 4096  # values that are compared with all known ones
_FAR_SHARE = 0.05  # of a mask's pixels: more of them off all that is known are no noise at borders
_SMEARED = 64  # more unknown colours than this in one mask: it was resized or compressed, not drawn


class LabelTable:
    """Which value or colour on disk means which label; called with a label file's content it gives the label map.

    `values` and `colors` map to 0 .. K-1 or 255.  `remedy` ends the error about an unknown value: what to write where,
    with `{found}` for the value or colour and `{key}` for "values" or "colors".  With a `tolerance` an unknown value or
    colour means what the nearest one that is as near (in each channel) means, and 255 where none is.
    """

    def __init__(self, values: Mapping[int, int], colors: Mapping[Rgb, int], remedy: str, tolerance: int = 0) -> None:
        self.values = dict(values)
        self.colors = dict(colors)
        self.remedy = remedy
        self.tolerance = tolerance
        # One more entry than the largest value: whatever is beyond ends there and is unknown.
        self._by_value = np.full(max(self.values, default=-1) + 2, _UNKNOWN, np.uint16)
        for value, label in self.values.items():
            self._by_value[value] = label
        self._codes, self._by_code = _hashed(self.colors)

    def __call__(self, stored: np.ndarray, where: str) -> np.ndarray:
        """H x W integers (values) or H x W x 3 uint8 (colours) of the file `where` -> H x W uint8 labels.

        Raises DatasetError naming the file, the commonest unknown value with its pixel count, and the remedy.
        """
        return self.of_colors(stored, where) if stored.ndim == 3 else self.of_values(stored, where)

    def of_values(self, stored_HW: np.ndarray, where: str) -> np.ndarray:
        """H x W integers -> H x W uint8 labels; DatasetError for a value outside the table."""
        last = len(self._by_value) - 1
        indices_HW = stored_HW
        if stored_HW.dtype != np.uint8 or last < 255:
            indices_HW = np.where((stored_HW < 0) | (stored_HW > last), last, stored_HW)
        labels_HW = self._by_value.take(indices_HW)
        if labels_HW.size and labels_HW.max() == _UNKNOWN:
            unknown_HW = labels_HW == _UNKNOWN
            strange, places, counts = np.unique(stored_HW[unknown_HW], return_inverse=True, return_counts=True)
            if self.tolerance:
                near = self._nearest(strange[:, None], [[value] for value in self.values], [*self.values.values()])
                if counts[near == IGNORED].sum() <= _FAR_SHARE * stored_HW.size:
                    labels_HW[unknown_HW] = near[places]
                    return labels_HW.astype(np.uint8)
            raise self._strange(where, "label value", [str(value) for value in strange], counts, _ranges(self.values))
        return labels_HW.astype(np.uint8)

    def of_colors(self, stored_HW3: np.ndarray, where: str) -> np.ndarray:
        """H x W x 3 uint8 RGB -> H x W uint8 labels; DatasetError for a colour outside the table."""
        codes_HW = _packed(stored_HW3)
        slots_HW = codes_HW % np.uint32(len(self._codes))
        labels_HW = self._by_code.take(slots_HW)
        known_HW = self._codes.take(slots_HW) == codes_HW
        if not known_HW.all():
            strange, places, counts = np.unique(codes_HW[~known_HW], return_inverse=True, return_counts=True)
            if self.tolerance and self.colors:
                parts_N3 = np.stack([strange >> 16, strange >> 8 & 255, strange & 255], axis=1)
                near = self._nearest(parts_N3, [*map(list, self.colors)], [*self.colors.values()])
                if counts[near == IGNORED].sum() <= _FAR_SHARE * codes_HW.size:
                    labels_HW[~known_HW] = near[places]
                    return labels_HW
            shown = [f"[{code >> 16}, {code >> 8 & 255}, {code & 255}]" for code in strange.tolist()]
            raise self._strange(where, "colour", shown, counts, f"{len(self.colors)} colours")
        return labels_HW

    def _nearest(self, found_NC: np.ndarray, known: Sequence[Sequence[int]], labels: Sequence[int]) -> np.ndarray:
        """N labels: that of the nearest of the known within the tolerance, else 255."""
        table_KC = np.array(known, np.int64)
        best_N = np.empty(len(found_NC), np.int64)
        near_N = np.empty(len(found_NC), bool)
        for start in range(0, len(found_NC), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            away_NK = np.abs(found_NC[part, None].astype(np.int64) - table_KC[None]).max(2)
            best_N[part] = away_NK.argmin(1)
            near_N[part] = away_NK.min(1) <= self.tolerance
        return np.where(near_N, np.array(labels)[best_N], IGNORED).astype(np.uint8)

    def _strange(self, where: str, kind: str, shown: Sequence[str], counts: np.ndarray, known: str) -> DatasetError:
        commonest = int(counts.argmax())
        more = f" (and {len(shown) - 1} more that are unknown)" if len(shown) > 1 else ""
        key = "values" if kind == "label value" else "colors"
        remedy = self.remedy.replace("{found}", shown[commonest]).replace("{key}", key)
        if len(shown) > _SMEARED:
            remedy = (
                "so many that this mask was smoothed, resized or JPEG-compressed, or holds something else: save it as "
                "it was drawn, as PNG, and resize masks with nearest neighbour only; of what cannot be got again "
                "`tolerance: 30` in dataset.yaml takes what is so near to a class for it"
            )
        return DatasetError(
            f"{where}: {kind} {shown[commonest]} in {counts[commonest]} pixels{more} is neither a class nor ignored "
            f"(known: {known or 'none'}); {remedy}"
        )


def distinct_colors(count: int, taken: Iterable[Rgb] = ()) -> list[Rgb]:
    """`count` colours far from each other, from black and from `taken`; always the same ones."""
    chosen: list[Rgb] = []
    avoided = [(0, 0, 0), *taken]
    turn = 0
    for _ in range(count):
        best, best_distance = (0, 0, 0), -1
        for _ in range(24):
            # The golden ratio spreads hues evenly however many are drawn; lightness changes from turn to turn.
            hue, saturation, value = turn * 0.618034 % 1.0, (0.9, 0.55, 0.75)[turn % 3], (0.9, 1.0, 0.6)[turn // 2 % 3]
            red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
            turn += 1
            distance = min(abs(red - r) + abs(green - g) + abs(blue - b) for r, g, b in avoided)
            if distance > best_distance:
                best, best_distance = (red, green, blue), distance
        chosen.append(best)
        avoided.append(best)
    return chosen


def _hashed(colors: Mapping[Rgb, int]) -> tuple[np.ndarray, np.ndarray]:
    """Codes and labels at slot `code % n`, with an n at which no two colours share a slot."""
    codes = np.array([red << 16 | green << 8 | blue for red, green, blue in colors], np.uint32)
    # Small enough for a processor's cache, found in a few tries; of very many one for each colour there is.
    size = min(max(1, len(codes), len(codes) ** 2 // 8), 2**24)
    while len(np.unique(codes % np.uint32(size))) < len(codes):
        size += 1
    table = np.full(size, 2**32 - 1, np.uint32)  # no colour has this code
    labels = np.full(size, IGNORED, np.uint8)
    table[codes % np.uint32(size)] = codes
    labels[codes % np.uint32(size)] = np.array(list(colors.values()), np.uint8)
    return table, labels


def _packed(stored_HW3: np.ndarray) -> np.ndarray:
    codes_HW = stored_HW3[..., 0].astype(np.uint32)
    for channel in (1, 2):
        codes_HW <<= np.uint32(8)
        codes_HW |= stored_HW3[..., channel]
    return codes_HW


def _ranges(values: Iterable[int]) -> str:
    """{0, 1, 2, 255} -> "0-2, 255"."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
