"""The rules by which a recipe follows from a data set, a machine and the minutes there are.  docs/auto.md has why.

Each function is a rule: it reads the facts, settles settings on the page, and says on the same line what was seen.
They are called from top to bottom; what a person has set is never touched (auto/page.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tarsia import models
from tarsia.auto.facts import LEAST_TO_TELL, SCALES, Facts
from tarsia.auto.page import Page
from tarsia.plain_text import number

MINUTES = 10.0  # where nobody says
SHARES = {"look": 0.04, "probe": 0.06, "validation": 0.06, "reserve": 0.01}  # of the minutes
STEPS, PASSES = 300, 6  # a training is long enough from here on
LEAST_STEPS = 20  # below it has hardly begun
APART = 20  # steps between validations at least
MOST_PASSES = 400  # more would not help
CEILING, SCALED_CEILING = 0.85, 0.96  # a perfect answer's mIoU at 1/4, and at half size, must reach this
FEW, CEILING_OF_FEW = 3, 0.95  # of so few classes, at 1/4
CROP = 256
SMALL = 320  # sides up to which a crop is nearly the whole picture
DIAMETERS = 5  # of the median object that a crop shows
RATE, BATCH = 3e-3, 8  # the head's learning rate at this batch


@dataclass(frozen=True)
class Network:
    """A network to try, with where its encoder's weights come from: a file, imagenet (the hub), or none.

    `options`: what the weights want, as mean and padding.  `licence`: of the weights.
    """

    encoder: str
    weights: str = "none"
    options: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""


# Best first; what a step costs decides how far down the list a machine has to go.
LIGHT = ("mobilenetv2_100", "mobilenetv1_100", "tf_efficientnet_lite0", "resnet18")
HEAVY = ("convnext_tiny", "resnet50", "regnety_016", "resnet34", "resnet18")
SCRATCH = "mobilenetv1_100"  # of the light ones where none has weights: with it that was measured
NETWORK = "fpn"  # unless a person says another


def name(page: Page, run: str) -> None:
    """The run is called by its data."""
    page.put("name", run, "the name of the data")


def data(page: Page, section: Mapping[str, Any], facts: Facts, held_out: int, fault: str) -> None:
    """Pictures are held out as the data set says; without that there is no score."""
    for key, value in section.items():
        said = {"name": f"{number(facts.pictures, 'picture')} of {facts.spec} to learn from", "root": "where they lie"}
        page.put(f"data.{key}", value, said.get(key, "as given"))
    page.put(
        "data.val",
        "val" if held_out else None,
        f"{number(held_out, 'picture')} held out, as the data set says"
        if held_out
        else f"no picture is held out, so there will be no score: {fault}",
    )


def network(page: Page, one: Network, facts: Facts) -> None:
    """A feature pyramid with depthwise convolutions: its decoder is a small part of a step, unlike a U-Net's.

    An encoder that has learned ImageNet needs a fraction of the pictures and steps.
    """
    chosen = page.put("model.name", NETWORK, "a light decoder leaves time for more steps")
    if not has_encoder(chosen):
        return
    known = "ImageNet weights were at hand" if one.weights != "none" else "no ImageNet weights were at hand"
    page.put("model.encoder", one.encoder, known)
    if one.weights == "none":
        page.put("model.weights", "none", "from scratch: a folder of ImageNet weights would give far better scores")
    else:
        page.put("model.weights", one.weights, f"ImageNet, licence {one.licence or 'not stated: look it up'}")
    for key, value in one.options.items():
        page.put(f"model.{key}", value, "as these weights were trained")
    if facts.spec.bands != 3:
        page.put("model.bands", facts.spec.bands, f"pictures have {facts.spec}")
    if chosen == "fpn":
        page.put("model.channels", 128, "of the pyramid; as in camvid-fast.yaml")


def has_encoder(network: str) -> bool:
    """Whether a network has an encoder to choose, which weights are known for."""
    return "encoder" in models.config_class(models.accept(network)).model_fields


def detail(page: Page, facts: Facts) -> None:
    """The finest map is at 1/4, which costs a third of 1/2, unless a perfect answer would score below 0.85 there.

    On CamVid, where it would score 0.91, 1/2 gained poles and no mIoU (0.7051 against 0.7070, camvid-fast.yaml).  Few
    classes are learned soon, and what is missing then is detail: there it must score 0.95.
    """
    coarse, few = facts.ceiling[1.0, 4], len(facts.shares) <= FEW
    finest, word = (4, "enough") if coarse >= (CEILING_OF_FEW if few else CEILING) else (2, "too coarse")
    said = f"a perfect answer at 1/4 would score {coarse:.3f}: {word}"
    if page.tree["model"]["name"] == "fpn":
        page.put("model.finest", finest, f"{said} for {number(len(facts.shares), 'class', 'classes')}" if few else said)


def scale(page: Page, facts: Facts, passes_at_full_size: float = math.inf) -> float:
    """Pictures are halved, if need be again and again, where a crop would show too little of an object or of them all.

    Too little of an object: five of the median one, side by side, are wider than two crops.  Of them all: the time
    would not do for six passes.  Never so far that a perfect answer would score below 0.96, or a crop would be all.
    """
    if not (page.is_free("input.short_side") and page.is_free("input.size")):
        size = page.fixed.get("input.size") or [page.fixed.get("input.short_side") or min(facts.size)]
        return float(min(size)) / min(facts.size)
    finest, side = page.tree["model"].get("finest", 4), min(facts.size)
    allowed = [
        one for one in SCALES if one == 1 or (facts.ceiling[one, finest] >= SCALED_CEILING and side * one >= CROP)
    ]
    large = facts.object_size * DIAMETERS > 2 * CROP
    fitting = [one for one in allowed if one < 1 or not large] or allowed
    chosen = next((one for one in fitting if passes_at_full_size / one**2 >= PASSES), fitting[-1])
    if chosen == 1:
        return 1.0
    why = f"{passes_at_full_size:.2g} passes would fit at full size, {passes_at_full_size / chosen**2:.2g} so"
    if chosen == 0.5 and large:
        why = f"objects are {facts.object_size:.0f} px wide"
    why += f", and a perfect answer would score {facts.ceiling[chosen, finest]:.3f}"
    page.put("input.short_side", round(side * chosen), why)
    return chosen


def keep(page: Page, facts: Facts, scale: float, memory_bytes: int) -> float:
    """Pictures are read once, at the size at which they are learned, as far as an eighth of the memory goes.

    Gives the share of them that is kept.
    """
    height, width = facts.size
    deep = facts.spec.bands * np.dtype(facts.spec.dtype).itemsize + 1
    all_bytes = max(1.0, facts.pictures * height * width * scale**2 * deep)
    kept = min(1.0, memory_bytes / 8 / all_bytes)
    why = "all of them, as large as they are learned"
    if kept < 1:
        why = f"{100 * kept:.0f} % of them: an eighth of the memory that is known to be free"
    megabytes = page.put("data.keep_megabytes", math.ceil(1.2 * kept * all_bytes / 10**6), f"read once: {why}")
    return float(min(1.0, megabytes * 10**6 / all_bytes))


def crop(page: Page, facts: Facts, scale: float) -> tuple[int, int]:
    """Crops are squares of 256, or nearly the whole of a small picture, in multiples of the network's stride."""
    sides = [round(side * scale) for side in facts.size]
    found = [_crop_of(side) for side in sides]
    why = f"pictures are {sides[0]}x{sides[1]}"
    chosen = page.put("augment.crop", found, f"{why}: nearly all of one" if max(sides) <= SMALL else why)
    return chosen[0], chosen[1]


