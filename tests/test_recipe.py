"""Recipes: bad ones as a table, typos anywhere, and every default there and back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tarsia import models, yaml_tree
from tarsia.errors import RecipeError
from tarsia.recipe import Recipe
from tarsia.recipe_train import TrainRecipe

BASE = "data:\n  name: streets\nmodel:\n  name: unet\n"
FULL = """\
name: full
seed: 3
data:
  name: streets
  count: 4
  train: train
model:
  name: pspnet
  encoder: test_resnet
  bins: [1, 2]
  freeze: [layer1]
input:
  size: [64, 96]
augment:
  horizontal_flip: 0.5
  crop: [32, 32]
  scale:
    min: 0.5
    max: 2.0
  color_jitter:
    brightness: 0.1
train:
  epochs: 2
  learning_rate: 1e-3
  class_weights: [1, 2.5]
  schedule: cosine
"""


def load(folder, text: str, overrides=()) -> Recipe:
    (folder / "r.yaml").write_text(text)
    return Recipe.load(folder / "r.yaml", overrides)


def faults(folder, text: str, overrides=()) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load(folder, text, overrides)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def test_a_recipe_is_typed_named_after_its_file_and_keeps_its_options(tmp_path):
    found = load(tmp_path, BASE + "  encoder: test_resnet\n")
    assert found.name == "r" and found.model.options == {"encoder": "test_resnet"} and found.data.options == {}
    full = load(tmp_path, FULL)
    assert full.name == "full" and full.train.learning_rate == 1e-3 and full.train.class_weights == (1.0, 2.5)
    assert full.model.freeze == ("layer1",) and full.model.options == {"encoder": "test_resnet", "bins": [1, 2]}
    assert full.data.options == {"count": 4}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("train:\n  learnin_rate: 1\n", "r.yaml:6: train.learnin_rate: unknown key, did you mean learning_rate?"),
        ("trian: {}\n", "r.yaml:5: trian: unknown key, did you mean train?"),
        ("  encodr: x\n", "r.yaml:5: model.encodr: unknown key, did you mean encoder?"),
        ("  weigts: none\n", "r.yaml:5: model.weigts: unknown key, did you mean weights?"),
        ("  channels: [8, 0]\n", "r.yaml:5: model.channels.1: Input should be greater than or equal to 1, got 0"),
        ("  upsampling: cubic\n", "r.yaml:5: model.upsampling: Input should be 'transposed' or 'nearest', got 'cubic'"),
        ("  std: [1, 1, 0]\n", "r.yaml:5: model.std.2: Input should be greater than 0, got 0"),
        ("  head_start: -1\n", "r.yaml:5: model.head_start: Input should be greater than or equal to 0; or: Input"),
        ("  head_start: fanin\n", "r.yaml:5: model.head_start: Input should be a valid number, unable to parse string"),
        ("  head_start: .inf\n", "r.yaml:5: model.head_start: Input should be"),
        ("  freeze: all\n", "r.yaml:5: model.freeze: Input should be a valid tuple, got 'all'"),
        ("train: {epochs: 0}\n", "r.yaml:5: train.epochs: Input should be greater than or equal to 1, got 0"),
        ("train: {epochs: 1.5}\n", "r.yaml:5: train.epochs: Input should be a valid integer"),
        ("train: {epochs: many}\n", "r.yaml:5: train.epochs: Input should be a valid integer"),
        ("train: {batch: yes}\n", "r.yaml:5: train.batch: YAML reads true"),
        ("train: {learning_rate: .inf}\n", "r.yaml:5: train.learning_rate: Input should be a finite number"),
        ("train: {learning_rate: -1e-3}\n", "r.yaml:5: train.learning_rate: Input should be greater than 0"),
        ("train: {optimizer: adamx}\n", "r.yaml:5: train.optimizer: Input should be 'adam', 'adamw' or 'sgd'"),
        ("train: {class_weights: [1, -1]}\n", "r.yaml:5: train.class_weights.1: Input should be greater than"),
        ("train: {loss: dise}\n", "r.yaml:5: train.loss.dise: unknown key, did you mean dice?"),
        ("train:\n  loss: {dice: 1, focl: 2}\n", "r.yaml:6: train.loss.focl: unknown key, did you mean focal?"),
        ("train:\n  loss:\n    dice: 1\n    focal_gama: 2\n", "r.yaml:8: train.loss.focal_gama: unknown key, did you"),
        ("train: {loss: zzz}\n", "r.yaml:5: train.loss.zzz: unknown key; known: cross_entropy, dice, focal"),
        ("train: {loss: {dice: 0, focal: 0.0}}\n", "r.yaml:5: train.loss: no loss has a weight above 0: give one to"),
        ("train: {loss: {focal_gamma: 1}}\n", "r.yaml:5: train.loss: no loss has a weight above 0: give one to"),
        ("train: {loss: {}}\n", "r.yaml:5: train.loss: no loss has a weight above 0: give one to"),
        ("train: {loss: [dice]}\n", "r.yaml:5: train.loss: expected keys and values below it, got ['dice']"),
        ("train: {loss: 3}\n", "r.yaml:5: train.loss: expected keys and values below it, got 3"),
        ("train: {loss: null}\n", "r.yaml:5: train.loss: expected keys and values below it, got None"),
        ("train: {loss: yes}\n", "r.yaml:5: train.loss: YAML reads true"),
        ("train: {loss: {dice: yes}}\n", "r.yaml:5: train.loss.dice: YAML reads true"),
        ("train: {loss: {dice: -1}}\n", "r.yaml:5: train.loss.dice: Input should be greater than or equal to 0"),
        ("train: {loss: {dice: 1e7}}\n", "r.yaml:5: train.loss.dice: Input should be less than or equal to 1000000"),
        ("train: {loss: {dice: .nan}}\n", "r.yaml:5: train.loss.dice: Input should be a finite number"),
        ("train: {loss: {focal: 1, focal_gamma: -1}}\n", "r.yaml:5: train.loss.focal_gamma: Input should be greater"),
        ("train: {loss: {ohem: 1, ohem_threshold: 0}}\n", "r.yaml:5: train.loss.ohem_threshold: Input should be gre"),
        ("train: {loss: {ohem: 1, ohem_least: 1.1}}\n", "r.yaml:5: train.loss.ohem_least: Input should be less than"),
        ("train: {loss: {dice: 1, smooth: -1}}\n", "r.yaml:5: train.loss.smooth: Input should be greater than or"),
        ("train: {class_weights: rare}\n", "r.yaml:5: train.class_weights: Input should be 'none', 'median_"),
        ("train: 5\n", "r.yaml:5: train: expected keys and values below it, got 5"),
        ("input: {size: [1]}\n", "r.yaml:5: input.size.1: is missing"),
        ("input: {size: [1, 2, 3]}\n", "r.yaml:5: input.size: Tuple should have at most 2 items"),
        ("input: {size: 224}\n", "r.yaml:5: input.size: Input should be a valid tuple, got 224"),
        ("input: {size: [9, 9], short_side: 9}\n", "r.yaml:5: input: size and short_side exclude each other"),
        ("augment:\n  scale: {min: 2, max: 1}\n", "r.yaml:6: augment.scale: min is larger than max"),
        ("augment:\n  scale: {mn: 2}\n", "r.yaml:6: augment.scale.mn: unknown key, did you mean min?"),
        ("augment: {vertical_flip: 1.5}\n", "r.yaml:5: augment.vertical_flip: Input should be less than or equal to 1"),
        ("seed: -1\n", "r.yaml:5: seed: Input should be greater than or equal to 0"),
        ("expected: {miou: [0.4, 0.5]}\n", "r.yaml:5: expected.source: is missing"),
        ("expected: {source: x}\n", "r.yaml:5: expected: no metric: give one of miou, mpa, pixel_accuracy"),
        ("expected:\n  mioou: [0.4, 0.5]\n  source: x\n", "r.yaml:6: expected.mioou: unknown key, did you mean miou?"),
        ("expected: {miou: [0.5, 0.4], source: x}\n", "r.yaml:5: expected.miou: the least is larger than the most"),
        (
            "expected: {miou: [0, 1.5], source: x}\n",
            "r.yaml:5: expected.miou.1: Input should be less than or equal to 1",
        ),
        ("expected: {miou: 0.4, source: x}\n", "r.yaml:5: expected.miou: Input should be a valid tuple, got 0.4"),
        ("name: ../elsewhere\n", "r.yaml:5: name: a run's name is the name of one folder"),
        ("name: ''\n", "r.yaml:5: name: a run's name is the name of one folder"),
        ("name: 5\n", "r.yaml:5: name: Input should be a valid string, got 5"),
        ("seed: 1\nseed: 2\n", "r.yaml:6: seed: key given twice"),
        ("seed: &s 1\ntrain: {epochs: *s}\n", "r.yaml:6: YAML aliases (*name) are not allowed"),
    ],
)
def test_a_bad_recipe_is_one_line_with_place_and_remedy(tmp_path, more, expected):
    found = faults(tmp_path, BASE + more)
    assert found[0].startswith(expected) and len(found) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: {name: unet}\n", ["r.yaml: data: is missing"]),
        ("data: {}\nmodel: {nam: unet}\n", ["r.yaml:1: data.name: is missing", "r.yaml:2: model.name: is missing"]),
        ("data: {name: street}\nmodel: {name: unett}\n", [
            "r.yaml:1: data.name: unknown data set street, did you mean streets?",
            "r.yaml:2: model.name: unknown model unett, did you mean unet?",
        ]),
        ("data: streets\nmodel: [unet]\n", [
            "r.yaml:1: data: expected keys and values below it, got 'streets'",
            "r.yaml:2: model: expected keys and values below it, got ['unet']",
        ]),
        ("data: {name: 3}\nmodel: {name: [unet]}\n", [
            "r.yaml:1: data.name: Input should be a valid string, got 3",
            "r.yaml:2: model.name: Input should be a valid string, got ['unet']",
        ]),
        ("data: {name: streets, cuont: 3, 7: x}\nmodel: {name: unet, encodr: x}\ntrain: {epochs: 0, x: 1}\n", [
            "r.yaml:1: data.cuont: unknown key, did you mean count?",
            "r.yaml:1: data.7: unknown key; known:",
            "r.yaml:2: model.encodr: unknown key, did you mean encoder?",
            "r.yaml:3: train.epochs: Input should be",
            "r.yaml:3: train.x: unknown key",
        ]),
    ],
)  # fmt: skip
def test_all_faults_of_all_sections_at_once(tmp_path, text, expected):
    found = faults(tmp_path, text)
    assert len(found) == len(expected), found
    assert all(one.startswith(start) for one, start in zip(found, expected, strict=True)), found


def test_overrides_reach_options_and_are_named_in_faults(tmp_path):
    found = load(tmp_path, BASE, ["model.encoder=test_vit", "data.count=3", "train.learning_rate=3e-4", "name=other"])
    assert found.model.options == {"encoder": "test_vit"} and found.data.options == {"count": 3}
    assert found.train.learning_rate == 3e-4 and found.name == "other"
    assert faults(tmp_path, BASE, ["model.encodr=x"]) == [
        "overrides=['model.encodr=x']: model.encodr: unknown key, did you mean encoder?"
    ]


def test_another_model_s_options_are_refused(tmp_path):
    assert faults(tmp_path, BASE + "  bins: [1]\n")[0].startswith("r.yaml:5: model.bins: unknown key")
    assert load(tmp_path, BASE + "  bins: [1]\n", ["model.name=pspnet"]).model.options == {"bins": [1]}


@pytest.mark.parametrize(
    ("written", "start"), [("0", 0), ("0.01", 0.01), ("1e-2", 0.01), ("fan_in", "fan_in"), ("he", "he")]
)
def test_how_scores_start(tmp_path, written, start):
    assert load(tmp_path, f"{BASE}  head_start: {written}\n").model.head_start == start
    assert load(tmp_path, BASE, [f"model.head_start={written}"]).model.head_start == start


def test_every_default_comes_back_from_yaml(tmp_path):
    recipe = load(tmp_path, BASE)
    yaml_tree.dump(tmp_path / "again.yaml", recipe)
    assert Recipe.load(tmp_path / "again.yaml") == recipe
    written = yaml.safe_load((tmp_path / "again.yaml").read_text())
    assert set(written["train"]) == set(TrainRecipe.model_fields), "a resolved recipe says everything"


def test_a_full_recipe_comes_back_from_yaml(tmp_path):
    recipe = load(tmp_path, FULL)
    yaml_tree.dump(tmp_path / "again.yaml", recipe, "a header")
    assert Recipe.load(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("written", "weights"),
    [
        ("", {"cross_entropy": 1.0}),
        ("train: {loss: dice}\n", {"dice": 1.0}),
        ("train: {loss: {cross_entropy: 1, dice: 0.5}}\n", {"cross_entropy": 1.0, "dice": 0.5}),
        ("train: {loss: {lovasz: 1e-3, dice: 0, focal_gamma: 5}}\n", {"lovasz": 1e-3}),
    ],
)
def test_a_loss_by_name_or_a_sum_comes_back_from_yaml(tmp_path, written, weights):
    recipe = load(tmp_path, BASE + written)
    assert recipe.train.loss.weights == weights
    yaml_tree.dump(tmp_path / "again.yaml", recipe)
    assert Recipe.load(tmp_path / "again.yaml") == recipe


def test_a_loss_by_override(tmp_path):
    assert load(tmp_path, BASE, ["train.loss=ohem", "seed=1"]).train.loss.weights == {"ohem": 1.0}
    assert load(tmp_path, BASE, ["train.loss.ohem=2", "train.loss.smooth=1"]).train.loss.weights == {"ohem": 2.0}
    assert faults(tmp_path, BASE, ["train.loss=dise"]) == [
        "overrides=['train.loss=dise']: train.loss.dise: unknown key, did you mean dice?"
    ]


def test_what_a_recipe_expects_comes_back_from_yaml(tmp_path):
    recipe = load(tmp_path, BASE + "expected: {miou: [0.4, 0.5], pixel_accuracy: [0, 1], source: 'Guo, table 4'}\n")
    assert recipe.expected is not None
    assert recipe.expected.ranges == {"miou": (0.4, 0.5), "pixel_accuracy": (0.0, 1.0)}
    yaml_tree.dump(tmp_path / "again.yaml", recipe)
    assert Recipe.load(tmp_path / "again.yaml") == recipe
    assert load(tmp_path, BASE).expected is None


@pytest.mark.parametrize("name", models.names())
def test_every_model_s_defaults_come_back_from_yaml(tmp_path, name):
    defaults = models.config_class(name)().model_dump(mode="json")
    recipe = Recipe.model_validate({"name": "x", "data": {"name": "streets"}, "model": {"name": name, **defaults}})
    yaml_tree.dump(tmp_path / "r.yaml", recipe)
    found = Recipe.load(tmp_path / "r.yaml")
    assert found == recipe
    config = models.config_class(name)
    assert config.model_validate(found.model.options) == config()


def typo(word: str, place: int, kind: str, letter: str) -> str:
    place %= len(word)
    if kind == "drop":
        return word[:place] + word[place + 1 :]
    if kind == "swap":
        return word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :] if place else word
    return word[:place] + letter + word[place + (kind == "change") :]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("typos")


KEYS = list(re.finditer(r"^ *(\w+):", FULL, re.MULTILINE))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(KEYS),
    st.integers(0, 30),
    st.sampled_from(["drop", "swap", "change", "insert"]),
    st.sampled_from("aenlmszx_10-~ :{["),
)
def test_a_typo_in_any_key_is_a_recipe_error_with_its_line(folder, key, place, kind, letter):
    word = typo(key[1], place, kind, letter)
    text = FULL[: key.start(1)] + word + FULL[key.end(1) :]
    if word.strip() == key[1]:
        return  # swapped equal letters, or a blank beside the word: no typo
    (folder / "r.yaml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        Recipe.load(folder / "r.yaml")
    assert re.search(r"r\.yaml:\d+: ", str(caught.value)), str(caught.value)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_recipes_that_ship_are_sound(path):
    recipe = Recipe.load(path)
    assert recipe.name == path.stem
    assert path.read_text(encoding="utf-8").startswith("# "), "a recipe's header says its command and its score"
