"""What is refused of a recipe for pictures of other bands, and augmentation of these against the picture in parts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tarsia.card import Spec
from tarsia.errors import RecipeError
from tarsia.learning.augment import COLORED, Augment, generator
from tarsia.learning.parts import check_bands, check_colors
from tarsia.learning.window import BORDER_VALUE
from tarsia.recipe import Recipe
from tarsia.recipe_augment import AugmentRecipe

GENERIC = {
    "horizontal_flip": 1.0,
    "vertical_flip": 1.0,
    "scale": {"min": 0.5, "max": 2.0},
    "crop": (24, 40),
}


def recipe(**sections: Any) -> Recipe:
    tree = {"data": {"name": "folder"}, "model": {"name": "unet"}, **sections}
    return Recipe.model_validate(tree)


def images_of(bands: int) -> Any:
    return SimpleNamespace(spec=Spec(bands))


def test_model_and_data_set_must_agree() -> None:
    four = recipe(model={"name": "unet", "bands": 4})
    check_bands(four, "train", images_of(4))
    check_bands(recipe(), "train", images_of(3))
    cases = [
        (recipe(), 4, r"model\.bands: 3 \(what it is where not given\), .* folder, split train, have 4 bands: write"),
        (four, 3, r"model\.bands: 4 \(given\), .* have 3 bands: write model\.bands: 3, or bands: 4 in dataset\.yaml"),
        (four, 1, r"model\.bands: 4 \(given\), .* have 1 band: write"),
    ]
    for given, bands, says in cases:
        with pytest.raises(RecipeError, match=says):
            check_bands(given, "train", images_of(bands))


@pytest.mark.parametrize("name", COLORED)
def test_what_changes_colours_is_refused_by_name(name: str) -> None:
    colored = recipe(augment={name: {}, "horizontal_flip": 0.5})
    check_colors(colored, Spec(3))
    with pytest.raises(
        RecipeError, match=rf"^augment\.{name}: for red, green and blue of 8 bits, and the pictures have 4 bands"
    ):
        check_colors(colored, Spec(4))


def test_adapting_is_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"^adapt: for red, green and blue of 8 bits, and the pictures have 1 band: leave out"
    ):
        check_colors(recipe(adapt={"target": "photos", "method": "histogram"}), Spec(1))


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 12])
@pytest.mark.parametrize(
    "more", [{}, {"rotation": {"probability": 1.0, "degrees": 30}}, {"blur": {"probability": 1.0}}]
)
def test_every_band_is_changed_as_it_would_be_in_a_picture_of_three(bands: int, more: dict[str, Any]) -> None:
    """The same draw on pictures of three equal bands, one for each band; beyond the picture there is one grey."""
    random = np.random.default_rng(1)
    label_HW = random.integers(0, 3, (37, 41)).astype(np.uint8)
    image_HWC = random.integers(0, 256, (37, 41, bands)).astype(np.uint8)
    augment = Augment(AugmentRecipe.model_validate(GENERIC | more))
    for index in range(6):
        image, label = augment(image_HWC, label_HW, generator(0, 0, index))
        assert image.shape == (24, 40, bands) and image.dtype == np.uint8
        outside = label == 255
        for band in range(bands):
            three = np.repeat(image_HWC[..., band : band + 1], 3, axis=2)
            expected, same_label = augment(three, label_HW, generator(0, 0, index))
            np.testing.assert_array_equal(label, same_label)
            if not more.get("blur"):
                inside = ~outside if not more else _well_inside(outside)
                np.testing.assert_array_equal(image[..., band][inside], expected[..., 0][inside])
        if outside.any() and not more:
            assert (image[outside] == BORDER_VALUE).all()


def _well_inside(outside_HW: np.ndarray) -> np.ndarray:
    """Where no neighbour is outside: turned pictures are blended with what lies beyond."""
    padded = np.pad(outside_HW, 2, constant_values=True)
    near = [padded[y : y + outside_HW.shape[0], x : x + outside_HW.shape[1]] for y in range(5) for x in range(5)]
    return ~np.logical_or.reduce(near)


def test_noise_is_of_any_bands(tmp_path: Path) -> None:
    augment = Augment(AugmentRecipe.model_validate({"noise": {"probability": 1.0, "std": 20}}))
    image = np.full((40, 40, 5), 128, np.uint8)
    found, _ = augment(image, np.zeros((40, 40), np.uint8), generator(0, 0, 3))
    assert found.shape == image.shape and (found.std((0, 1)) > 0.1).all()
