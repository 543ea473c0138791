"""adapt: a model, labelled pictures of its source and unlabelled ones of a target -> a model for both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tarsia import data, environment
from tarsia.adaptation.batch_statistics import take_statistics
from tarsia.adaptation.style import StyleCard, StyleNetwork, is_style, load_style, save_style
from tarsia.adaptation.style_generators import Form, Skips
from tarsia.adaptation.style_training import PUBLISHED, StyleTraining, encoder_of, is_model, take_encoder
from tarsia.card import SUM_KEY, Card, read_header
from tarsia.comparing import compare
from tarsia.comparison import Comparison
from tarsia.data import Dataset
from tarsia.data._unlabelled import Unlabelled, open_unlabelled
from tarsia.engines.model_file import find_model_file, read_card
from tarsia.engines.torch_engine import pick_device
from tarsia.engines.weights import load_model, save_model
from tarsia.errors import DatasetError, ModelFileError, RecipeError, nearest
from tarsia.evaluating import evaluate
from tarsia.files import require_new
from tarsia.folder_lock import holding
from tarsia.inference import load, take_code
from tarsia.recipe import Recipe
from tarsia.training import train

RESTYLING = ("style", "histogram", "fourier")
LEARNED = (*RESTYLING, "self-training", "source")  # by a fine-tuning; source: on the labelled pictures alone
METHODS = ("none", "batch-norm", *LEARNED)


@dataclass(frozen=True)
class Tuning:
    """How a stage is fine-tuned; `strength`, `share`, `kl_weight` and `least_confidence` as in a recipe's `adapt`."""

    steps: int = 500
    batch: int = 8
    learning_rate: float = 3e-4
    share: float = 1.0
    strength: float = 1.0
    kl_weight: float = 1.0
    least_confidence: float = 0.9
    seed: int = 0
    workers: int = 1
    style_steps: int = 1000  # of a style network that is not given


@dataclass(frozen=True)
class Adapted:
    """The model file, and how it compares with what it came from (None where nothing was scored)."""

    model: Path
    comparison: Comparison | None


def adapt(
    model: str | Path,
    *,
    source: str,
    target: str | Path,
    out: str | Path,
    method: str = "style",
    style: str | Path | None = None,
    score: str | None = None,
    tuning: Tuning | None = None,
    cache: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
    code: str | None = None,
) -> Adapted:
    """Adapt `model` from labelled `source` to unlabelled `target`, and write folder `out`, as `tarsia.adapt` says.

    `out` gets model.safetensors, whose card says what it was adapted to and how; a run folder for each stage that is
    trained; before/ and after/, report folders, and comparison.html and .json.  Without `style`, method style trains a
    style network on the model's own encoder.  `cache` as in a recipe.
    """
    tuning, device, out = tuning or Tuning(), pick_device(device), Path(out)
    stages, start = stages_of(method), _model_file(Path(model))
    take_code(code, start)
    _check_colors(read_card(start), start)
    source, score = data.meant(source), None if score is None else data.meant(score)
    pictures = open_unlabelled(target)
    _open_labelled(read_card(start), source, "train")
    scored = _open_labelled(read_card(start), score, "val", cache) if score else None
    if style is not None and "style" not in stages:
        raise RecipeError(f"`style` is of use to method style alone, and the method is {method}: leave it out")
    if "style" in stages and style is not None:
        load_style(style)  # an error where it is no style file, or, next, where there is no encoder to train one on
    elif "style" in stages:
        encoder_of(start)
    with holding(require_new(out, overwrite)):
        adapted = out / "model.safetensors"
        adapted.unlink(missing_ok=True)  # of an earlier adaptation: not to stand among what this one leaves if stopped
        if "style" in stages and style is None:
            style = out / "style.safetensors"
            settings: dict[str, Any] = {"steps": tuning.style_steps, "batch": tuning.batch, "seed": tuning.seed}
            train_style(source, target, style, encoder=str(start), device=device, overwrite=overwrite, **settings)
        reached = start
        for number, stage in enumerate(stages, 1):
            folder = out / f"{number}-{stage}"
            if stage == "batch-norm":
                reached = _with_statistics(reached, pictures, folder, tuning, device)
            elif stage != "none":
                recipe = _recipe(reached, stage, source, str(target), style, tuning, cache)
                reached = find_model_file(train(recipe, out=folder, device=device, overwrite=overwrite))
        facts = _provenance(start, stages, open_unlabelled(source), pictures, style, tuning)
        network, found = load_model(reached)
        save_model(adapted, network, found.model_copy(update={"provenance": found.provenance | {"adapted": facts}}))
        if scored is None or score is None:
            return Adapted(adapted, None)
        return Adapted(adapted, _compared((start, adapted), scored, score, out, device, tuning.batch))


