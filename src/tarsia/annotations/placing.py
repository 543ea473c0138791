"""Where a conversion puts pictures and label maps: no two of one name, no source replaced, links or copies."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tarsia.annotations.faults import Faults
from tarsia.annotations.source import Annotations, Picture
from tarsia.errors import OutputError
from tarsia.files import require_others, writing
from tarsia.pictures.find import walk
from tarsia.plain_text import listed, some


class Placed(NamedTuple):
    """A picture, and where it and its label map go."""

    picture: Picture
    image: Path
    label: Path


def placed(found: Annotations, to: Path, faults: Faults) -> list[Placed]:
    """The pictures with where they go; several of one name are a fault of each."""
    chosen = []
    for picture in found.pictures:
        name = Path(picture.split, picture.name)
        image, label = to / "images" / f"{name}{picture.path.suffix}", to / "labels" / f"{name}.png"
        chosen.append(Placed(picture, image, label))
    counts = Counter(label for _, _, label in chosen)
    for label in (label for label, count in counts.items() if count > 1):
        same = [str(picture.path) for picture, _, other in chosen if other == label]
        which = listed(list(dict.fromkeys(same)))
        for index, path in enumerate(same):
            what = f"{which}: two pictures (or one twice) of one name: rename or remove one"
            faults.add(what, path if path not in same[:index] else f"{path} (again, {index})")
    return [one for one in chosen if counts[one.label] == 1]


def check_targets(
    found: Annotations, chosen: Sequence[Placed], to: Path, files: Sequence[str] = ("dataset.yaml",)
) -> None:
    """Errors for sources that would be replaced, and for what an earlier run has left."""
    planned = {path for _, *paths in chosen for path in paths}
    sources = [*found.files, *(picture.path for picture, *_ in chosen)]
    require_others([*planned, *(to / name for name in files)], sources, "what is converted: choose another `to`")
    stale = [
        str(to / part / name)
        for part in ("images", "labels")
        for name in (walk(to / part) if (to / part).is_dir() else ())
        if to / part / name not in planned
    ]
    if stale:
        what = f"{len(stale)} files of something else are there: {some(stale)}"
        raise OutputError(f"{to}: {what}; remove them or choose another `to`")


def place(picture: Picture, target: Path, copy: bool) -> None:
    """A link to a picture, or a copy; of one that is no file its content."""
    source = picture.path
    if copy or picture.content is not None:
        with writing(target) as part:
            if picture.content is not None:
                part.write_bytes(picture.content())
            else:
                shutil.copyfile(source, part)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(os.path.realpath(source), os.path.realpath(target.parent)))
    except OSError as error:
        raise OutputError(
            f"cannot make the link {target}: {error.strerror}; `copy=True` copies pictures instead"
        ) from error
