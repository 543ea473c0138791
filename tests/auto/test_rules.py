"""The rules by which a recipe follows from facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from tarsia.auto import rules
from tarsia.auto.facts import SCALES, Facts
from tarsia.auto.page import AS_YOU_SAY, Page
from tarsia.card import Spec
from tarsia.errors import RecipeError

FACTS = Facts(
    pictures=60,
    looked=60,
    size=(360, 480),
    sizes=1,
    shares={"road": 0.6, "car": 0.38, "pole": 0.02},
    ignored=0.0,
    object_size=20.0,
    object_spread=0.6,
    grey=False,
    colour_tells=0.2,
    upright="road lies below",
    sided="",
    spec=Spec(),
    ceiling={(scale, finest): round(1 - 0.02 * finest / scale, 2) for scale in SCALES for finest in (2, 4)},
)


def settled(page: Page, facts: Facts = FACTS) -> Page:
    rules.name(page, "photos")
    rules.data(page, {"name": "folder", "root": "photos"}, facts, 15, "")
    rules.network(page, rules.Network("mobilenetv2_100"), facts)
    rules.detail(page, facts)
    rules.crop(page, facts, rules.scale(page, facts))
    rules.flips(page, facts)
    rules.jitter(page, facts)
    rules.loss(page, facts)
    rules.optimizer(page, rules.batch(page, 8, "eight"), pretrained=False, workers=0)
    rules.length(page, 400, 5, 250.0, 0.6)
    return page


def test_every_line_of_the_file_has_a_reason_and_it_is_a_recipe() -> None:
    page = settled(Page())
    recipe = page.recipe()
    assert (recipe.train.epochs, recipe.train.steps_per_epoch, recipe.train.warmup_steps) == (5, 80, 16)
    text = page.text("Head.")
    assert text.startswith("# Head.\n") and yaml.safe_load(text)["model"]["encoder"] == "mobilenetv2_100"
    leaves = [line for line in text.splitlines()[1:] if ":" in line and line.strip()[-1] != ":"]
    within = ("min:", "max:", "cross_entropy:", "dice:", "brightness:", "contrast:", "saturation:", "hue:")
    assert all("  # " in line for line in leaves if not line.strip().startswith(within))


def test_streets_keep_their_top_and_fields_lose_it() -> None:
    assert settled(Page()).tree["augment"]["vertical_flip"] == 0
    page = settled(Page(), replace(FACTS, upright=""))
    assert page.tree["augment"]["vertical_flip"] == 0.5 and "guess" in page.reasons["augment.vertical_flip"]


def test_sides_are_not_exchanged() -> None:
    page = settled(Page(), replace(FACTS, sided="left lung names a side"))
    assert page.tree["augment"]["horizontal_flip"] == 0


@pytest.mark.parametrize(
    ("rarest", "weights", "balanced"), [(0.3, "none", False), (0.02, "list", False), (0.001, "list", True)]
)
def test_rare_classes_weigh_more(rarest: float, weights: str, balanced: bool) -> None:
    shares = {"road": 0.6, "car": 0.4 - rarest, "pole": rarest}
    page = settled(Page(), replace(FACTS, shares=shares))
    found = page.tree["train"]["class_weights"]
    assert found == "none" if weights == "none" else (max(found) == found[2] <= 3 and min(found) >= 0.5)
    assert ("class_balanced" in page.tree["augment"]) == balanced
    page.recipe()


@pytest.mark.parametrize(("side", "crop"), [(300, 288), (120, 128), (256, 256), (64, 64), (1024, 256), (330, 256)])
def test_crops(side: int, crop: int) -> None:
    page = settled(Page(), replace(FACTS, size=(side, side)))
    assert page.tree["augment"]["crop"] == [crop, crop]


def test_few_classes_are_drawn_finely_where_a_quarter_would_cost_them_detail() -> None:
    finest = [
        settled(Page(), replace(FACTS, shares=shares)).tree["model"]["finest"]
        for shares in ({"wall": 0.2, "cell": 0.8}, {"road": 0.5, "car": 0.2, "pole": 0.1, "sky": 0.2})
    ]
    assert finest == [2, 4]
    fine = {**FACTS.ceiling, (1.0, 4): 0.96}
    assert settled(Page(), replace(FACTS, ceiling=fine)).tree["model"]["finest"] == 4


def test_large_objects_are_seen_at_half_size() -> None:
    ceiling = dict.fromkeys(FACTS.ceiling, 0.99)
    page = settled(Page(), replace(FACTS, size=(800, 1000), object_size=150.0, ceiling=ceiling))
    assert page.tree["input"]["short_side"] == 400
    assert "input" not in settled(Page()).tree


def test_grey_and_telling_colours() -> None:
    assert settled(Page()).tree["augment"]["color_jitter"]["brightness"] == 0.2
    telling = settled(Page(), replace(FACTS, colour_tells=0.9)).tree["augment"]["color_jitter"]
    assert (telling["brightness"], telling["hue"]) == (0.1, 0.02)
    grey = settled(Page(), replace(FACTS, grey=True)).tree["augment"]["color_jitter"]
    assert (grey["saturation"], grey["hue"]) == (0, 0) and grey["brightness"] == grey["contrast"] == 0.2
    for tells, said in ((0.2, "contrast alone"), (0.9, "contrast alone, little, for they tell classes apart")):
        reasons = settled(Page(), replace(FACTS, grey=True, colour_tells=tells)).reasons
        assert reasons["augment.color_jitter"] == f"grey pictures: brightness and {said}"
    bands = settled(Page(), replace(FACTS, spec=Spec(bands=5)))
    assert "color_jitter" not in bands.tree["augment"] and bands.tree["model"]["bands"] == 5
    bands.recipe()


def test_what_a_person_sets_wins_over_every_rule() -> None:
    says = ["train.batch=3", "augment.vertical_flip=0.25", "model.encoder=test_resnet", "train.epochs=7", "seed=5"]
    page = settled(Page(says))
    recipe = page.recipe()
    assert (recipe.train.batch, recipe.augment.vertical_flip, recipe.train.epochs, recipe.seed) == (3, 0.25, 7, 5)
    assert recipe.model.options["encoder"] == "test_resnet" and recipe.train.steps_per_epoch == 58
    assert page.reasons["train.batch"] == AS_YOU_SAY
    assert f"seed: 5  # {AS_YOU_SAY}" in page.text("")


def test_another_network_gets_no_options_that_it_does_not_know() -> None:
    assert settled(Page(["model.name=unet"])).recipe().model.options["encoder"] == "mobilenetv2_100"
    assert settled(Page(["model.name=fcn"])).recipe().model.name == "fcn"


def test_faulty_settings_are_refused_as_those_of_a_recipe() -> None:
    with pytest.raises(RecipeError, match=r"train\.batches: unknown key, did you mean batch"):
        settled(Page(["train.batches=3"])).recipe()


def test_pictures_are_reduced_until_six_passes_fit_and_no_further_than_the_labels_allow() -> None:
    photographs = replace(FACTS, size=(3000, 4000), ceiling=dict.fromkeys(FACTS.ceiling, 0.99))
    page = settled(Page(), photographs)
    scales = [rules.scale(settled(Page(), photographs), photographs, passes) for passes in (7, 2, 0.4, 0.1, 0.001)]
    assert scales == [1.0, 0.5, 0.25, 0.125, 0.125]
    assert "input" not in page.tree and rules.scale(page, photographs, 0.4) == 0.25
    assert page.tree["input"]["short_side"] == 750
    assert "0.4 passes would fit at full size, 6.4 so" in page.reasons["input.short_side"]
    fine = {**photographs.ceiling, (0.25, 4): 0.9, (0.125, 4): 0.8}
    assert rules.scale(settled(Page(), photographs), replace(photographs, ceiling=fine), 0.1) == 0.5
    small = replace(photographs, size=(300, 400))
    assert rules.scale(settled(Page(), small), small, 0.1) == 1.0  # a crop is all of it already
    asked = settled(Page(["input.short_side=1500"]), photographs)
    assert rules.scale(asked, photographs, 0.001) == 0.5 and asked.reasons.get("input.short_side") in (None, AS_YOU_SAY)


def test_pictures_stay_in_memory_as_far_as_an_eighth_of_it_goes() -> None:
    page = settled(Page())
    assert rules.keep(page, FACTS, 1.0, 10**10) == 1.0 and page.tree["data"]["keep_megabytes"] == 50
    assert rules.keep(page, FACTS, 0.5, 10**10) == 1.0 and page.tree["data"]["keep_megabytes"] == 13
    part = rules.keep(page, FACTS, 1.0, 10**8)
    assert 0.3 < part < 0.4 and "30 % of them: an eighth of the memory" in page.reasons["data.keep_megabytes"]
    assert rules.keep(page, FACTS, 1.0, 0) == 0 and page.tree["data"]["keep_megabytes"] == 0
    page.recipe()