def train_style(
    content: str | Path,
    style: str | Path,
    out: str | Path,
    *,
    encoder: str = "resnet50",
    weights: str = "imagenet",
    stride: int = 8,
    published: bool = False,
    generator: Form | None = None,
    skips: Skips | None = None,
    encoder_options: dict[str, Any] | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    steps: int = 2000,
    device: str = "auto",
    overwrite: bool = False,
    **training: Any,
) -> StyleCard:
    """Train a style network between two collections of unlabelled pictures and write it to file `out`.

    `encoder`: a timm name with `weights` (imagenet, none or a .safetensors file), or a Tarsia model whose encoder to
    take, weights and all.  `generator`: plain (the default) or mirrored; `skips`: picture (the default), maps or none
    (adaptation/style.py).  `training`: batch, learning_rate, stages_weight, identity_weight, norm and seed, as of
    StyleTraining.  `published` chooses all of these as Song, Zhang & Park 2021 have it, but for those that are given:
    mirrored, none, weights 0, norm l2.  One network serves both directions.
    """
    out, device = Path(out), pick_device(device)
    if out.exists() and not overwrite:
        raise RecipeError(f"{out} exists: choose another `out` or add `overwrite=True`")
    given: dict[str, Any] = {"encoder": encoder, "encoder_options": encoder_options or {}, "mean": mean, "std": std}
    taken = None
    if is_model(Path(encoder)):
        taken, given = encoder_of(Path(encoder))
        _check_colors(read_card(find_model_file(Path(encoder))), Path(encoder))
        weights = "none"
    chosen = {"generator": generator, "skips": skips} | training
    settings = (PUBLISHED if published else {}) | {key: one for key, one in chosen.items() if one is not None}
    form = {key: settings.pop(key) for key in ("generator", "skips") if key in settings}
    card = _style_card(**given, **form, stride=stride)
    collections = open_unlabelled(content), open_unlabelled(style)
    network = StyleNetwork(card, weights, settings.get("seed", 0))
    if taken is not None:
        take_encoder(network, taken)
    learning = StyleTraining(network, collections, device=device, **settings)
    losses = learning.run(steps)
    facts = {
        "content": _described(collections[0]),
        "style": _described(collections[1]),
        "encoder_weights": str(taken or weights),
        "steps": steps,
        "crop": learning.crop,
        "loss": sum(losses[-50:]) / max(len(losses[-50:]), 1),
        "training": learning.settings(),
        "environment": environment.describe(),
    }
    card = card.model_copy(update={"provenance": facts})
    save_style(out, network, card)
    return card


def _style_card(**settings: Any) -> StyleCard:
    try:
        return StyleCard(**settings)
    except ValidationError as error:
        raise RecipeError(*(f"{one['loc'][0]}={one['input']!r}: {one['msg']}" for one in error.errors())) from error


def stages_of(method: str) -> list[str]:
    """`style+batch-norm` -> its stages; RecipeError for unknown ones, and `none` or one of them twice."""
    stages = [part.strip() for part in method.split("+")]
    for stage in stages:
        if stage not in METHODS:
            raise RecipeError(f"{method=}: no method {stage!r}{nearest(stage, METHODS)}")
    if len(set(stages)) < len(stages) or ("none" in stages and len(stages) > 1):
        raise RecipeError(f"{method=}: each method once, and none by itself")
    return stages


def _check_colors(card: Card, path: Path) -> None:
    """RecipeError for a model of other pictures than RGB: the methods were made for colours."""
    if not card.spec.plain or card.input.range is not None:
        by = " by a range of their values" if card.input.range is not None else ""
        raise RecipeError(
            f"{path}: takes pictures of {card.spec}{by}, and adapting is for red, green and blue of 8 bits: train "
            "it with labelled pictures of the new condition (train.start_from)"
        )


