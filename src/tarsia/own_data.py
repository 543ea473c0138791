"""Which labelled pictures a command means: those it is given, or a model's own, as its card says, where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from tarsia import console, data, own_parts
from tarsia.data import Dataset
from tarsia.engines.model_file import find_model_file, read_card
from tarsia.errors import DatasetError, RecipeError
from tarsia.recipe import DataRecipe


@dataclass(frozen=True)
class OwnData:
    """The data of the training that `model` (a file or run folder) is of; `option`: the setting that names other."""

    model: Path
    section: DataRecipe
    option: str

    @classmethod
    def of(cls, model: Path, option: str = "data") -> OwnData:
        """RecipeError where the card does not say what it was trained on; ModelFileError where there is no card."""
        recipe = read_card(find_model_file(model)).provenance.get("recipe")
        try:
            section = DataRecipe.model_validate(recipe["data"])  # type: ignore[index]
        except (TypeError, KeyError, ValidationError) as error:
            raise RecipeError(
                f"{model} does not say what data it was trained on: say it with `{option}`: NAME[:ROOT][,key=value...]"
            ) from error
        if not data.is_known(section.name):
            raise RecipeError(f"{model} was trained on {section.name!r}, which is not here: give `{option}`")
        if own_parts.is_own(section.name) and own_parts.accepted(section.name) is None:
            raise RecipeError(
                f"{model} was trained on {section.name!r}, which is code, and a model file's word runs none: look at "
                f"it, and say it with `{option}`, as {option}={_as_data(section)!r}"
            )
        return cls(Path(model), section, option)

    @property
    def training(self) -> str:
        """`NAME[:ROOT][,key=value...]` of what it learned from."""
        return self._spec(self.section.root, self.section.train, self.section.options)

    def held_out(self, split: str | None = None) -> str:
        """The same of what it was validated on, or of another `split`; RecipeError where that is not clear."""
        return self._spec(self.section.root, *self._chosen(split))

    def open(self, spec: str) -> Dataset:
        """One of these data sets; DatasetError says what to do where they have moved."""
        try:
            return data.open_spec(spec)
        except DatasetError as error:
            name, root, options = data.parse(spec)
            moved = (
                "" if root is None else f"; where it has moved, {self.option}={data.spec(name, 'FOLDER', options)!r}"
            )
            said = f"{spec} is the data that {self.model} was trained with{moved}"
            raise DatasetError(*error.args, said) from error

    def _spec(self, root: str | None, split: str, options: dict[str, object]) -> str:
        return data.spec(self.section.name, root, {**options, "split": split})

    def _chosen(self, split: str | None) -> tuple[str, dict[str, object]]:
        section = self.section
        held_out = section.options | section.val_options
        if split is None and section.val is None:
            raise RecipeError(
                f"{self.model} was trained without a validation split: say with `split` which one, or with "
                f"`{self.option}` which pictures"
            )
        if split in (None, section.val):
            return section.val or "", held_out
        if split != section.train and section.val_options:
            name, root = section.name, section.root
            specs = [data.spec(name, root, {**one, "split": split}) for one in (section.options, held_out)]
            readings = (f"{self.option}={spec!r}" for spec in specs)
            raise RecipeError(
                f"{split=}: {self.model} was trained with other options of the data for train than for val: "
                f"say which, {' or '.join(readings)}"
            )
        return str(split), section.options


def _as_data(section: DataRecipe) -> str:
    """The data set as a person may name it; its options are not known before its code has run."""
    return f"{section.name}:Data:{section.root}" if section.root and section.name.endswith(".py") else section.name


class Labelled(NamedTuple):
    """Labelled pictures, and how they are called; both names are "" for a Dataset that was handed in."""

    dataset: Dataset
    name: str = ""
    split: str = ""

    @classmethod
    def of(
        cls,
        given: Dataset | str | None,
        model: str | Path | None,
        split: str | None = None,
        default_split: str = "val",
        option: str = "data",
    ) -> Labelled:
        """`given`, a Dataset or NAME[:ROOT][,key=value...]; None is what `model` was validated on, which is said.

        `option` names the setting in errors.  RecipeError where no model's card can say it.
        """
        if given is not None and not isinstance(given, str):
            return cls(given, split=split or "")
        if given is not None:
            given = data.meant(given)
            dataset = data.open_spec(given, split=split, default_split=default_split)
        elif model is None:
            raise RecipeError(f"which labelled pictures?  A predictor does not say, its file does: give `{option}`")
        else:
            own = OwnData.of(Path(model), option)
            given = own.held_out(split)
            dataset = own.open(given)
            console.note(f"{option}={given!r}: the data that {model} was trained with")
        name, _, options = data.parse(given)
        return cls(dataset, own_parts.stem(name), split or options.get("split", default_split))
