"""How pictures and labels go together: their folders, and what stands before and after the names that they share."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tarsia.data._affixes import Affixes, common_ends, find_affixes
from tarsia.data._names import matched, nfc
from tarsia.errors import DatasetError
from tarsia.look.files import Found
from tarsia.plain_text import some

SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_SPLIT_WORD = re.compile(rf"(?:^|[_\-. ])({'|'.join(SPLITS)})(?=$|[_\-. ])", re.IGNORECASE)
_SHOWN_ONLY = re.compile(
    r"(?i)(colou?r|vis|overlay|preview|instance|object|panoptic|parts|polygon|edge|depth|boundary)"
)
_FIRST = (
    "labelids",
    "label",
    "mask",
    "semantic",
    "class",
    "truth",
    "annot",
)  # what labels are called, first ones first
_ENOUGH = 0.5  # share of the best, from which on another kind of label may be meant


@dataclass(frozen=True)
class Arrangement:
    """Pictures with their labels, as paths relative to the root.

    `folders`: for each split (or "") its pairs of a picture and a label folder.  `word`: what tells these labels from
    others.  `pictures_alone`, `labels_alone`: what has no partner.  `joined`: labels are folders of masks.
    """

    folders: dict[str, list[tuple[str, str]]]
    affixes: Affixes
    pairs: list[tuple[str, str]]
    pictures_alone: list[str] = field(default_factory=list)
    labels_alone: list[str] = field(default_factory=list)
    word: str = ""
    joined: bool = False


def arrangements(found: Found) -> tuple[list[Arrangement], list[str]]:
    """Every way in which the pictures have labels, more than one where it cannot be told which is meant; what tells
    other labels of theirs apart, which were left aside."""
    joined = _joined(found)
    if joined is not None:
        return [joined], []
    kinds = [one for one in (_matched(found, word, labels) for word, labels in _kinds(found)) if one is not None]
    if not kinds:
        return [], []
    most = max(len(one.pairs) for one in kinds)
    ranked = sorted((one for one in kinds if len(one.pairs) >= _ENOUGH * most), key=_rank)
    best = [one for one in ranked if _rank(one) == _rank(ranked[0])]
    return best, [one.word for one in ranked if one not in best]


def _rank(one: Arrangement) -> tuple[bool, int]:
    word = one.word.lower()
    return bool(_SHOWN_ONLY.search(word)), next((k for k, part in enumerate(_FIRST) if part in word), len(_FIRST))


def _kinds(found: Found) -> list[tuple[str, list[str]]]:
    """The labels, or each of several kinds of them that the same pictures have."""
    whole = _partners(found.pictures, found.labels)[1]
    twice = sum(len(many) > 1 for many in whole.values())
    if whole and not twice and 2 * len(whole) > len(found.labels):
        return [("", found.labels)]
    stems = {one: os.path.splitext(one.rpartition("/")[2])[0] for one in found.labels}
    ends = common_ends([*stems.values()], least=0.1)[1] if stems else []
    by_end = _grouped(
        {one: max((end for end in ends if stem.endswith(end)), key=len, default="") for one, stem in stems.items()}
    )
    if len(by_end) != 1:
        return by_end
    folders = {one: os.path.dirname(one) or "." for one in found.labels}
    shared = os.path.commonpath([*folders.values()]) if len(folders) > 1 else "."
    return _grouped({one: os.path.relpath(folder, shared or ".").split("/")[0] for one, folder in folders.items()})


def _grouped(words: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Paths by what tells them apart."""
    found: dict[str, list[str]] = {}
    for relative, word in words.items():
        found.setdefault(word, []).append(relative)
    return [*found.items()]


