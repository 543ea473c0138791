"""Where a conversion puts pictures and label maps: no two of one name, no source replaced, links or copies."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tarsia.annotations.anew import Anew, Marks
from tarsia.annotations.faults import Faults
from tarsia.annotations.source import Annotations, Picture
from tarsia.errors import OutputError
from tarsia.files import require_others, writing
from tarsia.pictures.find import stream
from tarsia.plain_text import listed, some


class Placed(NamedTuple):
    """A picture, and where it and its label map go."""

    picture: Picture
    image: Path
    label: Path


def placed(found: Annotations, to: Path, faults: Faults) -> Collection[Placed]:
    """The pictures with where they go; several of one name are a fault of each."""

    images, labels = to / "images", to / "labels"

    def going() -> Iterator[Placed]:
        for picture in found.pictures:
            name = f"{picture.split}/{picture.name}" if picture.split else picture.name
            yield Placed(picture, images / f"{name}{picture.path.suffix}", labels / f"{name}.png")

    several = Marks(str(one.label) for one in going()).twice()
    alike: dict[Path, list[str]] = {}
    for picture, _, label in going() if several else ():
        if hash(str(label)) in several:
            alike.setdefault(label, []).append(str(picture.path))
    alike = {label: paths for label, paths in alike.items() if len(paths) > 1}
    for same in alike.values():
        which = listed(list(dict.fromkeys(same)))
        for index, path in enumerate(same):
            what = f"{which}: two pictures (or one twice) of one name: rename or remove one"
            faults.add(what, path if path not in same[:index] else f"{path} (again, {index})")
    left = len(found.pictures) - sum(map(len, alike.values()))
    return Anew(left, lambda: (one for one in going() if one.label not in alike) if alike else going())


def check_targets(
    found: Annotations, chosen: Collection[Placed], to: Path, files: Iterable[str] = ("dataset.yaml",)
) -> None:
    """Errors for sources that would be replaced, and for what an earlier run has left."""

    def sources() -> Iterator[Path]:
        return itertools.chain(found.files, (picture.path for picture, *_ in chosen))

    def planned() -> Iterator[Path]:
        return (path for _, *paths in chosen for path in paths)

    own = Marks(os.path.realpath(path) for path in sources())
    whole = functools.lru_cache(4)(os.path.realpath)  # of folders, as `require_others` compares files
    for path in itertools.chain(planned(), (to / name for name in files)):
        if os.path.join(whole(path.parent), path.name) in own:
            require_others([path], sources(), "what is converted: choose another `to`")
    if not any((to / part).is_dir() for part in ("images", "labels")):
        return
    ours = Marks(map(str, planned()))
    stale = [
        str(to / part / name)
        for part in ("images", "labels")
        for name in (stream(to / part) if (to / part).is_dir() else ())
        if str(to / part / name) not in ours
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
