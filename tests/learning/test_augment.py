"""Augmentation keeps picture and label together, keeps its probabilities, and repeats itself."""

from __future__ import annotations

import hashlib
import random as python_random

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from tarsia.card import IGNORED
from tarsia.errors import TrainingError
from tarsia.learning.augment import (
    AUGMENT,
    CUTMIX,
    Augment,
    _jitter,
    cutmix,
    generator,
)
from tarsia.learning.window import BORDER_COLOR, Window, cut, showing_a_class
from tarsia.recipe_augment import (
    AugmentRecipe,
    Blur,
    ColorJitter,
    CutMix,
    Darkening,
    Fog,
    MotionBlur,
    Noise,
    Rain,
    Rotation,
    Scale,
    Shadow,
    Snow,
)

WEATHER = {
    "shadow": Shadow(probability=0.5),
    "darkening": Darkening(probability=0.5),
    "fog": Fog(probability=0.5),
    "rain": Rain(probability=0.5),
    "snow": Snow(probability=0.5),
    "motion_blur": MotionBlur(probability=0.5),
}
COLORS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 255, 255]], np.uint8)


def blocks(random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of large blocks whose colour is that of their label."""
    small = random.integers(0, len(COLORS), (-(-height // 24), -(-width // 24))).astype(np.uint8)
    label = np.kron(small, np.ones((24, 24), np.uint8))[:height, :width]
    return COLORS[label], label


def noise_picture(random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    label = random.integers(0, 5, (height, width)).astype(np.uint8)
    label[0] = IGNORED
    return random.integers(0, 256, (height, width, 3)).astype(np.uint8), label


def random_recipe(random: np.random.Generator) -> AugmentRecipe:
    low = float(random.uniform(0.3, 2))
    entries = {
        "scale": Scale(min=low, max=float(low * random.uniform(1, 3)), probability=float(random.random())),
        "rotation": Rotation(degrees=float(random.uniform(1, 180)), probability=float(random.random())),
        "crop": tuple(int(side) for side in random.integers(1, 120, 2)),
        "color_jitter": ColorJitter(hue=0.5, brightness=1, contrast=1, saturation=1),
        "blur": Blur(sigma=float(random.uniform(0.01, 5)), probability=0.5),
        "noise": Noise(std=float(random.uniform(1, 100)), probability=0.5),
        "horizontal_flip": float(random.random()),
        "vertical_flip": float(random.random()),
        **WEATHER,
    }
    chosen = {key: value for key, value in entries.items() if random.random() < 0.6}
    return AugmentRecipe(**chosen, class_balanced=float(random.integers(2)) if "crop" in chosen else 0.0)


def test_any_recipe_keeps_types_sizes_values_and_the_arrays_it_was_given() -> None:
    random = np.random.default_rng(0)
    for number in range(300):
        recipe = random_recipe(random)
        image, label = noise_picture(random, *random.integers(1, 90, 2))
        image.flags.writeable = label.flags.writeable = False  # as a memory-mapped cache hands them out
        new_image, new_label = Augment(recipe)(image, label, generator(1, 2, number), number % 3)
        assert new_image.dtype == new_label.dtype == np.uint8
        assert new_label.shape == (recipe.crop or label.shape)
        assert new_image.shape == (*new_label.shape, 3)
        assert set(np.unique(new_label)) <= set(np.unique(label)) | {IGNORED}


def test_picture_and_label_move_together() -> None:
    random = np.random.default_rng(1)
    compared = 0
    for number in range(60):
        recipe = random_recipe(random).model_copy(update=dict.fromkeys(("color_jitter", "blur", "noise", *WEATHER)))
        image, label = Augment(recipe)(*blocks(random, 150, 200), generator(0, 0, number), number % 3)
        distances = np.abs(image[:, :, None].astype(int) - COLORS.astype(int)).sum(-1)
        edges = cv2.dilate(label, np.ones((7, 7))) != cv2.erode(label, np.ones((7, 7)))
        inside = ~edges & (label != IGNORED)
        assert np.array_equal(distances.argmin(-1)[inside], label[inside])
        outside = ~edges & (label == IGNORED)
        assert np.array_equal(image[outside], np.broadcast_to(np.uint8(BORDER_COLOR), image.shape)[outside])
        compared += int(inside.sum())
    assert compared > 100_000


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("angle", [0.0, 17.0, -140.0])
@pytest.mark.parametrize("scale", [0.3, 0.45, 0.8, 1.0, 1.9])
def test_picture_and_label_agree_to_a_fraction_of_a_pixel(axis: int, angle: float, scale: float) -> None:
    """Label and colour both hold the pixel's own coordinate, so that any shift between the two shows."""
    label = np.indices((240, 250))[axis].astype(np.uint8)
    image = np.repeat(label[:, :, None], 3, axis=2)
    window = Window(30, 20, round(50 / scale), round(60 / scale), angle, (50, 60))
    new_image, new_label = cut(image, label, window)
    valid = cv2.erode((new_label != IGNORED).astype(np.uint8), np.ones((5, 5))) > 0
    valid[[0, -1]] = valid[:, [0, -1]] = False
    difference = new_image[..., 0].astype(float) - new_label
    pixel = max(1, 1 / scale)  # of the output, in pixels of the picture
    assert valid.sum() > 500
    assert abs(difference[valid].mean()) < 0.3 * pixel
    assert np.abs(difference[valid]).max() <= 0.5 * pixel + 1


@pytest.mark.parametrize("angle", [0.0, 30.0, -100.0])
def test_window_is_where_the_slow_way_finds_it(angle: float) -> None:
    random = np.random.default_rng(2)
    image, label = blocks(random, 90, 120)
    for top, left, height, width, out in [
        (10, 20, 40, 50, (80, 75)),
        (-20, -30, 130, 170, (65, 85)),
        (5, 6, 7, 8, (7, 8)),
    ]:
        _, found = cut(image, label, Window(top, left, height, width, angle, out))
        expected = np.full(out, IGNORED, np.uint8)
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        for row in range(out[0]):
            for column in range(out[1]):
                y, x = (row + 0.5 - out[0] / 2) * height / out[0], (column + 0.5 - out[1] / 2) * width / out[1]
                y, x = sin * x + cos * y, cos * x - sin * y
                source = int(np.floor(top + height / 2 + y)), int(np.floor(left + width / 2 + x))
                if 0 <= source[0] < 90 and 0 <= source[1] < 120:
                    expected[row, column] = label[source]
        assert (found != expected).mean() < 0.03  # ties along block edges


def test_nothing_asked_passes_through() -> None:
    image, label = noise_picture(np.random.default_rng(3), 20, 30)
    new_image, new_label = Augment(AugmentRecipe())(image, label, generator(0, 0, 0))
    assert new_image is image and new_label is label


@pytest.mark.parametrize("probability", [0, 1])
def test_flips_are_exact_and_keep_probability_zero_and_one(probability: int) -> None:
    image, label = noise_picture(np.random.default_rng(4), 21, 30)
    augment = Augment(AugmentRecipe(horizontal_flip=probability, vertical_flip=1))
    step = -1 if probability else 1
    for number in range(50):
        new_image, new_label = augment(image, label, generator(0, 0, number))
        assert np.array_equal(new_image, image[::-1, ::step])
        assert np.array_equal(new_label, label[::-1, ::step])


def test_threefold_variants() -> None:
    image, label = noise_picture(np.random.default_rng(5), 13, 17)
    expected = [(image, label), (image[:, ::-1], label[:, ::-1]), (image[::-1], label[::-1])]
    for variant, (flipped, flipped_label) in enumerate(expected):
        new_image, new_label = Augment(AugmentRecipe(threefold=True))(image, label, generator(0, 0, 0), variant)
        assert np.array_equal(new_image, flipped) and np.array_equal(new_label, flipped_label)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("scale", Scale(min=0.5, max=0.6)),
        ("rotation", Rotation(degrees=90)),
        ("color_jitter", ColorJitter()),
        ("blur", Blur(sigma=3)),
        ("noise", Noise(std=50)),
        *WEATHER.items(),
    ],
)
def test_each_operation_keeps_its_probability(name: str, entry: object) -> None:
    image, label = noise_picture(np.random.default_rng(6), 20, 30)

    def share(probability: float) -> float:
        augment = Augment(AugmentRecipe(**{name: entry.model_copy(update={"probability": probability})}))  # type: ignore[attr-defined]
        results = [augment(image, label, generator(0, 0, number))[0] for number in range(300)]
        return float(np.mean([not np.array_equal(result, image) for result in results]))

    assert share(0) == 0
    assert share(1) > 0.9  # a draw near nothing at all may change nothing
    assert 0.2 < share(0.3) < 0.4


