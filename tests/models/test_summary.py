"""What `tarsia models` says of the networks."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import nn

from tarsia import models
from tarsia.errors import RecipeError
from tarsia.models import _sizes, _startable
from tarsia.models._sizes import Summary, table
from tarsia.models._summary import describe, summarise


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


def test_the_table_that_comes_with_tarsia_is_what_is_counted():
    counted = [summarise(name) for name in models.names()]
    assert _sizes.stored() == counted, "run make docs"
    assert _sizes.written(counted) == _sizes.STORED.read_text(encoding="utf-8")


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


def test_what_can_be_started_from(tmp_path, monkeypatch):
    """Of timm's configuration and of the files of a folder, without a network."""
    for name, metadata in (("mobilenetv2_100_tf", {"license": "MIT", "source": "us"}), ("test_resnet.mine", None)):
        save_file({"x": torch.zeros(250)}, tmp_path / f"{name}.safetensors", metadata=metadata)
    (tmp_path / "cut.safetensors").write_bytes(b"x")
    cut, tf, mine = _startable.of_folder(tmp_path)
    assert (tf.encoder, tf.licence, tf.source, round(tf.megabytes, 3)) == ("mobilenetv2_100", "MIT", "us", 0.001)
    assert (mine.encoder, mine.licence, mine.here) == ("test_resnet", "", True) and "cut file" in cut.source
    monkeypatch.setattr(models, "names", lambda: ["unet"])
    small, default, large = _startable.of_timm(["convnextv2_atto", "test_resnet"])
    assert (small.encoder, default.encoder, large.encoder) == ("test_resnet", "convnextv2_atto", "resnet18")
    assert (default.licence, large.source) == ("cc-by-nc-4.0", "timm/resnet18.a1_in1k") and large.megabytes > 40
    console = Console(width=80, file=io.StringIO())
    console.print(_startable.table([tf, mine, large]))
    assert all(word in console.file.getvalue() for word in ("not stated", "apache-2.0", "mobilenetv2_100", "46.8"))
    with pytest.raises(RecipeError, match=r"weights='.*none': no such folder"):
        _startable.of_folder(tmp_path / "none")
