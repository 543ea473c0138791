"""The stage that brings a picture to the style its model knows, and makes one answer of two."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

Answers = dict[float, np.ndarray]  # at each temperature: B x K x H x W probabilities
Refine = Callable[[np.ndarray, np.ndarray], AbstractContextManager[None]]


@dataclass(frozen=True)
class Style:
    """How pictures are restyled, and whether the answer for the picture as it is has its part in the result.

    Whole pictures only: a style's mean and deviation, or its histogram, are those of the whole picture, and a tile
    would be restyled by its own.

    `refine`: pictures of one size as they are and restyled -> what the network answers within, tuned so that its two
    segmentations come closer; afterwards it is as before (adaptation/refinement.py).
    """

    restyle: Callable[[np.ndarray], np.ndarray]  # B x H x W x 3 uint8 RGB -> the same, in the model's style
    fuse: bool = True  # else the restyled picture's answer alone
    described: str = "restyled"  # in words, for a report's protocol
    refine: Refine | None = None

    def answers(self, images_BHW3: np.ndarray, of: Callable[[np.ndarray], Answers]) -> Answers:
        """What `of`, which segments pictures, says of them in the model's style; fused with what it says as they are.

        Where the network is refined, each picture has its own: what comes with it in a batch has no part in that.
        """
        if self.refine is not None and len(images_BHW3) > 1:
            each = [self.answers(images_BHW3[k : k + 1], of) for k in range(len(images_BHW3))]
            return {key: np.concatenate([one[key] for one in each]) for key in each[0]}
        restyled_BHW3 = self.restyle(images_BHW3)
        with nullcontext() if self.refine is None else self.refine(images_BHW3, restyled_BHW3):
            restyled = of(restyled_BHW3)
            if not self.fuse:
                return restyled
            plain = of(images_BHW3)
        return {key: fuse(plain[key], restyled[key]) for key in restyled}


def fuse(*probabilities_BKHW: np.ndarray) -> np.ndarray:
    """Maps of probabilities, classes along axis 1 -> the distribution q of each pixel that minimises their summed KL.

    sum_i KL(q || p_i) is smallest at the normalised geometric mean, q_k ~ (prod_i p_ik)^(1/n) (Song et al. 2021, KL
    refinement): with Z its normaliser the sum is n KL(q || geometric mean) - n log Z.  Where no class has a
    probability in all maps the sum is infinite for every q, and their mean is taken.
    """
    count = len(probabilities_BKHW)
    product_BKHW = np.ones_like(probabilities_BKHW[0])
    for one in probabilities_BKHW:
        product_BKHW *= one ** (1 / count)  # the root first: a product of small numbers could be 0
    total_B1HW = product_BKHW.sum(1, keepdims=True)
    fused_BKHW: np.ndarray = np.mean(probabilities_BKHW, axis=0)
    return np.divide(product_BKHW, total_B1HW, out=fused_BKHW, where=total_B1HW > 0)