def test_crop_of_a_small_picture_has_an_ignored_border_and_every_place_is_possible() -> None:
    image, label = np.full((4, 6, 3), 9, np.uint8), np.full((4, 6), 2, np.uint8)
    places = set()
    for number in range(200):
        new_image, new_label = Augment(AugmentRecipe(crop=(6, 9)))(image, label, generator(0, 0, number))
        top, left = np.argwhere(new_label == 2)[0]
        places.add((int(top), int(left)))
        assert (new_label == 2).sum() == label.size and (new_label[top : top + 4, left : left + 6] == 2).all()
        assert (new_label == IGNORED).sum() == 6 * 9 - label.size
        assert (new_image[new_label == 2] == 9).all() and (new_image[new_label == IGNORED] == BORDER_COLOR).all()
    assert places == {(top, left) for top in range(3) for left in range(4)}


def test_crop_reaches_every_pixel_and_is_a_plain_cut() -> None:
    image, label = noise_picture(np.random.default_rng(7), 9, 8)
    label[:] = np.arange(72).reshape(9, 8)
    seen = set()
    for number in range(300):
        new_image, new_label = Augment(AugmentRecipe(crop=(5, 6)))(image, label, generator(0, 0, number))
        top, left = divmod(int(new_label[0, 0]), 8)
        assert np.array_equal(new_label, label[top : top + 5, left : left + 6])
        assert np.array_equal(new_image, image[top : top + 5, left : left + 6])
        seen.add((top, left))
    assert len(seen) == 5 * 3


