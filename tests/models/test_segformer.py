"""SegFormer's decoder against the formula, on convolutions and on small transformers."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tarsia import models
from tarsia.learning.losses import CrossEntropy

TINY = {"encoder_options": {"embed_dims": [8, 16, 16, 24], "num_heads": [1, 1, 2, 2], "depths": [1, 1, 1, 1]}}


def test_the_decoder_against_the_formula():
    """Eq. 4 as it stands: linear, upsample, concatenate, linear, linear."""
    model = models.create("segformer", 3, options={"encoder": "test_resnet", "channels": 10})
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        model.segment(image)  # moves the statistics of the normalisation off zero and one
        model.eval()
        maps = model.encoder(image)[1:]
        assert [tuple(one.shape[-2:]) for one in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
        up = [
            functional.interpolate(linear(one), size=(16, 24), mode="bilinear")
            for linear, one in zip(model.linear, maps, strict=True)
        ]
        fused = model.norm(model.fusion(torch.cat(up, 1))).relu()
        torch.testing.assert_close(model.segment(image), model.classifier(fused), rtol=1e-4, atol=1e-5)


def test_the_size_of_b0():
    """Table 1: 3.4 M of encoder and 0.4 M of decoder."""
    with torch.device("meta"):
        model = models.create("segformer", 19)
    counts = {"encoder": 0, "decoder": 0}
    for key, one in model.named_parameters():
        counts["encoder" if key.startswith("encoder.") else "decoder"] += one.numel()
    linear = (32 + 64 + 160 + 256) * 256 + 4 * 256
    assert counts["decoder"] == linear + 4 * 256 * 256 + 2 * 256 + 257 * 19
    assert {part: round(count / 1e6, 1) for part, count in counts.items()} == {"encoder": 3.4, "decoder": 0.4}


@pytest.mark.parametrize("options", [TINY, {"encoder": "test_vit"}], ids=["PVT v2", "plain ViT"])
def test_it_trains_on_a_transformer(options):
    model = models.create("segformer", 2, options=options | {"channels": 16}).train()
    image = torch.randint(0, 60, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(7))
    image[..., 48:] += 180
    label = torch.zeros(2, 64, 96, dtype=torch.uint8)
    label[..., 48:] = 1
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        terms, scores = model.loss(image, label, CrossEntropy())
        assert scores.shape == (2, 2, 64, 96)
        terms["loss"].backward()
        optimizer.step()
        losses.append(float(terms["loss"].detach()))
    assert losses[-1] < 0.6 * losses[0], losses
    assert all(one.grad is not None and one.grad.isfinite().all() for one in model.parameters())


def test_an_encoder_with_fewer_maps_gives_what_it_has():
    options = {"encoder": "test_resnet", "encoder_options": {"out_indices": [2, 4]}}
    model = models.create("segformer", 2, options=options).eval()
    with torch.no_grad():
        assert model.segment(torch.zeros(1, 3, 64, 96)).shape == (1, 2, 8, 12)
