"""What `tarsia models` says of the networks."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console
from torch import nn

from tarsia import models
from tarsia.models._summary import Summary, describe, summarise, table


def test_work_and_size_against_a_count_layer_by_layer():
    found = summarise("fpn")
    with torch.device("meta"):
        model = models.create("fpn", 19).eval()
    work = 0

    def count(layer: nn.Conv2d, _, result: torch.Tensor) -> None:
        nonlocal work
        work += result[0].numel() * layer.weight[0].numel()  # a multiply-add each for input channels x kernel

    for part in model.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(count)
    model(torch.zeros(1, 3, 384, 480, dtype=torch.uint8, device="meta"))
    assert found.size == (384, 480) and found.stride == 32  # 360x480 padded
    assert found.multiply_adds == work
    assert found.parameters == sum(one.numel() for one in model.parameters())
    assert found.encoder == "resnet18" and "CVPR 2017" in found.publication and found.what.endswith(".")


def test_size_is_of_as_many_classes_as_asked_for():
    found = summarise("msanet", 21)
    assert (found.parameters, found.classes) == (19_558_293, 21)  # as published
    console = Console(width=120, file=io.StringIO())
    console.print(table([found]))
    assert "Defaults, 21 classes;" in console.file.getvalue()
    assert summarise("msanet").classes == 19


def test_a_network_without_a_choice_of_encoder():
    assert summarise("msanet").encoder is None


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(width):
    rows = [
        Summary(
            name,
            "x",
            "Badrinarayanan, Kendall & Cipolla, SegNet, 2017",
            encoder,
            134_371_199,
            719_800_000_000,
            (1, 1),
            32,
        )
        for name, encoder in (("attention_fcn", None), ("segformer", "pvt_v2_b0"))
    ]
    console = Console(width=width, file=io.StringIO(), soft_wrap=True)
    console.print(table(rows), soft_wrap=False)
    text = console.file.getvalue()
    assert all(len(line) <= width for line in text.splitlines()) and "…" not in text
    for word in ("attention_fcn", "134.37 M", "719.8 G", "its own", "pvt_v2_b0", "Badrinarayanan,", "360x480"):
        assert word in text, word


def test_options_of_one_network():
    found = describe("pspnet")
    assert (
        found["name"] == "pspnet"
        and found["what"] == "the whole picture's context, pooled at several scales, beside each position."
    )
    assert found["options"].keys() == models.config_class("pspnet").model_fields.keys()
    assert found["options"]["bins"]["default"] == (1, 2, 3, 6) and "SIS-CNN" in found["options"]["bins"]["meaning"]
