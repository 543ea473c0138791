"""Made-up pairs of label maps, for tests that count."""

from __future__ import annotations

import numpy as np

from tarsia.card import IGNORED

SIZES = [(1, 1), (1, 9), (7, 1), (2, 2), (6, 9), (23, 31)]


def random_map(draw, class_count, size, ignored=0.15, coarse=1):
    """Labels in squares of `coarse` pixels, so that there are insides as well as borders."""
    small = draw.integers(0, class_count, (-(-size[0] // coarse), -(-size[1] // coarse)), dtype=np.uint8)
    label = np.kron(small, np.ones((coarse, coarse), np.uint8))[: size[0], : size[1]]
    label[draw.random(size) < ignored] = IGNORED
    return label


def pair_of_maps(draw, class_count, size, coarse=3):
    truth = random_map(draw, class_count, size, coarse=coarse)
    predicted = random_map(draw, class_count, size, ignored=0.05, coarse=coarse)
    alike = draw.random(size) < 0.6
    predicted[alike & (truth != IGNORED)] = truth[alike & (truth != IGNORED)]
    return truth, predicted


def around(y, x, size, reach):
    """The places of a picture within `reach` of one."""
    for v in range(max(0, y - reach), min(size[0], y + reach + 1)):
        for u in range(max(0, x - reach), min(size[1], x + reach + 1)):
            yield v, u
