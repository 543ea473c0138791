"""Whether a label lies on its picture, against the correlation written out shift by shift."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sick_data import scene
from tarsia.card import IGNORED
from tarsia.doctor.edges import NEAR, _around, _borders, alignment, edges


def test_every_label_lies_on_its_picture_and_on_no_other() -> None:
    scenes = [scene(seed) for seed in range(24)]
    here = [alignment(edges(image), label) for image, label in scenes]
    other = [alignment(edges(image), scenes[k - 1][1]) for k, (image, _) in enumerate(scenes)]
    assert all(one is not None and one.off == 0 and one.here == one.best > 5 for one in here)
    assert np.median([one.here for one in other if one]) < 0.35 * np.median([one.here for one in here if one])
    assert np.mean([one.off > NEAR for one in other if one]) > 0.8


@pytest.mark.parametrize(("down", "right"), [(0, 6), (-5, 0), (4, -8)])
def test_the_shift_is_the_one_that_was_done(down: int, right: int) -> None:
    image, label = scene(5)
    moved = np.full_like(label, IGNORED)
    height, width = label.shape
    moved[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = label[
        max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
    ]
    found = alignment(edges(image), moved)
    assert found is not None and found.off == pytest.approx(np.hypot(down, right))
    assert (found.down * height, found.right * width) == pytest.approx((-down, -right))


def test_against_every_shift_written_out() -> None:
    image, label = scene(9, (36, 48))
    seen = edges(image)
    borders = np.zeros((2, 36, 48))
    for y in range(36):
        for x in range(48):
            borders[0, y, x] = y + 1 < 36 and label[y, x] != label[y + 1, x]
            borders[1, y, x] = x + 1 < 48 and label[y, x] != label[y, x + 1]
    assert np.array_equal(borders, _borders(label))
    scores = {}
    for down in range(-6, 7):
        for right in range(-8, 9):
            total = 0.0
            for y, x in np.argwhere(borders.any(0)):
                if 0 <= y + down < 36 and 0 <= x + right < 48:
                    total += float(borders[:, y, x] @ seen[:, y + down, x + right])
            scores[down, right] = total
    values = np.array(list(scores.values()))
    best = max(scores, key=lambda shift: scores[shift])
    found = alignment(seen, label)
    assert found is not None and (found.down * 36, found.right * 48) == pytest.approx(best)
    assert found.here == pytest.approx((scores[0, 0] - values.mean()) / values.std(), rel=1e-4)
    assert found.best == pytest.approx((values.max() - values.mean()) / values.std(), rel=1e-4)


def test_the_mean_of_the_surroundings() -> None:
    values = np.random.default_rng(0).random((20, 31)).astype(np.float32)
    padded = np.pad(values, 8, mode="edge")
    slow = np.array([[padded[y : y + 17, x : x + 17].mean() for x in range(31)] for y in range(20)])
    assert np.allclose(_around(values), slow, atol=1e-6)


def test_nothing_is_said_where_there_is_nothing_to_say() -> None:
    image, label = scene(1)
    ignored = np.where(np.arange(label.shape[1]) % 2, label, IGNORED).astype(np.uint8)
    assert alignment(edges(image), np.zeros_like(label)) is None
    assert alignment(edges(image), np.full_like(label, IGNORED)) is None
    assert alignment(edges(np.full_like(image, 90)), label) is None
    assert alignment(edges(image[:8, :8]), label[:8, :8]) is None
    assert _borders(ignored)[1].sum() == 0, "what is ignored has no border"


def test_a_large_picture_is_reduced() -> None:
    image, label = scene(2, (480, 640))
    large = np.asarray(Image.fromarray(image).resize((1280, 960)))
    assert edges(large).shape == (2, 144, 192)
    found = alignment(edges(large), np.repeat(np.repeat(label, 2, 0), 2, 1))
    assert found is not None and found.off == 0 and found.here > 5
