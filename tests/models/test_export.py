"""Every network as an ONNX file answers as it does in torch, on its smallest configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from small_data import CLASSES, draw
from tarsia import models
from tarsia.card import Card, Classes, Input
from tarsia.data._dataset import Sample
from tarsia.engines import onnx_file
from tarsia.engines.open import engine_class
from tarsia.engines.torch_engine import TorchEngine
from tarsia.errors import ModelFileError
from tarsia.exporters.gate import SHARE, runners
from tarsia.exporters.parity import Trial, parity
from tarsia.exporters.writer import exported, with_interface
from tarsia.prediction.predictor import Predictor

# What a network's options change in its graph.
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("pspnet", {"squeeze_excitation": True, "refine": True, "bins": (1, 2, 3, 4)}),
    ("segnet", {"encoder": "test_resnet", "width": 1.0}),
    ("unet", {"encoder": "test_efficientnet", "encoder_options": {"pad_type": "same"}, "upsampling": "nearest"}),
]


class Pictures:
    """Drawn ones of sizes that no stride divides."""

    classes = Classes(names=CLASSES, colors=((90, 120, 90), (200, 60, 40), (40, 80, 210)))
    sizes = ((97, 131), (64, 190), (150, 75))

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Sample:
        return Sample(*draw(index, self.sizes[index]), self.name(index))

    def name(self, index: int) -> str:
        return f"drawn{index}"


@pytest.mark.parametrize(
    ("name", "options"), [*((name, {}) for name in models.names()), *OTHERS], ids=lambda one: "".join(map(str, one))
)
def test_it_passes_the_gate(name: str, options: dict[str, Any]) -> None:
    settings = models.config_class(name).smallest | options
    model = models.create(name, len(CLASSES), seed=3, options=settings).eval()
    for parameter in model.parameters():
        if not parameter.any():  # layers that start at zero would answer zero on both sides
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(7))
    card = Card(architecture=name, model=settings, classes=Pictures.classes, input=Input(stride=model.stride))
    content = with_interface(exported(model, card), card)
    file = onnx_file.parse(content, name)
    before = Trial("torch", Predictor(TorchEngine(model, card, "cpu")), 0)
    kinds = {node.op_type for node in onnx.load_from_string(content).graph.node}
    sides = []
    for runner in runners():
        if runner.engine == "openvino" and "Scan" in kinds:  # of exporters/attention.py
            with pytest.raises(ModelFileError, match=r"OpenVINO 20.* cannot run it .*Scan"):
                engine_class("openvino")(file, name, "cpu")
        elif runner.precision == "float32":
            engine = engine_class(runner.engine)(file, name, "cpu", threads=1)
            sides.append(Trial(runner.name, Predictor(engine), len(content)))
    for report in parity(before, sides, Pictures(), images=9):
        assert report.changed_share <= SHARE, f"{report.after.name}: {report.summary()}"
        if report.after.name != "onnxruntime" or name == "segnet":
            continue  # where two maxima are alike, rounding has SegNet unpool to another position: one pixel
        difference = max(report.on_pictures.largest_score_difference, report.at_sizes.largest_score_difference)
        assert difference <= 1e-4 * report.largest_score, f"{report.after.name}: {report.summary()}"
    assert len(np.unique(before.counts_KK1.sum(0))) > 1  # more than one class was seen
    assert not [part for part in (b"site-packages", b"torch.fx", b"tarsia/models") if part in content]
    if name == "pspnet" and not options:
        # Its pooling is a product of matrices: these would run on OpenVINO's slow reference kernels.
        assert not {"GatherND", "ReduceMean"} & kinds
