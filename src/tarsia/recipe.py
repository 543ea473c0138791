"""Recipe: every setting of a training, with its default, unit and bounds, in one place.

On disk a recipe is YAML with the same keys.  Options of one model or data set stand beside its name and are
checked by that model's or data set's own file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from tarsia import own_parts, shipped
from tarsia.errors import RecipeError
from tarsia.evaluation.thresholds import Expected
from tarsia.models import HEAD_START, HeadStart
from tarsia.own_parts import Kind
from tarsia.plain_text import command
from tarsia.recipe_augment import AugmentRecipe, Probability, Size
from tarsia.recipe_train import CALLBACK, LOSS, LossRecipe, LossWeight, TrainRecipe
from tarsia.yaml_faults import Fault, faults_of, unknown_key
from tarsia.yaml_tree import Document, Node, as_overrides

_STYLE_FILE = f"a file of `{command('adapt', '--train-style')}`"
# What code of the user's own may be: called as (image=, mask=).
AUGMENTATION = Kind("augmentation", "augment", callable, "tarsia.augmentations", classes_first=False)


class _OpenNode(Node):
    """A node whose further keys belong to the model or data set it names."""

    model_config = ConfigDict(extra="allow")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class DataRecipe(_OpenNode):
    """Which pictures; further keys are options of the data set (as `count` of streets), or of all (`folds`, `fold`)."""

    name: str
    root: str | None = Field(None, description="the folder, of data sets that lie in one")
    train: str = Field("train", description="the split that is learned from")
    val: str | None = Field("val", description="the split that is scored after each epoch")
    val_options: dict[str, Any] = Field({}, description="options of the data set that differ for the val split")
    cache: str | None = Field(None, description="folder for decoded pictures (a memory map); none by default")
    keep_megabytes: Annotated[int, Field(ge=0)] = Field(
        0,
        description="of what is learned from, as large as `input` makes it, kept in memory by each process that reads",
    )

    @property
    def options(self) -> dict[str, Any]:
        """The further keys; with folds also which splits are joined, unless they have their usual names."""
        found = super().options
        for key in ("folds", "fold"):  # in the order in which they are read, whatever a card keeps them in
            if key in found:
                found[key] = found.pop(key)
        if found.get("folds") is not None and self.val is not None and (self.train, self.val) != ("train", "val"):
            found.setdefault("joined", f"{self.train}+{self.val}")
        return found

    @model_validator(mode="after")
    def _one_division(self) -> DataRecipe:
        """What is trained on and what is scored are the two sides of one division."""
        known = self.options
        divides = {"folds", "fold", "joined"} & self.val_options.keys() or (self.val_options and known.get("folds"))
        if divides:
            raise ValueError("folds are of train and val together: say folds and fold beside name, and no val_options")
        joined = str(known.get("joined") or "train+val")
        training, _, held_out = joined.partition("+")
        alone = self.val is None and self.train in (training, held_out, joined)
        if known.get("folds") is not None and not alone and (self.train, self.val) != (training, held_out):
            raise ValueError(
                f"the folds are of {training} and {held_out}: train and val have to be these, or joined those"
            )
        return self


class ModelRecipe(_OpenNode):
    """Which network; further keys are options of the model (as `encoder`, `bins`)."""

    name: str
    weights: str = Field("none", description="none | imagenet | a .safetensors file with the encoder's weights")
    head_start: HeadStart = Field(
        HEAD_START,
        description="how the layers that give scores start: a standard deviation, fan_in (1 / sqrt(what comes into a "
        "score)) or he (sqrt(2 / what comes of a feature)); docs/networks.md",
    )
    licence: str | None = Field(
        None, description="of the weights; unless told as their file or timm states it, empty where neither does"
    )
    accept_licence: bool = Field(False, description="a licence with conditions, or none, is no longer warned of")
    freeze: tuple[str, ...] = Field((), description="encoder parts that stay as they are; [all] for the whole encoder")


class InputRecipe(Node):
    """How pictures are brought to the network, in training, evaluation and prediction alike."""

    size: Size | None = Field(None, description="resize every picture to exactly (height, width)")
    short_side: Annotated[int, Field(ge=8, le=16_384)] | None = Field(
        None, description="resize every picture so that its shorter side has so many pixels"
    )

    @model_validator(mode="after")
    def _one(self) -> InputRecipe:
        if self.size and self.short_side:
            raise ValueError("size and short_side exclude each other: keep one")
        return self


class TeacherRecipe(Node):
    """Distillation: the network also learns the answers of trained models.  A name or list says those `models`."""

    models: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="model files or run folders of the same classes; of several the mean of their probabilities"
    )
    weight: LossWeight = Field(1.0, description="of T^2 KL(teacher || network), the mean over all pixels")
    temperature: Annotated[float, Field(gt=0, le=100)] = Field(1.0, description="T, by which both divide their scores")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"models": [value] if isinstance(value, str) else value} if isinstance(value, str | list) else value


class AdaptRecipe(Node):
    """Unlabelled pictures of another condition: each batch brings as many of them as it has labelled ones.

    histogram, fourier, style: labelled pictures are learned as they are and in the look of these (Song et al. 2021,
    training-time use).  self-training: these are learned too, with labels where the starting model is sure.
    """

    target: str = Field(description="a folder of pictures, or NAME[:ROOT][,key=value...], whose labels are not read")
    method: Literal["histogram", "fourier", "style", "self-training"]
    style: str | None = Field(None, description=f"of style: {_STYLE_FILE}")
    share: Probability = Field(
        1.0, description="of each batch, how many pictures are restyled, or learned by themselves"
    )
    strength: Probability = Field(1.0, description="of the restyling; 0: the labelled picture's own look")
    kl_weight: LossWeight = Field(1.0, description="of KL(p_original || p_restyled), the mean over pixels")
    least_confidence: Probability = Field(
        0.9, description="of self-training: of a label, unless its class has few such"
    )

    @model_validator(mode="after")
    def _style_file(self) -> AdaptRecipe:
        if (self.method == "style") != (self.style is not None):
            raise ValueError(f"style: {_STYLE_FILE}, for method style and no other")
        return self


class _Told(type(Node)):  # type: ignore[misc]
    """What `Recipe(...)` lacks is said as of a file; where one is read, pydantic's error is sorted by its lines."""

    def __call__(cls, **settings: Any) -> Any:
        try:
            return super().__call__(**settings)
        except ValidationError as error:
            raise RecipeError(
                *(f"recipe: {'.'.join(map(str, where))}: {what}" for where, what in faults_of(error, cls))
            ) from None