def _partners(pictures: Sequence[str], labels: Sequence[str]) -> tuple[Affixes, dict[str, list[str]]]:
    """The affixes, and of each picture those labels of its name whose folders are most like its own."""
    stems = [[nfc(os.path.splitext(one.rpartition("/")[2])[0]) for one in side] for side in (pictures, labels)]
    affixes, _ = find_affixes({*stems[0]}, {*stems[1]})
    names: list[dict[str, list[str]]] = [{}, {}]
    for side, files in enumerate((pictures, labels)):
        prefix, suffix = (affixes.images, affixes.labels)[side]
        for relative, stem in zip(files, stems[side], strict=True):
            if stem.startswith(prefix) and stem.endswith(suffix) and len(stem) > len(prefix) + len(suffix):
                names[side].setdefault(stem[len(prefix) : len(stem) - len(suffix)], []).append(relative)
    found: dict[str, list[str]] = {}
    for name, other in matched(names[0], names[1]).items():
        for picture in names[0][name]:
            near = {label: _likeness(picture, label) for label in names[1][other] if _one_split(picture, label)}
            best = max(near.values(), default=0)
            if near:
                found[picture] = [label for label, likeness in near.items() if likeness == best]
    return affixes, _each_once(found)


def _one_split(picture: str, label: str) -> bool:
    """Whether two paths do not speak of different splits."""
    one, other = (_split_of(os.path.dirname(path)) for path in (picture, label))
    return one == other or one is None or other is None


