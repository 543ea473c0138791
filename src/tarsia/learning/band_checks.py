"""Whether a recipe can be learned on pictures of so many bands: what is wrong is said before anything is read."""

from __future__ import annotations

from tarsia.data import Dataset, bands_of
from tarsia.errors import RecipeError
from tarsia.learning.augment import COLORED
from tarsia.plain_text import number
from tarsia.recipe import Recipe


def check_bands(recipe: Recipe, split: str, dataset: Dataset) -> None:
    """RecipeError where the pictures of `split` have other bands than `model.bands`, or something needs colours."""
    wanted, found = recipe.model.options.get("bands", 3), bands_of(dataset)
    if wanted != found:
        given = "given" if "bands" in recipe.model.options else "what it is where not given"
        raise RecipeError(
            f"model.bands: {wanted} ({given}), but the pictures of data set {recipe.data.name}, split {split}, have "
            f"{number(found, 'band')}: write model.bands: {found}, or bands: {wanted} in dataset.yaml if that is wrong"
        )
    check_colors(recipe, found)


def check_colors(recipe: Recipe, bands: int) -> None:
    """RecipeError naming what changes red, green and blue, where pictures have other `bands`."""
    colored = [f"augment.{name}" for name in COLORED if getattr(recipe.augment, name) is not None]
    colored += ["adapt"] if recipe.adapt else []
    if colored and bands != 3:
        raise RecipeError(
            f"{', '.join(colored)}: for red, green and blue, and the pictures have {number(bands, 'band')}: leave out"
        )