def test_scale_is_log_uniform_and_without_crop_stays_centred() -> None:
    image, label = np.zeros((101, 101, 3), np.uint8), np.zeros((101, 101), np.uint8)
    label[40:61, 40:61] = 1
    ratios = []
    for number in range(400):
        _, new_label = Augment(AugmentRecipe(scale=Scale(min=0.5, max=2)))(image, label, generator(0, 0, number))
        rows, columns = np.nonzero(new_label == 1)
        assert abs(rows.mean() - 50) <= 1.5 and abs(columns.mean() - 50) <= 1.5
        ratios.append(np.sqrt(len(rows)) / 21)
    assert 0.45 < min(ratios) < 0.55 and 1.85 < max(ratios) < 2.1
    assert abs(np.mean(np.array(ratios) < 1) - 0.5) < 0.1


def test_shrinking_averages_rather_than_picks() -> None:
    image = np.zeros((120, 120, 3), np.uint8)
    image[::4] = 200  # stripes whose mean is 50
    label = np.zeros((120, 120), np.uint8)
    for recipe in (
        AugmentRecipe(scale=Scale(min=0.25, max=0.25), crop=(20, 20)),
        AugmentRecipe(scale=Scale(min=0.25, max=0.25), crop=(20, 20), rotation=Rotation(probability=1)),
    ):
        new_image, _ = Augment(recipe)(image, label, generator(0, 0, 1))
        assert np.abs(new_image[2:-2, 2:-2].astype(int) - 50).max() <= 3


