"""The style network: AdaIN's statistics, every size, its file, and that it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from tarsia import models
from tarsia.adaptation.style import (
    StyleCard,
    StyleNetwork,
    adain,
    is_style,
    load_style,
    open_restyler,
    save_style,
    statistics,
    style_loss,
)
from tarsia.adaptation.style_generators import Mirrored, parts_of
from tarsia.adaptation.style_training import PUBLISHED, StyleTraining, encoder_of, take_encoder
from tarsia.card import Card, Classes
from tarsia.data._unlabelled import open_unlabelled
from tarsia.engines.weights import save_model
from tarsia.errors import ModelFileError, RecipeError
from tarsia.models._encoders import Encoder

CARD = StyleCard(encoder="test_resnet")


def network(**fields: Any) -> StyleNetwork:
    return StyleNetwork(CARD.model_copy(update=fields)).eval()


def pictures(count: int = 2, size: tuple[int, int] = (40, 56), seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_adain_has_the_styles_statistics() -> None:
    torch.manual_seed(0)
    content, style = 3 * torch.randn(2, 5, 7, 9) + 1, 0.5 * torch.randn(2, 5, 4, 11) - 2
    found = adain(content, *statistics(style))
    for b in range(2):
        for c in range(5):
            here, there = found[b, c].numpy(), style[b, c].numpy()
            assert here.mean() == pytest.approx(there.mean(), abs=1e-4)
            assert here.std() == pytest.approx(there.std(), abs=1e-4)
            z = content[b, c].numpy()
            slow = there.std() * (z - z.mean()) / z.std() + there.mean()  # Song et al. eq. 1
            assert np.allclose(here, slow, atol=1e-4)


def test_adain_of_a_constant_channel_is_the_styles_mean() -> None:
    content, style = torch.full((1, 2, 3, 3), 7.0), torch.randn(1, 2, 5, 5)
    mean, deviation = statistics(style)
    assert torch.allclose(adain(content, mean, deviation), mean.expand(1, 2, 3, 3), atol=1e-4)
    flat = adain(style, *statistics(content))
    assert torch.allclose(flat, content[..., :1, :1].expand_as(flat), atol=1e-3)


def test_strength_runs_from_the_own_code_to_the_styles() -> None:
    net = network()
    maps = net.maps(pictures(size=(32, 48)))
    style = [statistics(one) for one in net.maps(pictures(size=(64, 32), seed=1))]
    kept, half, full = (net.mixed(maps, style, strength) for strength in (0.0, 0.5, 1.0))
    for own, none, some, all_, its in zip(maps, kept, half, full, style, strict=True):
        assert torch.equal(none, own)
        assert torch.allclose(all_, adain(own, *its), atol=1e-5)
        assert torch.allclose(some, (none + all_) / 2, atol=1e-5)
    image, reference = pictures(), pictures(seed=1)
    same = net.restyle(image, reference, 0.0)
    assert torch.equal(same, net.restyle(image, image.flip(3), 0.0)), "at strength 0 the reference does not matter"
    assert not torch.equal(same, net.restyle(image, reference, 1.0))
    with pytest.raises(ValueError, match="strength is 2"):
        net.restyle(image, reference, 2)


@pytest.mark.parametrize("size", [(40, 56), (33, 47), (3, 200), (1, 1)])
@pytest.mark.parametrize("skips", ["none", "maps", "picture"])
@pytest.mark.parametrize("generator", ["plain", "mirrored"])
def test_every_size_is_kept(size: tuple[int, int], skips: str, generator: str) -> None:
    found = network(skips=skips, generator=generator).restyle(pictures(size=size), pictures(1, size=(21, 80)))
    assert found.dtype == torch.uint8 and found.shape == (2, 3, *size)


def test_one_reference_serves_a_batch_and_pictures_do_not_touch_each_other() -> None:
    net, image = network(), pictures(3)
    together = net.restyle(image, pictures(1, seed=1))
    alone = net.restyle(image[1:2], pictures(1, seed=1))
    assert (together[1:2].int() - alone.int()).abs().max() <= 1


@pytest.mark.parametrize("kind", ["grey", "black"])
def test_grey_and_constant_pictures_have_a_result(kind: str) -> None:
    strange = pictures()[:, :1].expand(2, 3, 40, 56) if kind == "grey" else torch.zeros(2, 3, 40, 56, dtype=torch.uint8)
    for found in (network().restyle(strange, pictures(seed=1)), network().restyle(pictures(seed=1), strange)):
        assert found.shape == (2, 3, 40, 56)


@pytest.mark.parametrize("norm", ["rms", "l2"])
def test_loss_is_equation_2(norm: Any) -> None:
    torch.manual_seed(0)
    code, wanted, style = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5), torch.randn(2, 3, 6, 2)
    apart = [
        code - wanted,
        code.mean((2, 3)) - style.mean((2, 3)),
        code.std((2, 3), correction=0) - style.std((2, 3), correction=0),
    ]
    if norm == "rms":
        terms = [(one**2).mean() ** 0.5 for one in apart]
    else:
        terms = [torch.stack([picture.norm() for picture in one]).mean() for one in apart]
    found = float(style_loss(code, wanted, statistics(style), norm))
    assert found == pytest.approx(float(sum(terms)), abs=1e-5)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Reddish bright pictures, and dark blue ones."""
    random = np.random.default_rng(0)
    for name, color in (("day", (200, 120, 90)), ("night", (20, 20, 60))):
        (tmp_path / name).mkdir()
        for index in range(3):
            image = np.clip(color + random.normal(0, 25, (40, 48, 1)) + random.normal(0, 4, (40, 48, 3)), 0, 255)
            Image.fromarray(image.astype(np.uint8)).save(tmp_path / name / f"{index}.png")
    return tmp_path / "day", tmp_path / "night"


