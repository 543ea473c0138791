"""Pictures to try a model with: a few of its validation split, kept in its run folder, found beside its file."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tarsia.data._dataset import Dataset, evenly, spec_of
from tarsia.engines.model_file import find_model_file
from tarsia.errors import RecipeError
from tarsia.files import writing

FOLDER = "examples"  # of a run folder; of any other model file NAME.examples
WRITTEN = f"{FOLDER}/validation-*.jpg"
TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
MOST = 12  # of a model
_KEPT = 6
_LONGEST = 1024  # pixels of a side; a larger picture is made smaller


def keep(run: Path, dataset: Dataset) -> None:
    """Write a few evenly spaced pictures of `dataset` as `run`/examples/validation-N.jpg.

    Pictures that a browser cannot show, of other than one band or three, of more than 8 bits or of several files, are
    not written.
    Raises OutputError where the folder cannot be written, and what reading a sample raises.
    """
    spec = spec_of(dataset)
    if spec.bands not in (1, 3) or spec.dtype != "uint8" or spec.files:
        return
    for number, index in enumerate(evenly(_KEPT, len(dataset)), 1):
        image_HWC = dataset[index].image
        picture = Image.fromarray(image_HWC[..., 0] if image_HWC.shape[2] == 1 else image_HWC)
        picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
        with writing(run / FOLDER / f"validation-{number}.jpg") as part:
            picture.save(part, "JPEG", quality=92)


def beside(model: Path) -> list[Path]:
    """The pictures to try a model file or run folder with, by name: of NAME.examples/, else of its run's examples/.

    A folder is a run's where it holds a recipe.yaml: any other `examples/` beside a file is somebody else's.  Raises
    RecipeError for a folder that cannot be read.
    """
    file = find_model_file(model)
    folder = file.with_suffix(f".{FOLDER}")
    if not folder.is_dir():
        folder = file.parent / FOLDER
        if not (folder.is_dir() and (file.parent / "recipe.yaml").is_file()):
            return []
    try:
        found = [one for one in folder.iterdir() if one.suffix.lower() in TYPES and not one.name.startswith(".")]
        return sorted(one for one in found if one.is_file())
    except OSError as error:
        raise RecipeError(
            f"{folder}: cannot be read ({error.strerror or error}): make it readable, or remove it"
        ) from error