def _crop_of(side: int) -> int:
    if side > SMALL:
        return CROP
    lower = side // 32 * 32
    return lower if lower >= 0.9 * side else lower + 32


def flips(page: Page, facts: Facts) -> None:
    """Left and right are exchanged unless classes differ by side; up and down only where nothing tells them apart."""
    page.put(
        "augment.horizontal_flip",
        0.0 if facts.sided else 0.5,
        f"{facts.sided}, so never" if facts.sided else "nothing tells left from right",
    )
    if facts.upright:
        page.put("augment.vertical_flip", 0.0, f"{facts.upright}: pictures have a top")
    else:
        why = "a guess: no class and no light tells top from bottom, as in views from above; 0 if that is wrong"
        page.put("augment.vertical_flip", 0.5, why)


def jitter(page: Page, facts: Facts) -> None:
    """Scale and colour vary, less where size or colour tells classes apart."""
    fixed = facts.object_spread < 0.25 and facts.looked >= LEAST_TO_TELL
    low, high = (0.85, 1.2) if fixed else (0.7, 1.5)
    what = "objects are of one size in all pictures" if fixed else "the size of objects varies from picture to picture"
    page.put("augment.scale", {"min": low, "max": high}, what)
    if facts.spec.bands != 3:
        return
    tells = facts.colour_tells > 0.5
    strength, hue = (0.1, 0.0 if facts.grey else 0.02) if tells else (0.2, 0.0 if facts.grey else 0.02)
    saturation = 0.0 if facts.grey else strength
    colour = {"brightness": strength, "contrast": strength, "saturation": saturation, "hue": hue}
    share = f"{100 * facts.colour_tells:.0f} % of a band's variance lies between classes"
    why = f"{share}: {'little, for colour tells them apart' if tells else 'colour alone does not tell them apart'}"
    of_grey = f"grey pictures: brightness and contrast alone{', little, for they tell classes apart' if tells else ''}"
    page.put("augment.color_jitter", colour, of_grey if facts.grey else why)