def test_learns_and_only_the_generator_does(folders: tuple[Path, Path]) -> None:
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    learning = StyleTraining(net, tuple(map(open_unlabelled, folders)), batch=4, seed=1)  # type: ignore[arg-type]
    losses = learning.run(30)
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    changed = {
        name.partition(".")[0] for name, value in net.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"generator"}
    day, night = (next(open_unlabelled(folder).spread(1)) for folder in folders)
    path = folders[0].parent / "style.safetensors"
    save_style(path, net, CARD)
    restyled = open_restyler(path, folders[1], device="cpu")(day[None])[0]
    assert abs(restyled.mean() - night.mean()) < abs(day.mean() - night.mean()) / 2
    assert not list(path.parent.glob("*.part"))


def test_the_published_loss_is_equation_2_alone(folders: tuple[Path, Path]) -> None:
    pairs: Any = tuple(map(open_unlabelled, folders))
    settings = {key: PUBLISHED[key] for key in ("stages_weight", "identity_weight", "norm")}
    net = network(generator="mirrored", skips="none").train()
    content, style = pictures(2, (32, 48)), pictures(2, (32, 48), 1)
    maps, its = net.maps(content), statistics(net.maps(style)[-1])
    wanted = adain(maps[-1], *its)
    found = net.maps(net.generated([*maps[:-1], wanted]))[-1]
    alone = float(style_loss(found, wanted, its, "l2").detach())
    published = StyleTraining(net, pairs, batch=2, **settings)
    assert float(published.loss(content, style).detach()) == pytest.approx(alone, rel=1e-5)
    for term in ("stages_weight", "identity_weight"):
        more = StyleTraining(net, pairs, batch=2, **settings | {term: 0.5})
        assert float(more.loss(content, style).detach()) > alone
        assert more.settings()[term] == 0.5


@pytest.mark.parametrize("settings", [{"stages_weight": -1.0}, {"identity_weight": float("nan")}, {"norm": "l1"}])
def test_settings_out_of_range(settings: dict[str, Any], folders: tuple[Path, Path]) -> None:
    with pytest.raises(RecipeError, match=next(iter(settings))):
        StyleTraining(network(), tuple(map(open_unlabelled, folders)), **settings)  # type: ignore[arg-type]


def test_the_same_seed_learns_the_same(folders: tuple[Path, Path]) -> None:
    pairs = tuple(map(open_unlabelled, folders))
    runs = [StyleTraining(network(), pairs, batch=2, seed=3).run(3) for _ in range(2)]  # type: ignore[arg-type]
    assert runs[0] == runs[1]


def test_file_round_trip(tmp_path: Path) -> None:
    path, net = tmp_path / "style.safetensors", network(skips="none")
    card = CARD.model_copy(update={"skips": "none", "provenance": {"steps": 3}})
    save_style(path, net, card)
    again, found = load_style(path)
    assert found == card and is_style(path)
    assert torch.equal(again.restyle(pictures(), pictures(seed=1)), net.restyle(pictures(), pictures(seed=1)))


def write_model(path: Path, architecture: str = "unet", **options: Any) -> Path:
    classes = Classes(names=("a", "b"), colors=((0, 0, 0), (9, 9, 9)))
    config = models.config_class(architecture).model_validate(options).model_dump(mode="json")
    model = models.create(architecture, 2, options=options)
    save_model(path, model, Card(architecture=architecture, model=config, classes=classes))
    return path