class Recipe(Node, metaclass=_Told):
    """Everything a training needs to be repeated; RecipeError, of all that is wrong, where it cannot be one."""

    name: str | None = Field(None, description="of the run; default: the recipe's file name")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: DataRecipe
    model: ModelRecipe
    input: InputRecipe = InputRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    train: TrainRecipe = TrainRecipe()
    teacher: TeacherRecipe | None = Field(None, description="trained models to learn from beside the labels")
    adapt: AdaptRecipe | None = Field(None, description="learn for another condition by its unlabelled pictures too")
    expected: Expected | None = Field(None, description="scores that it should reach; said when it has trained")

    @model_validator(mode="after")
    def _someone_to_learn_from(self) -> Recipe:
        if self.adapt and self.adapt.method == "self-training" and not self.train.start_from:
            raise ValueError("adapt.method self-training learns from a model: give its file as train.start_from")
        return self

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The names under which code of the user's own may stand, each with the group of entry points for it."""
        from tarsia import data, models

        return (
            (self.data.name, data.GROUP),
            (self.model.name, models.GROUP),
            *((name, LOSS.group) for name in self.train.loss.weights),
            (self.augment.extra or "", AUGMENTATION.group),
            *((name, CALLBACK.group) for name in self.train.callbacks),
        )

    @field_validator("name")
    @classmethod
    def _is_one_folder(cls, name: str | None) -> str | None:
        if name is not None and (name.strip() in ("", ".", "..") or "/" in name or "\0" in name):
            raise ValueError("a run's name is the name of one folder, without /")
        return name

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
        """The recipe at `path`, of a run folder, or by the name of one that comes with Tarsia, with settings changed.

        `overrides`: `key.key=value`.  RecipeError lists every fault, with lines.
        """
        file = shipped.recipe(path)
        document = Document.read(file, overrides)
        document.tree.setdefault("name", file.stem)
        return document.validate(cls, option_faults(document.tree))

    @classmethod
    def of(cls, tree: Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
        """The recipe that a dict says, keys and values as in YAML; RecipeError lists every fault."""
        document = Document.of(tree, "recipe", overrides)
        return document.validate(cls, option_faults(document.tree))

    def replace(self, settings: Mapping[str, Any]) -> Recipe:
        """This recipe with other settings, as `{"train.batch": 8, "model.width": 4}`; RecipeError as for a file.

        The keys are those of `set` and of the command line, where keywords, which have no dots, would be another form.
        """
        return Recipe.of(self.model_dump(mode="json", exclude_unset=True), as_overrides(settings))


def option_faults(tree: dict[str, Any]) -> list[Fault]:
    """Faults among the options of the named model and data set, which only their own files know."""
    from tarsia import data, models

    faults: list[Fault] = []
    for section, schema, catalogue in (("data", DataRecipe, data), ("model", ModelRecipe, models)):
        node = tree.get(section)
        if isinstance(node, dict) and isinstance(node.get("name"), str):
            options = {key: value for key, value in node.items() if key not in schema.model_fields}
            known = list(schema.model_fields)
            try:
                found = catalogue.option_faults(catalogue.accept(node["name"]), options, known)
            except RecipeError as error:
                found = [(("name",), str(error))]
            faults += [((section, *where), what) for where, what in found]
    return [*faults, *_own_faults(tree)]


def _own_faults(tree: dict[str, Any]) -> list[Fault]:
    """Faults of losses, augmentation and callbacks that are code of the user's own, and of losses not known."""
    train, augment = tree.get("train"), tree.get("augment")
    loss = train.get("loss") if isinstance(train, dict) else None
    extra = augment.get("extra") if isinstance(augment, dict) else None
    named: list[tuple[tuple[str, ...], str, Kind]] = []
    if isinstance(loss, str):
        named = [(("train", "loss", loss), loss, LOSS)]
    if isinstance(loss, dict):
        named = [(("train", "loss", name), name, LOSS) for name in loss]
    named = [one for one in named if one[1] not in LossRecipe.model_fields]
    named += [(("augment", "extra"), extra, AUGMENTATION)] if isinstance(extra, str) else []
    callbacks = train.get("callbacks") if isinstance(train, dict) else None
    told = [name for name in callbacks if isinstance(name, str)] if isinstance(callbacks, (list, tuple)) else []
    named += [(("train", "callbacks"), name, CALLBACK) for name in told]
    faults: list[Fault] = []
    for where, name, kind in named:
        if kind is LOSS and not own_parts.is_known(name, kind.group):
            known = [*LossRecipe.model_fields, *own_parts.installed(kind.group)]
            faults.append((where, unknown_key(name, known, 0)))
            continue
        try:
            own_parts.accept(name, kind)
        except RecipeError as error:
            faults.append((where, str(error)))
    return faults
