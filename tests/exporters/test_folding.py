"""Batch normalisation that is taken into convolutions: which, and that answers stay."""

from __future__ import annotations

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from tarsia.exporters.folding import fold


class Network(nn.Module):
    """A norm that can go, one with its activation, one whose convolution's map is looked at twice, one used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.plain = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.second, self.active = nn.Conv2d(4, 4, 1), BatchNormAct2d(4)
        self.third, self.beside = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.fourth, self.twice = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.active(self.second(self.plain(self.first(x))))
        x = self.third(x)
        x = torch.cat([self.beside(x), x], 1)[:, 2:6]
        return self.twice(self.fourth(self.twice(self.fourth(x))))


def test_norms_that_alone_look_at_a_map_go_and_answers_stay() -> None:
    torch.manual_seed(0)
    network = Network()
    for _ in range(3):
        network(torch.randn(4, 3, 8, 8) + 1)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    network.eval()
    x = torch.randn(2, 3, 8, 8)
    before = network(x)
    fold(network, torch.zeros(2, 3, 8, 8))
    kept = [name for name, part in network.named_children() if type(part) in (nn.BatchNorm2d, BatchNormAct2d)]
    assert kept == ["beside", "twice"]
    torch.testing.assert_close(network(x), before, rtol=1e-4, atol=1e-5)