def test_an_encoder_of_a_model(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.safetensors", encoder="test_resnet", channels=[8] * 5)
    file, given = encoder_of(path)
    net = StyleNetwork(StyleCard(**given))
    take_encoder(net, file)
    theirs = {name.removeprefix("encoder."): value for name, value in torch_tensors(path).items()}
    assert all(torch.equal(value, theirs[name]) for name, value in net.encoder.state_dict().items())
    with pytest.raises(ModelFileError, match="does not fit"):
        take_encoder(StyleNetwork(StyleCard(encoder="resnet18")), file)
    with pytest.raises(ModelFileError, match="has no timm encoder"):
        encoder_of(write_model(tmp_path / "other.safetensors", "unet_original", channels=[4] * 5))


def torch_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def test_bad_style_files(tmp_path: Path) -> None:
    net = network()
    other = tmp_path / "other.safetensors"
    save_style(other, net, StyleCard(encoder="resnet18"))
    cut = tmp_path / "cut.safetensors"
    save_style(cut, net, CARD)
    cut.write_bytes(cut.read_bytes()[:-4])
    flipped = tmp_path / "flipped.safetensors"
    save_style(flipped, net, CARD)
    content = bytearray(flipped.read_bytes())
    content[-1] ^= 1
    flipped.write_bytes(bytes(content))
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": np.zeros(1, np.float32)}, foreign)
    model = write_model(tmp_path / "model.safetensors", encoder="test_resnet", channels=[8] * 5)
    (tmp_path / "text.safetensors").write_text("hello")
    cases = {
        other: "weights do not fit its card",
        cut: "cut or damaged",
        flipped: "sha256 does not match",
        foreign: "not written by Tarsia",
        model: "a segmentation model, give it as MODEL",
        tmp_path / "missing.safetensors": "no such style file",
        tmp_path / "text.safetensors": "expected a Tarsia model file",
    }
    for path, message in cases.items():
        with pytest.raises(ModelFileError, match=message):
            load_style(path)


@pytest.mark.parametrize("stride", [4, 16])
def test_other_strides(stride: int) -> None:
    assert network(stride=stride).restyle(pictures(), pictures()).shape == (2, 3, 40, 56)


def test_encoders_without_the_stride() -> None:
    with pytest.raises(RecipeError, match="encoder='test_vit': its maps lie at"):
        StyleNetwork(StyleCard(encoder="test_vit"))
    with pytest.raises(RecipeError, match="unknown encoder"):
        StyleNetwork(StyleCard(encoder="resnet999"))


# ---- the mirrored generator


def convolutions(module: torch.nn.Module) -> list[tuple[int, int, int]]:
    return [
        (one.in_channels, one.out_channels, one.kernel_size[0])
        for one in module.modules()
        if isinstance(one, torch.nn.Conv2d)
    ]


def test_a_resnet50_mirrored() -> None:
    encoder = Encoder("resnet50", options={"out_indices": (0, 1, 2)})
    forwards, backwards = convolutions(encoder), convolutions(Mirrored(encoder, "none"))
    assert len(forwards) == len(backwards) == 24, "the stem, 3 and 4 bottlenecks, and 2 shortcuts"
    assert sorted(backwards) == sorted((outputs, inputs, kernel) for inputs, outputs, kernel in forwards)
    parts = parts_of(encoder)
    assert [part.channels for part in parts] == [(3, 64), (64, 256), *[(256, 256)] * 2, (256, 512), *[(512, 512)] * 3]
    assert [part.reduced for part in parts] == [2, 4, 4, 4, 8, 8, 8, 8]
    assert all(part.residual for part in parts[1:]) and not any(part.linear for part in parts)


@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18d", "resnext50_32x4d", "vgg11_bn", "efficientnet_b0"])
def test_other_encoders_mirrored(name: str) -> None:
    net = StyleNetwork(StyleCard(encoder=name, generator="mirrored", skips="maps")).eval()
    assert net.restyle(pictures(), pictures()).shape == (2, 3, 40, 56)
    assert parts_of(net.encoder)[-1].reduced == 8


def test_encoders_that_cannot_be_mirrored() -> None:
    with pytest.raises(RecipeError, match="no chain of convolutions"):
        StyleNetwork(StyleCard(encoder="densenet121", generator="mirrored"))


@pytest.mark.parametrize("generator", ["plain", "mirrored"])
def test_skips_none_is_the_code_alone(generator: str) -> None:
    for skips, depends in (("none", False), ("maps", True), ("picture", True)):
        net = network(generator=generator, skips=skips)
        for part in net.generator.parameters():  # a block that begins as its shortcut hides nothing
            torch.nn.init.normal_(part, std=0.1)
        *finer, code = net.maps(pictures(size=(32, 48)))
        others = net.maps(pictures(size=(32, 48), seed=1))[:-1]
        same = torch.equal(net.generated([*finer, code]), net.generated([*others, code]))
        assert same != depends


def test_the_published_form_learns(folders: tuple[Path, Path]) -> None:
    net = network(generator="mirrored", skips="none")
    settings = {key: PUBLISHED[key] for key in ("stages_weight", "identity_weight", "norm")}
    learning = StyleTraining(net, tuple(map(open_unlabelled, folders)), batch=4, seed=1, **settings)  # type: ignore[arg-type]
    losses = learning.run(60)
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_a_file_says_which_generator_it_has_and_an_older_one_is_plain(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    card = CARD.model_copy(update={"generator": "mirrored", "skips": "none"})
    net = StyleNetwork(card).eval()
    save_style(path, net, card)
    again, found = load_style(path)
    assert found.generator == "mirrored"
    assert torch.equal(again.restyle(pictures(), pictures(seed=1)), net.restyle(pictures(), pictures(seed=1)))
    assert StyleCard.model_validate_json('{"encoder": "test_resnet", "skips": "maps"}').generator == "plain"
