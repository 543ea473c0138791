"""Labels that lie among the pictures of a folder: whoever has its pictures segmented does not mean them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tarsia.errors import DatasetError
from tarsia.look.arrangement import arrangements
from tarsia.look.files import find_files, speaks_of_labels


class LabelsAmong:
    """What is found of the folders of one run; of one that comes in parts it is kept."""

    def __init__(self) -> None:
        self._kept: dict[Path, set[tuple[str, str]]] = {}

    def __call__(self, root: Path, names: Sequence[str], all_of_them: bool = True) -> list[str]:
        """Those of the files `names`, paths relative to `root`, that are labels of others of them.

        A label looks drawn, or is called so, and there is a picture of its name.  Files are opened only where names are
        such that there may be any.  Where `names` are not all, their pictures may be others of the folder's, too.
        """
        stems = {os.path.splitext(os.path.basename(name))[0].casefold() for name in names}
        if len(stems) == len(names) and not any(map(speaks_of_labels, names)):
            return []
        if all_of_them:
            listed = set(names)
            labels = {label for picture, label in _pairs(root) if picture in listed}
        else:
            if root not in self._kept:
                self._kept[root] = _pairs(root)
            labels = {label for _, label in self._kept[root]}
        return [name for name in names if name.replace(os.sep, "/") in labels]


def _pairs(root: Path) -> set[tuple[str, str]]:
    """Pictures below a folder, and their labels; none where nothing goes together."""
    try:
        ways, _ = arrangements(find_files(root))
    except DatasetError:
        return set()
    return {pair for way in ways if not way.joined for pair in way.pairs}