def test_jitter_against_the_slow_way() -> None:
    image, _ = noise_picture(np.random.default_rng(8), 30, 40)
    image = (60 + image // 3).astype(np.uint8)  # away from 0 and 255, where steps in another order would clip
    draw = {"brightness": 0.9, "contrast": 0.2, "saturation": 0.7, "hue": 0.5}
    found = _jitter(image, ColorJitter(brightness=0.2, contrast=0.4, saturation=0.5, hue=0.1), draw)
    grey = image @ np.array([0.299, 0.587, 0.114])
    expected = grey[..., None] + 1.2 * (image - grey[..., None])
    expected = ((expected - grey.mean()) * (1 - 0.24) + grey.mean()) * 1.16
    assert np.abs(found - expected).max() <= 1.5


def test_hue_turns_colours_and_leaves_grey_and_lightness_alone() -> None:
    image = np.array([[[100, 100, 100], [140, 90, 80]]], np.uint8)
    half = _jitter(
        image,
        ColorJitter(brightness=0, contrast=0, saturation=0, hue=0.5),
        dict.fromkeys(("brightness", "contrast", "saturation"), 0.3) | {"hue": 1.0},
    ).astype(int)
    assert np.abs(half[0, 0] - 100).max() <= 1
    luma = np.array([0.299, 0.587, 0.114])
    assert abs(luma @ half[0, 1] - luma @ image[0, 1]) < 1.5
    assert (
        np.abs((half[0, 1] - luma @ half[0, 1]) + (image[0, 1] - luma @ image[0, 1])).max() < 2
    )  # the opposite colour


def test_noise_is_normal_with_the_deviation_asked_for() -> None:
    image, label = np.full((200, 200, 3), 128, np.uint8), np.zeros((200, 200), np.uint8)
    stds = []
    for number in range(30):
        noise = Augment(AugmentRecipe(noise=Noise(probability=1, std=20)))(image, label, generator(0, 0, number))[0]
        stds.append((noise.astype(float) - 128).std())
        assert abs(noise.mean() - 128) < 0.5
        assert abs(np.mean(np.abs(noise.astype(float) - 128) < stds[-1]) - 0.68) < 0.12
    assert max(stds) <= 20.5 and 7 < np.mean(stds) < 13


def test_same_generator_same_result_and_no_operation_moves_anothers_draws() -> None:
    image, label = noise_picture(np.random.default_rng(9), 40, 50)
    whole = AugmentRecipe(
        horizontal_flip=0.5, scale=Scale(), crop=(20, 20), rotation=Rotation(), color_jitter=ColorJitter(), blur=Blur()
    )
    results = {}
    for number in range(20):
        first, second = (Augment(whole)(image, label, generator(3, 1, number)) for _ in range(2))
        assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
        without = Augment(whole.model_copy(update={"color_jitter": None, "blur": None}))
        assert np.array_equal(without(image, label, generator(3, 1, number))[1], first[1])
        results[first[0].tobytes()] = number
    assert len(results) == 20
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0, 1), (0, 0, 0, 0, 1), (0, 0, 0, 0, 0, CUTMIX)]
    assert len({generator(*key).random() for key in keys}) == len(keys) and AUGMENT != CUTMIX != 0


@pytest.mark.parametrize("name", WEATHER)
def test_weather_moves_nobody_else_s_draws(name: str) -> None:
    """Each alone does what it does beside others that are named but never applied, and the label never notices."""
    image, label = noise_picture(np.random.default_rng(12), 40, 50)
    others = {other: node.model_copy(update={"probability": 0.0}) for other, node in WEATHER.items() if other != name}
    always = {name: WEATHER[name].model_copy(update={"probability": 1.0})}
    plain = {"horizontal_flip": 0.5, "scale": Scale(), "crop": (30, 30), "noise": Noise(probability=1)}
    for number in range(5):
        alone = Augment(AugmentRecipe(**always))(image, label, generator(0, 0, number))
        among = Augment(AugmentRecipe(**always, **others))(image, label, generator(0, 0, number))
        assert np.array_equal(alone[0], among[0]) and not np.array_equal(alone[0], image) and alone[1] is label
        for more in ({}, {"class_balanced": 1.0}):
            dry, wet = (
                Augment(AugmentRecipe(**plain, **more, **weather))(image, label, generator(0, 0, number))
                for weather in ({}, always)
            )
            assert np.array_equal(dry[1], wet[1]) and not np.array_equal(dry[0], wet[0])


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


