"""Which weights are at hand: what lies in the hub's cache, and what is said where nothing does."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm

from tarsia.auto import rules, weights
from tarsia.models import _weights


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, empty, on a machine without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(_weights, "_unreachable", lambda _: pytest.fail("asked the network"))
    return tmp_path


def keep(cache: Path, encoder: str) -> None:
    """Lay an encoder's file out as the hub's library does; nothing here reads it."""
    config = timm.get_pretrained_cfg(encoder)
    assert config is not None and config.hf_hub_id is not None
    folder = cache / f"models--{config.hf_hub_id.replace('/', '--')}"
    revision = "0" * 40
    for path, text in ((f"snapshots/{revision}/model.safetensors", "weights"), ("refs/main", revision)):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)


def names(found: list[rules.Network]) -> list[str]:
    assert {one.weights for one in found} <= {"imagenet"}
    return [one.encoder for one in found]


def test_each_encoder_is_looked_for_in_the_cache(cache: Path) -> None:
    keep(cache, "mobilenetv1_100")
    found, why = weights.at_hand(rules.LIGHT, None)
    assert (names(found), why, found[0].licence) == (["mobilenetv1_100"], "", "apache-2.0")
    keep(cache, "resnet18")
    assert names(weights.at_hand(rules.LIGHT, None)[0]) == ["mobilenetv1_100", "resnet18"]
    keep(cache, "mobilenetv2_100")
    assert names(weights.at_hand(rules.LIGHT, None)[0]) == ["mobilenetv2_100", "mobilenetv1_100", "resnet18"]


def test_an_empty_cache_says_all_that_was_looked_for(cache: Path) -> None:
    found, why = weights.at_hand(rules.LIGHT, None)
    assert found == [] and why == (
        "imagenet weights of mobilenetv2_100 are not on this machine and `offline` is on (HF_HUB_OFFLINE), "
        "nor is any of mobilenetv1_100, tf_efficientnet_lite0 and resnet18 in the hub's cache"
    )
    assert weights.at_hand(["resnet18"], None)[1].endswith("`offline` is on (HF_HUB_OFFLINE)")


def test_a_hub_that_answers_is_asked_for_the_best_one_alone(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(cache, "resnet18")
    asked: list[str] = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_weights, "_unreachable", lambda _: None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *place: asked.append(place[0]) or "a file")
    assert names(weights.at_hand(rules.LIGHT, None)[0]) == ["mobilenetv2_100", "resnet18"]
    assert asked == ["timm/mobilenetv2_100.ra_in1k"]
    monkeypatch.setattr(_weights, "_unreachable", lambda _: "no route")
    assert names(weights.at_hand(rules.LIGHT, None)[0]) == ["resnet18"]
