"""Refinement: before a picture is segmented as it is and restyled, a few steps that bring the two segmentations closer.

Song, Zhang & Park 2021 tie the two by their Kullback-Leibler divergence and do not say what it is minimised over.  Here
it is the scale and shift of every normalisation layer, as in Wang et al., "Tent: Fully Test-time Adaptation by Entropy
Minimization", ICLR 2021, section 3.2.2: few numbers, which change light and contrast and can hardly forget a class.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from tarsia.adaptation.restyle import divergence
from tarsia.engines import memory_limit
from tarsia.engines.engine import Engine
from tarsia.engines.torch_engine import autocast
from tarsia.errors import RecipeError, ScoresError
from tarsia.prediction.network_input import prepared

_NORMALISATION = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


class Refinement:
    """`steps` of Adam at `learning_rate` on KL(p_original || p_restyled), the mean over the pixels, for each picture.

    Statistics of batch normalisation stay those of the training.  The network is as before after each picture, bit by
    bit, so that no answer depends on what was seen before.
    """

    def __init__(self, engine: Engine, steps: int, learning_rate: float) -> None:
        """Raises RecipeError for numbers out of range, engines without gradients and networks without such layers."""
        if steps < 1:
            raise RecipeError(f"kl_steps={steps}: expected 1 or more, or 0 for none")
        if engine.card.input.range is not None:
            raise RecipeError("`kl_steps` is for pictures of 8 bits as they are, and this model has a range: leave out")
        if not 0 < learning_rate < float("inf"):
            raise RecipeError(f"kl_learning_rate={learning_rate}: expected more than 0")
        self.engine, self.steps, self.learning_rate = engine, steps, learning_rate
        self.model: nn.Module = engine.network()
        layers = [part for part in self.model.modules() if isinstance(part, _NORMALISATION)]
        self.tuned = [one for layer in layers for one in (layer.weight, layer.bias) if one is not None]
        if not self.tuned:
            raise RecipeError(
                f"`kl_steps` tunes the normalisation of a network, and this {engine.card.architecture} has none: leave "
                "it out"
            )
        self._alone = threading.Lock()

    @contextmanager
    def __call__(self, images_BHW3: np.ndarray, restyled_BHW3: np.ndarray) -> Iterator[None]:
        """Pictures of one size, as they are and restyled -> within, the network is tuned to them."""
        with self._alone:
            before = [one.detach().clone() for one in self.tuned]
            try:
                self._tune(images_BHW3, restyled_BHW3)
                yield
            finally:
                with torch.no_grad():
                    for one, old in zip(self.tuned, before, strict=True):
                        one.copy_(old)

    def _tune(self, images_BHW3: np.ndarray, restyled_BHW3: np.ndarray) -> None:
        seen = [self._seen(one) for one in (images_BHW3, restyled_BHW3)]
        learning, training = [one.requires_grad for one in self.model.parameters()], self.model.training
        self.model.eval().requires_grad_(False)
        try:
            for one in self.tuned:
                one.requires_grad_(True)
            optimizer = torch.optim.Adam(self.tuned, lr=self.learning_rate)
            with memory_limit.exhaustion(self.engine.card.architecture):
                for _ in range(self.steps):
                    loss = self._loss(*seen)
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
        finally:
            for one, was in zip(self.model.parameters(), learning, strict=True):
                one.requires_grad_(was)
                one.grad = None
            self.model.train(training)

    def _loss(self, original_B3HW: Tensor, restyled_B3HW: Tensor) -> Tensor:
        with torch.enable_grad(), autocast(self.engine.device, self.engine.describe().precision):
            loss = divergence(self.model(original_B3HW), self.model(restyled_B3HW))
        if not torch.isfinite(loss):
            raise ScoresError(
                "the KL divergence of this picture and the restyled one is not finite: lower `kl_learning_rate`"
            )
        return loss

    def _seen(self, images_BHW3: np.ndarray) -> Tensor:
        padded_BHW3, _ = prepared(images_BHW3, self.engine.card)
        return torch.from_numpy(np.ascontiguousarray(padded_BHW3)).permute(0, 3, 1, 2).to(self.engine.device)