def test_recipes_of_before_give_the_batches_of_before() -> None:
    """Digests of what commit 296c011 made of these, before there were weather, balanced crops and CutMix."""
    image, label = noise_picture(np.random.default_rng(13), 60, 80)
    exact = AugmentRecipe(horizontal_flip=0.5, vertical_flip=0.5, crop=(48, 100), noise=Noise(probability=0.7))
    turned = AugmentRecipe(horizontal_flip=0.5, scale=Scale(), rotation=Rotation(), crop=(40, 40), blur=Blur())
    pictures, labels = [], []
    for number in range(20):
        pictures += Augment(exact)(image, label, generator(7, number // 9, number, number % 3, number % 2))
        labels.append(Augment(turned)(image, label, generator(7, number // 9, number))[1])
    assert (digest(*pictures), digest(*labels)) == ("7a7d15cc0f5b3f80", "8f8dd54321e21102")


# ---- class-balanced crops


def rare_picture(random: np.random.Generator, share: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """120 x 160: class 0, class 1 on the left half, and class 2 in a spot of 4 x 4 pixels anywhere."""
    label = np.zeros((120, 160), np.uint8)
    label[:, :80] = 1
    top, left = random.integers(0, (117, 157))
    label[top : top + 4, left : left + 4] = 2
    return COLORS[label], label


@pytest.mark.parametrize("turned", [False, True])
def test_balanced_crops_show_a_rare_class_far_more_often(turned: bool) -> None:
    more = {"rotation": Rotation(probability=1, degrees=180), "horizontal_flip": 0.5} if turned else {}
    random = np.random.default_rng(14)
    pictures = [rare_picture(random) for _ in range(200)]

    def shown(share: float) -> list[int]:
        augment = Augment(AugmentRecipe(crop=(32, 32), class_balanced=share, **more))
        labels = [augment(*pair, generator(0, 0, number))[1] for number, pair in enumerate(pictures)]
        return [sum(bool((label == k).any()) for label in labels) for k in range(3)]

    plain, half, always = shown(0.0), shown(0.5), shown(1.0)
    assert plain[2] < 35
    assert always[2] > 66 and plain[2] < half[2] < always[2]  # a third of them, and those that show it by chance
    assert min(always[:2]) >= 66


def test_balanced_crop_always_shows_the_only_class_there_is() -> None:
    random = np.random.default_rng(15)
    image = np.zeros((50, 70, 3), np.uint8)
    for number in range(400):
        label = np.full((50, 70), IGNORED, np.uint8)
        spot = (random.choice([0, 49]), random.choice([0, 69])) if number % 2 else random.integers(0, (50, 70))
        label[tuple(spot)] = 1
        recipe = AugmentRecipe(
            crop=(int(random.integers(1, 60)), int(random.integers(1, 80))),
            class_balanced=1.0,
            rotation=Rotation(probability=0.5, degrees=180) if number % 3 else None,
            scale=Scale(min=1.5, max=3),  # else turning drops pixels
        )
        new_label = Augment(recipe)(image, label, generator(0, 1, number))[1]
        assert (new_label == 1).any(), (number, spot, recipe)


def test_balanced_crops_are_plain_crops_and_every_one_that_shows_the_pixel_is_possible() -> None:
    label = np.zeros((9, 8), np.uint8)
    random = np.random.default_rng(16)
    for row, column in ((0, 0), (4, 5), (8, 7), (8, 0)):
        label[:], label[row, column] = IGNORED, 3
        for height, width in ((5, 6), (1, 1), (9, 8), (12, 3)):
            window = Window(0, 0, height, width, 0.0, (height, width))
            found = {showing_a_class(label, window, random)[:2] for _ in range(400)}
            tops, lefts = (
                range(min(0, side - length), max(0, side - length) + 1)
                for side, length in zip((9, 8), (height, width), strict=True)
            )
            expected = {
                (top, left)
                for top in tops
                for left in lefts
                if top <= row < top + height and left <= column < left + width
            }
            assert found == expected


def test_classes_are_drawn_evenly_and_a_picture_without_any_is_cropped_as_ever() -> None:
    label = np.zeros((60, 60), np.uint8)
    label[:2, :2], label[-1, -1] = 1, 2
    window, random = Window(20, 30, 1, 1, 0.0, (1, 1)), np.random.default_rng(17)
    drawn = [label[showing_a_class(label, window, random)[:2]] for _ in range(600)]
    assert np.abs(np.bincount(drawn, minlength=3) - 200).max() < 50
    assert showing_a_class(np.full((60, 60), IGNORED, np.uint8), window, random) == window
    image, nothing = np.zeros((60, 60, 3), np.uint8), np.full((60, 60), IGNORED, np.uint8)
    for number in range(5):
        plain, balanced = (
            Augment(AugmentRecipe(crop=(20, 20), class_balanced=share))(image, nothing, generator(0, 0, number))
            for share in (0.0, 1.0)
        )
        assert np.array_equal(plain[0], balanced[0])


def test_balanced_crops_need_a_crop() -> None:
    with pytest.raises(ValidationError, match="class_balanced places crops: give crop"):
        AugmentRecipe(class_balanced=0.5)
    assert AugmentRecipe(class_balanced=0.5, crop=(64, 64)).class_balanced == 0.5


# ---- CutMix


def test_cutmix_pastes_one_box_of_picture_and_label_at_its_own_place() -> None:
    random = np.random.default_rng(18)
    for number in range(200):
        sizes = random.integers(1, 40, (2, 2)) if number % 2 else np.repeat(random.integers(1, 40, (1, 2)), 2, axis=0)
        labels = [np.full(size, k, np.uint8) for k, size in enumerate(sizes)]
        labels[1][:] = 1 + np.arange(sizes[1][1]) % 4  # that the place is its own shows in the columns
        pairs = [(COLORS[label], label) for label in labels]
        for array in (*pairs[0], *pairs[1]):
            array.flags.writeable = False
        image, label = cutmix(*pairs, CutMix(), random)
        assert label.shape == labels[0].shape and np.array_equal(image, COLORS[label])
        rows, columns = np.nonzero(label)
        if len(rows):
            box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
            assert np.array_equal(label[box], labels[1][box])
            assert len(rows) == label[box].size and not label.astype(bool).sum() - label[box].size


def test_cutmix_shares_are_those_of_the_beta_distribution_and_boxes_lie_everywhere() -> None:
    pairs = [(np.full((100, 80, 3), k, np.uint8), np.full((100, 80), k, np.uint8)) for k in (0, 1)]
    for alpha, low, middle in ((1.0, 0.25, 0.5), (50.0, 0.45, 0.5), (0.1, 0.01, 0.5)):
        random = np.random.default_rng(19)
        labels = [cutmix(*pairs, CutMix(alpha=alpha), random)[1] for _ in range(500)]
        shares = np.array([label.mean() for label in labels])
        assert abs(shares.mean() - middle) < 0.05 and abs(np.quantile(shares, 0.25) - low) < 0.06
    seen = np.mean(labels, axis=0)
    assert abs(seen - seen[::-1, ::-1]).max() < 0.15 and seen.min() > 0.2


def test_albumentations_compose_as_extra_is_repeatable() -> None:
    albumentations = pytest.importorskip("albumentations")
    compose = albumentations.Compose(
        [albumentations.Affine(rotate=(-40, 40), p=1, fill_mask=IGNORED), albumentations.GaussNoise(p=1)]
    )
    random = np.random.default_rng(10)
    image, label = noise_picture(random, 40, 50)
    augment = Augment(AugmentRecipe(horizontal_flip=0.5), extra=compose)
    first = augment(image, label, generator(0, 0, 1))
    other = augment(image, label, generator(0, 0, 2))
    again = augment(image, label, generator(0, 0, 1))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0]) and not np.array_equal(first[1], other[1])
    assert set(np.unique(first[1])) <= set(np.unique(label)) | {IGNORED}


def test_extra_that_draws_from_global_generators_is_repeatable_and_leaves_them_alone() -> None:
    def extra(image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        image[:] = python_random.randrange(256) ^ np.random.randint(256)
        return {"image": image, "mask": mask}

    image, label = noise_picture(np.random.default_rng(11), 8, 9)
    kept, augment = image.copy(), Augment(AugmentRecipe(), extra=extra)
    states = python_random.getstate(), np.random.get_state()[1].tolist()
    values = [int(augment(image, label, generator(0, 0, number))[0][0, 0, 0]) for number in (1, 2, 3, 1, 2, 3)]
    assert values[:3] == values[3:] and len(set(values)) > 1
    assert (python_random.getstate(), np.random.get_state()[1].tolist()) == states
    assert np.array_equal(image, kept)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (lambda image, mask: {"image": image[1:], "mask": mask[1:]}, "image came back as uint8 (7, 9, 3)"),
        (lambda image, mask: {"image": image / np.float32(255), "mask": mask}, "image came back as float32"),
        (lambda image, mask: {"image": image, "mask": mask.astype(np.int64)}, "mask came back as int64"),
        (lambda image, mask: {"image": image, "mask": mask + 1}, "label value 1 was not"),
        (lambda image, mask: {"image": image}, "'mask'"),
        (lambda image, mask: None, "returned no dict"),
    ],
)
def test_extra_that_breaks_its_promise_is_one_clear_error(result: object, said: str) -> None:
    image, label = np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9), np.uint8)
    with pytest.raises(TrainingError) as error:
        Augment(AugmentRecipe(), extra=result)(image, label, generator(0, 0, 0))  # type: ignore[arg-type]
    assert said in str(error.value)