def _each_once(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without the pictures whose only label is rather that of another one."""
    owner: dict[str, str] = {}
    for picture, many in found.items():
        if len(many) == 1:
            rival = owner.setdefault(many[0], picture)
            if _likeness(picture, many[0]) > _likeness(rival, many[0]):
                owner[many[0]] = picture
    return {picture: many for picture, many in found.items() if len(many) > 1 or owner[many[0]] == picture}


def _likeness(picture: str, label: str) -> int:
    """How many folders of two paths have one name, or name the same split."""
    one, other = ([*_said(path.split("/")[:-1])] for path in (picture, label))
    return sum((Counter(one) & Counter(other)).values())


def _said(folders: Sequence[str]) -> list[str]:
    splits = [SPLITS[word[1].lower()] for part in folders if (word := _SPLIT_WORD.search(_bare(part)))]
    return [*folders, *(f"/{split}" for split in splits)]


def _bare(folder: str) -> str:
    return re.sub(r"(?i)annot$", "", folder)


def _matched(found: Found, word: str, labels: Sequence[str]) -> Arrangement | None:
    affixes, partners = _partners(found.pictures, labels)
    pairs = [(picture, many[0]) for picture, many in partners.items()]
    if not pairs:
        return None
    used = {label for _, label in pairs}
    homes: dict[tuple[str, str], None] = {}
    for picture, label in pairs:
        homes.setdefault(_lifted(os.path.dirname(picture), os.path.dirname(label)))
    if any(one == other for one, other in homes) and not affixes.keys():
        affixes = _by_ending(pairs)
    folders = _by_split(list(homes), pairs)
    inside = [one for home in homes for one in (home[0] or ".",)]
    alone = [one for one in found.pictures if one not in partners and _below_any(one, inside)]
    orphans = [one for one in labels if one not in used]
    return Arrangement(folders, affixes, pairs, alone, orphans, word or _last_folder(homes))


def _last_folder(homes: dict[tuple[str, str], None]) -> str:
    return next(iter(homes))[1].rpartition("/")[2]


def _below_any(path: str, folders: Sequence[str]) -> bool:
    return any(folder == "." or path.startswith(f"{folder}/") for folder in folders)


def _by_ending(pairs: Sequence[tuple[str, str]]) -> Affixes:
    """Names that are equal but for the files' suffixes, in one folder."""
    endings = Counter(os.path.splitext(label)[1].lower() for _, label in pairs)
    return Affixes(label_suffix=endings.most_common(1)[0][0])


def _lifted(picture: str, label: str) -> tuple[str, str]:
    """Two folders without the parts that both end with, which are subfolders of what was meant."""
    one, other = picture.split("/") if picture else [], label.split("/") if label else []
    if one == other:
        return picture or ".", label or "."
    while one and other and one[-1] == other[-1] and one[:-1] != other[:-1]:
        one, other = one[:-1], other[:-1]
    return "/".join(one) or ".", "/".join(other) or "."


def _by_split(homes: Sequence[tuple[str, str]], pairs: Sequence[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """The folders of each split, where folders are called by splits; else all of them under ""."""
    found: dict[str, list[tuple[str, str]]] = {}
    for picture, label in pairs:
        home = _lifted(os.path.dirname(picture), os.path.dirname(label))
        inside = os.path.relpath(os.path.dirname(picture) or ".", home[0]).split("/")
        split = _split_of(home[0])
        if split is None and (split := _split_of(inside[0])) is not None:
            home = _child(home[0], inside[0]), _child(home[1], inside[0])
        if split is None:
            return {"": list(homes)}
        if home not in found.setdefault(split, []):
            found[split].append(home)
    return found if len(found) > 1 else {"": [home for many in found.values() for home in many]}


def _child(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"


def _split_of(folder: str) -> str | None:
    for part in reversed(folder.split("/")):
        if word := _SPLIT_WORD.search(_bare(part)):
            return SPLITS[word[1].lower()]
    return None


def _joined(found: Found) -> Arrangement | None:
    """Pictures with a folder of masks each: beside the only picture of a folder, or called by the picture's name."""
    by_folder: dict[str, list[str]] = {}
    for label in found.labels:
        by_folder.setdefault(os.path.dirname(label), []).append(label)
    pictures: dict[str, list[str]] = {}
    for picture in found.pictures:
        pictures.setdefault(os.path.dirname(picture), []).append(picture)
    if len(by_folder) < 2 or max(map(len, by_folder.values())) < 2:
        return None
    _refuse_masks_of_classes(found, by_folder)
    single = {os.path.dirname(folder): many[0] for folder, many in pictures.items() if len(many) == 1}
    beside = [(single[parent], folder) for folder in by_folder if (parent := os.path.dirname(folder)) in single]
    if 2 * len(beside) > len(by_folder) and len({label for _, label in beside}) == len(beside):
        homes = [(os.path.dirname(picture), folder) for picture, folder in beside]
        named = {os.path.splitext(one.rpartition("/")[2])[0] for _, folder in beside for one in by_folder[folder]}
        if not named & {os.path.splitext(picture.rpartition("/")[2])[0] for picture, _ in beside}:
            return Arrangement(_by_split(homes, beside_paths(beside)), Affixes(), beside, joined=True)
    stems = {nfc(os.path.splitext(one.rpartition("/")[2])[0]): one for one in found.pictures}
    named_folders = [(stems[name], folder) for folder in by_folder if (name := nfc(folder.rpartition("/")[2])) in stems]
    if 2 * len(named_folders) > len(by_folder):
        home = (os.path.dirname(named_folders[0][0]) or ".", os.path.dirname(named_folders[0][1]) or ".")
        taken = {picture for picture, _ in named_folders}
        alone = [one for one in found.pictures if one not in taken]
        return Arrangement({"": [home]}, Affixes(), named_folders, alone, joined=True)
    return None


def _refuse_masks_of_classes(found: Found, by_folder: dict[str, list[str]]) -> None:
    """DatasetError for folders that hold a mask for each class, under the class's name."""
    words = Counter(os.path.splitext(one.rpartition("/")[2])[0] for many in by_folder.values() for one in many)
    often = sorted(word for word, count in words.items() if 2 * count > len(by_folder) and not word.isdigit())
    if len(often) > 1 and not {*often} & {os.path.splitext(one.rpartition("/")[2])[0] for one in found.pictures}:
        raise DatasetError(
            f"{found.root}: a folder of masks for each picture, each of one class as its name says ({some(often)}): "
            "make one label map of them, as label[mask > 0] = 1 for the first, 2 for the second ..."
        )


def beside_paths(beside: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pictures and, in place of their label folders, a path in each."""
    return [(picture, f"{folder}/-") for picture, folder in beside]
