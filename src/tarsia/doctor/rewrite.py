"""What the labels of a corrected copy hold: classes in their order; what they held, where a person has to decide."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tarsia.data._labels import LabelTable
from tarsia.data._paired import PairedData
from tarsia.doctor.dataset import CheckedData
from tarsia.doctor.finding import Finding
from tarsia.doctor.label_values import nearest_labels
from tarsia.doctor.meaning import odd_labels
from tarsia.doctor.sample import colors_of, distinct, stored_label, translated
from tarsia.files import writing


class Rewriter:
    """Label files -> what is written of them.

    `keeps`: labels are written as they are stored, for there are several readings of some; else as classes, strange
    values as the only thing that they can mean.
    """

    def __init__(self, checked: CheckedData, findings: Sequence[Finding]) -> None:
        self.keeps = any(finding.decide for finding in findings)
        self._smeared: set[tuple[str, int]] = set()
        self._meant: LabelTable | None = None
        for labels, guess in [] if self.keeps else odd_labels(checked):
            if guess.nearest:
                self._smeared = {(split.name, one.sample) for split, one in labels}
            elif guess.readings:
                self._meant = guess.readings[0].coding.table()

    def __call__(self, dataset: PairedData, split: str, index: int) -> np.ndarray:
        """The label of a sample: H x W labels, or what the file holds where labels are kept."""
        stored = stored_label(dataset, dataset.pairs[index].label)
        if self.keeps:
            return stored
        table = self._meant or dataset.table
        if (split, index) in self._smeared:
            found, places, _ = distinct(stored)
            colors_NC = np.array([colors_of(code) for code in found], np.uint8)
            return nearest_labels(colors_NC, table.colors)[places].reshape(stored.shape[:2])
        return translated(stored, table)


def save_stored(path: Path, stored: np.ndarray) -> None:
    """Write what a label file held: H x W numbers or H x W x 3 colours, as PNG, or TIFF where the numbers are wide."""
    wide = stored.dtype.itemsize > 2
    with writing(path.with_suffix(".tif" if wide else ".png")) as part:
        Image.fromarray(stored).save(part, format="TIFF" if wide else "PNG")