def loss(page: Page, facts: Facts) -> None:
    """Cross-entropy and Dice; rare classes count more, and are looked for where they are very rare."""
    page.put("train.loss", {"cross_entropy": 1.0, "dice": 1.0}, "pixels and regions; no class vanishes")
    rarest, share = facts.rarest
    said = f"the rarest class, {rarest}, has {100 * share:.2g} % of the pixels"
    if share >= 0.05:
        page.put("train.class_weights", "none", said)
        return
    weights = _weights(facts)
    page.put("train.class_weights", weights, f"{said}; square roots of median frequency, 0.5 to 3")
    if share < 0.005:
        page.put("augment.class_balanced", 0.5, f"{said}: half of the crops show a class drawn evenly")


def _weights(facts: Facts) -> list[float]:
    shown = sorted(share for share in facts.shares.values() if share > 0)
    median = shown[len(shown) // 2]
    return [
        1.0 if share <= 0 else round(min(3.0, max(0.5, math.sqrt(median / share))), 2)
        for share in facts.shares.values()
    ]


def batch(page: Page, wanted: int, why: str) -> int:
    """Eight pictures a step, four where the steps would be too few."""
    return int(page.put("train.batch", wanted, why))


def optimizer(page: Page, batch: int, pretrained: bool, workers: int) -> None:
    """AdamW with a rate that falls linearly to 0; a pretrained encoder learns a quarter as fast."""
    page.put(
        "train.workers", workers, "one core: a second process would take the step's time" if not workers else "cores"
    )
    page.put("train.optimizer", "adamw", "as in camvid-fast.yaml")
    page.put("train.learning_rate", round(RATE * math.sqrt(batch / BATCH), 6), f"3e-3 x sqrt({batch} / {BATCH})")
    known = "a pretrained encoder keeps what it knows" if pretrained else "nothing is known yet"
    page.put("train.encoder_multiplier", 0.25 if pretrained else 1.0, known)
    page.put("train.weight_decay", 1e-2, "as in camvid-fast.yaml")
    page.put("train.clip_norm", 1.0, "one bad batch must not undo a short training")
    page.put("train.schedule", "poly", "falls to 0 at the end of the time there is")
    page.put("train.power", 1.0, "linearly (Li et al. 2019, arXiv 1905.04753)")
    page.put("train.ema", 0.999, "the mean of the weights; its window grows with the steps")
    page.put("train.save_every_seconds", 60.0, "so much at most is lost when it is stopped")


def length(page: Page, steps: int, validations: int, seconds: float, pace: float, enough: bool = False) -> None:
    """As many steps as fit, the warm-up a small part of them, a few validations."""
    validations = max(1, min(validations, steps // APART))
    if not page.is_free("train.steps_per_epoch"):
        validations = math.ceil(steps / page.fixed["train.steps_per_epoch"])
    validations = page.put("train.epochs", validations, "validations, for about 6 % of the time")
    each = math.ceil(steps / validations)
    said = f"a step takes {pace:.2f} s, and {seconds:.0f} s are left for them"
    warm = int(min(max(10, 0.04 * steps), 0.1 * steps))
    page.put("train.steps_per_epoch", each, f"{MOST_PASSES} passes: more would not help" if enough else said)
    page.put("train.warmup_steps", warm, "10 steps or 4 %, at most a tenth")


def passes(steps: int, batch: int, crop: Sequence[int], facts: Facts, scale: float) -> float:
    """How often every pixel is seen."""
    return steps * batch * crop[0] * crop[1] / (facts.pictures * facts.size[0] * facts.size[1] * scale**2)
