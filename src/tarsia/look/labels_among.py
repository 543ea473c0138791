"""Labels that lie among the pictures of a folder: whoever has its pictures segmented does not mean them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tarsia.errors import DatasetError
from tarsia.look.arrangement import arrangements
from tarsia.look.files import find_files, speaks_of_labels


def labels_among(root: Path, names: Sequence[str]) -> list[str]:
    """Those of the files `names`, paths relative to `root`, that are labels of others of them.

    A label looks drawn, or is called so, and there is a picture of its name.  Files are opened only where names are
    such that there may be any.
    """
    stems = {os.path.splitext(os.path.basename(name))[0].casefold() for name in names}
    if len(stems) == len(names) and not any(map(speaks_of_labels, names)):
        return []
    try:
        ways, _ = arrangements(find_files(root))
    except DatasetError:  # nothing that goes together
        return []
    listed = set(names)
    labels = {label for way in ways if not way.joined for picture, label in way.pairs if picture in listed}
    return [name for name in names if name.replace(os.sep, "/") in labels]
