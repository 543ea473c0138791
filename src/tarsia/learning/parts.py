"""What a recipe trains with: its data, network and loss, each checked with the others before anything is read."""

from __future__ import annotations

from typing import Any

import torch

from tarsia import console, data, models, own_parts
from tarsia.card import Card, Code, Input, Spec
from tarsia.data import Dataset, bands_of
from tarsia.data._class_pixels import class_pixel_counts, class_weights
from tarsia.data._coding import coding_of
from tarsia.data._dataset import check_classes, check_labelled, spec_of
from tarsia.data._range import settled
from tarsia.errors import DatasetError, RecipeError
from tarsia.learning import losses
from tarsia.learning.augment import COLORED
from tarsia.learning.processes import Processes
from tarsia.models._segmenter import Segmenter
from tarsia.plain_text import number
from tarsia.recipe import Recipe
from tarsia.recipe_train import TrainRecipe


def open_data(recipe: Recipe) -> tuple[Dataset, Dataset | None]:
    """The data of training and, where there is one, of validation; an error where the two do not fit together."""
    section = recipe.data

    def split(name: str, **more: Any) -> Dataset:
        return data.open(section.name, section.root, name, cache=section.cache, **{**section.options, **more})

    train_data = split(section.train)
    check_classes(train_data.classes)
    check_bands(recipe, section.train, train_data)
    check_labelled(train_data, f"data.train {section.train}")
    if not section.val and recipe.train.early_stop:
        raise RecipeError("train.early_stop: waits for a better val mIoU but data.val is null: leave one of them out")
    if not section.val:
        return train_data, None
    val_data = split(section.val, **section.val_options)
    check_bands(recipe, section.val, val_data)
    if val_data.classes != train_data.classes:
        raise DatasetError(f"data: the classes of {section.train} and {section.val} differ: they must be the same")
    check_labelled(val_data, f"data.val {section.val} (null for none)")
    return train_data, val_data


def create_model(recipe: Recipe, train_data: Dataset, weights: str) -> tuple[Segmenter, Card]:
    """The network, on `weights`, and what its model files will say of it."""
    node = recipe.model
    classes = train_data.classes
    given: Any = {"weights": weights, "head_start": node.head_start, "options": node.options}
    kind = models.accept(node.name)
    model = models.create(kind, len(classes), seed=recipe.seed, **given)
    config = models.config_class(kind).model_validate(node.options)
    _keep_still(recipe, model)
    spec = spec_of(train_data)
    kept = {name: getattr(spec, name) for name in ("dtype", "bits", "alpha", "take", "nodata", "files", "harmonise")}
    size = {"size": recipe.input.size, "short_side": recipe.input.short_side, "stride": model.stride}
    seen = Input.model_validate(size | kept | {"range": settled(train_data)})
    told = {"classes": classes, "coding": coding_of(train_data), "input": seen}
    part = own_parts.titled(kind) if isinstance(kind, str) else kind
    code = None if part is None else Code(name=part.name, sha256=part.sha256)
    name = node.name if part is None else part.title
    return model, Card(architecture=name, code=code, model=config.model_dump(mode="json"), **told)


def _keep_still(recipe: Recipe, model: Segmenter) -> None:
    """Have of the encoder stay as it is what the recipe says: parts of it, the statistics of its normalisation."""
    node, fixed = recipe.model, recipe.train.encoder_statistics == "fixed"
    encoder, scratch = getattr(model, "encoder", None), node.weights == "none" and not recipe.train.start_from
    if encoder is None and (node.freeze or fixed):
        what = "model.freeze" if node.freeze else "train.encoder_statistics"
        raise RecipeError(f"{what}: {node.name} has no encoder to keep still: leave it out")
    if encoder is not None and fixed:
        if scratch:
            raise RecipeError(
                "train.encoder_statistics: fixed keeps those that pretrained weights bring, and with model.weights "
                "none there are none: give the weights' FILE or train.start_from, or leave it out"
            )
        encoder.fix_statistics()
    if encoder is not None and node.freeze:
        encoder.freeze(node.freeze)
        if scratch:
            console.note("model.freeze with model.weights none: the frozen parts stay random; give the weights' FILE")


def settle_criterion(
    recipe: Recipe, train_data: Dataset, device: str, processes: Processes
) -> tuple[Recipe, losses.Sum]:
    """The loss, with class weights counted from the data where the recipe asks for that, by the first process."""
    _refuse_idle_settings(recipe.train)
    wanted, count = recipe.train.class_weights, len(train_data.classes)
    if isinstance(wanted, str) and wanted != "none":
        kind = wanted
        wanted = tuple(processes.first(lambda: list(class_weights(kind, *class_pixel_counts(train_data)))))
        train = TrainRecipe.model_validate(recipe.train.model_dump() | {"class_weights": wanted})
        recipe = recipe.model_copy(update={"train": train})
    if not isinstance(wanted, str) and len(wanted) != count:
        raise RecipeError(f"train.class_weights: {len(wanted)} weights for {count} classes: give one for each")
    if not isinstance(wanted, str) and not any(wanted):
        raise RecipeError("train.class_weights: all of them are 0, so nothing would be learned: give one that is not")
    weights = None if isinstance(wanted, str) else torch.tensor(wanted, dtype=torch.float32, device=device)
    return recipe, losses.create(recipe.train.loss, weights, recipe.train.label_smoothing)


def _refuse_idle_settings(settings: TrainRecipe) -> None:
    """RecipeError for class weights or label smoothing that no loss of the sum would take."""
    idle = {"class_weights": settings.class_weights != "none", "label_smoothing": settings.label_smoothing > 0}
    names = [name for name, given in idle.items() if given]
    if names and not set(losses.PIXELWISE) & settings.loss.weights.keys():
        raise RecipeError(
            f"train.{' and train.'.join(names)}: of no use to {' + '.join(settings.loss.weights)}: leave out, or add "
            f"one of {', '.join(losses.PIXELWISE)} to train.loss"
        )


def check_bands(recipe: Recipe, split: str, dataset: Dataset) -> None:
    """RecipeError where the pictures of `split` have other bands than `model.bands`, or something needs colours."""
    wanted, found = recipe.model.options.get("bands", 3), bands_of(dataset)
    if wanted != found:
        given = "given" if "bands" in recipe.model.options else "what it is where not given"
        raise RecipeError(
            f"model.bands: {wanted} ({given}), but the pictures of data set {recipe.data.name}, split {split}, have "
            f"{number(found, 'band')}: write model.bands: {found}, or bands: {wanted} in dataset.yaml if that is wrong"
        )
    check_colors(recipe, spec_of(dataset), getattr(dataset, "range_rule", None))


def check_colors(recipe: Recipe, spec: Spec, range_rule: Any = None) -> None:
    """RecipeError naming what changes red, green and blue of 8 bits, where pictures are others, or have a range."""
    colored = [f"augment.{name}" for name in COLORED if getattr(recipe.augment, name) is not None]
    colored += ["adapt"] if recipe.adapt else []
    if spec.bands == 3:
        colored = [name for name in colored if name != "augment.color_jitter"]  # which takes any values
    if colored and spec.plain and range_rule not in (None, "limits"):
        raise RecipeError(
            f"{', '.join(colored)}: for values as cameras store them, and dataset.yaml says a `range`: leave one out"
        )
    if colored and not spec.plain:
        raise RecipeError(
            f"{', '.join(colored)}: for red, green and blue of 8 bits, and the pictures have {spec}: leave out"
        )