def _model_file(path: Path) -> Path:
    file = find_model_file(path)
    if file.suffix != ".safetensors":
        raise ModelFileError(f"{file}: adapt the .safetensors model that it was exported from, and export it again")
    if is_style(file):
        raise ModelFileError(f"{file}: a style network, not a segmentation model: give it as `style`")
    return file


def _open_labelled(card: Card, spec: str, split: str, cache: str | None = None) -> Dataset:
    """The data set of a spec; DatasetError where its classes are not the model's."""
    dataset = data.open_spec(spec, default_split=split, cache=cache)
    names = dataset.classes.names
    if names != card.classes.names:
        apart = ", ".join(sorted(set(names) ^ set(card.classes.names))[:5]) or "their order"
        raise DatasetError(
            f"{spec}: its {len(names)} classes are not the model's {len(card.classes)} (they differ in {apart}): "
            "adapt with the data set that the model was trained for, or map the classes in its dataset.yaml"
        )
    return dataset


def _recipe(
    start: Path, stage: str, source: str, target: str, style: str | Path | None, tuning: Tuning, cache: str | None
) -> Recipe:
    """The recipe of one stage; augmentation, loss and what of the encoder stays are as it was trained, if known."""
    card = read_card(start)
    name, root, options = data.parse(source)
    split = options.pop("split", "train")
    before = card.provenance.get("recipe") or {}
    kept = ("class_weights", "loss", "encoder_statistics")
    tree: dict[str, Any] = {
        "name": f"adapt-{stage}",
        "seed": tuning.seed,
        "data": {**options, "name": name, "root": root, "train": split, "val": None, "cache": cache},
        "model": {**card.model, "name": card.architecture, "freeze": before.get("model", {}).get("freeze", ())},
        "input": {"size": card.input.size, "short_side": card.input.short_side},
        "augment": before.get("augment", {}),
        "train": {
            **{key: before["train"][key] for key in kept if key in before.get("train", {})},
            "epochs": 1,
            "steps_per_epoch": tuning.steps,
            "batch": tuning.batch,
            "workers": tuning.workers,
            "learning_rate": tuning.learning_rate,
            "start_from": str(start),
        },
    }
    if stage != "source":
        shared = {key: getattr(tuning, key) for key in ("share", "strength", "kl_weight", "least_confidence")}
        tree["adapt"] = {"target": target, "method": stage, "style": str(style) if stage == "style" else None, **shared}
    return Recipe.model_validate(tree)


def _with_statistics(start: Path, pictures: Unlabelled, folder: Path, tuning: Tuning, device: str) -> Path:
    network, card = load_model(start)
    take_statistics(network, pictures, card.input, tuning.steps * tuning.batch, tuning.batch, device)
    path = folder / "model.safetensors"
    save_model(path, network, card.model_copy(update={"calibration": None}))  # fitted on other scores
    return path


def _compared(files: tuple[Path, Path], scored: Dataset, score: str, out: Path, device: str, batch: int) -> Comparison:
    """Both models' reports in before/ and after/, and their comparison."""
    name, _, options = data.parse(score)
    common: dict[str, Any] = {"dataset_name": name, "split": options.get("split", "val"), "batch": batch}
    for file, place in zip(files, ("before", "after"), strict=True):
        evaluate(load(file, device=device), scored, out=out / place, **common)
    return compare([out / "before", out / "after"], pool=False, out=out, device=device)


def _provenance(
    start: Path, stages: list[str], source: Unlabelled, target: Unlabelled, style: str | Path | None, tuning: Tuning
) -> dict[str, Any]:
    """What the adapted model's card says."""
    trained = any(stage in LEARNED for stage in stages)
    return {
        "from": {"file": str(start), "sha256": read_header(start).get(SUM_KEY)},
        "method": "+".join(stages),
        "source": _described(source),
        "target": _described(target),
        "style": None if style is None else {"file": str(style), "sha256": read_header(Path(style)).get(SUM_KEY)},
        "tuning": vars(tuning) if trained else None,
        "environment": environment.describe(),
    }


def _described(pictures: Unlabelled) -> dict[str, Any]:
    return {"data": pictures.source, "pictures": len(pictures), "hash": pictures.hash()}
