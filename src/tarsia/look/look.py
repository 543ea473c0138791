"""The look at a folder, from its files to the keys of its dataset.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tarsia.card import Spec
from tarsia.data._affixes import stripped
from tarsia.data._places import differing
from tarsia.errors import DatasetError
from tarsia.look import codings, splits
from tarsia.look.arrangement import Arrangement, arrangements
from tarsia.look.bands import bands_of, of_one_band
from tarsia.look.contents import Contents, look_into
from tarsia.look.described import Block, Choice
from tarsia.look.files import Found, find_files
from tarsia.look.meaning import Reading, readings
from tarsia.plain_text import number, some
from tarsia.yaml_tree import in_braces

_DOUBLED = 2  # folders of pictures from which on a pattern is shorter than a list
_ORDER = ("classes", "ignore", "format", "tolerance")


@dataclass(frozen=True)
class Conclusions:
    """What a dataset.yaml has to say: sure keys, several readings of the others, and what a person should know.

    `pairs`: how many pictures have a label, bad ones too; `bad`: names that are left out, and why.
    """

    blocks: tuple[Block, ...]
    choices: tuple[Choice, ...] = ()
    notes: tuple[str, ...] = ()
    pairs: int = 0
    bad: Mapping[str, str] = field(default_factory=dict)


def look(root: Path) -> Conclusions:
    """Everything that can be concluded of the pictures and labels below `root`.

    Raises DatasetError where there are no pictures with labels.
    """
    found = find_files(root)
    ways, aside = arrangements(of_one_band(found))
    if not ways:
        raise DatasetError(_nothing(found))
    notes = [f"other labels of the same pictures were left aside: {some(aside)}"] if aside else []
    known = codings.listed(root)
    if len(ways) == 1:
        contents = look_into(root, ways[0].pairs, ways[0].joined)
        told, more = readings(contents, known, _word(ways[0]))
        blocks, bad = _arranged(root, ways[0], contents)
        bands = bands_of(found, ways[0])
        blocks = blocks if bands is None else bands.instead(blocks)
        sure, choices = _either(told)
        return Conclusions((*sure, *blocks), choices, (*notes, *more), len(ways[0].pairs), bad)
    return _several(root, ways, known, notes)


def _several(root: Path, ways: Sequence[Arrangement], known: codings.Known | None, notes: list[str]) -> Conclusions:
    """Labels of several kinds, each as good as the other."""
    choices: list[Choice] = []
    bad: dict[str, str] = {}
    blocks: list[Block] = []
    for way in ways:
        contents = look_into(root, way.pairs, way.joined)
        told, more = readings(contents, known, way.word)
        own, left_out = _arranged(root, way, contents)
        here = [block for block in own if block.key in ("images", "labels", "image_suffix", "label_suffix", "splits")]
        blocks = [block for block in own if block not in here]
        bad |= left_out
        notes += more
        for one in told:
            words = f"{len(way.pairs)} labels called {way.word}" + (f"; {one.words}" if one.words else "")
            choices.append(Choice(words, (*_blocks_of(one), *here)))
    return Conclusions(tuple(blocks), tuple(choices), tuple(dict.fromkeys(notes)), len(ways[0].pairs), bad)


def _either(told: Sequence[Reading]) -> tuple[list[Block], tuple[Choice, ...]]:
    """The keys of the only reading, or of each of several those in which they differ."""
    if len(told) == 1:
        return _blocks_of(told[0]), ()
    same = [key for key in told[0].keys if all(one.keys.get(key) == told[0].keys[key] for one in told)]
    sure = [Block(key, tuple(told[0].keys[key])) for key in same]
    return sure, tuple(
        Choice(one.words, tuple(block for block in _blocks_of(one) if block.key not in same)) for one in told
    )


def _blocks_of(one: Reading) -> list[Block]:
    ordered = sorted(one.keys, key=lambda key: _ORDER.index(key) if key in _ORDER else len(_ORDER))
    return [Block(key, tuple(one.keys[key])) for key in ordered]


def _nothing(found: Found) -> str:
    if found.pictures and not found.labels:
        return (
            f"{found.root}: {number(len(found.pictures), 'picture')} and no labels, which are files of their size that "
            "say what each pixel shows"
        )
    if found.labels and not found.pictures:
        return f"{found.root}: {number(len(found.labels), 'label')} and no pictures: put the pictures beside them"
    if not found.labels:
        return f"{found.root}: no pictures in it"
    return (
        f"{found.root}: {number(len(found.pictures), 'picture')} (as {found.pictures[0]}) and "
        f"{number(len(found.labels), 'label')} (as {found.labels[0]}), whose names have nothing in common: a label has "
        "its picture's name, with the same words before or after it in all of them"
    )


def _word(way: Arrangement) -> str:
    return way.affixes.label_suffix or way.word


# ---- folders, affixes, splits and what is left out


def _arranged(root: Path, way: Arrangement, contents: Contents) -> tuple[list[Block], dict[str, str]]:
    """The keys that say where pictures and labels are, and how they are divided; and what is left out."""
    names = _names(way)
    bad = {names[picture]: why for picture, why in contents.bad.items() if picture in names}
    alone = {name: "has no label" for path in way.pictures_alone if (name := _name_of(way, path, 0)) is not None}
    alone |= {name: "has no picture" for path in way.labels_alone if (name := _name_of(way, path, 1)) is not None}
    kept = {picture: name for picture, name in names.items() if name not in bad}
    blocks = [*_reading_blocks(contents.spec), *_folder_blocks(way)]
    why = "before or after the name that a picture and its label share"
    for key, value in way.affixes.keys().items():
        blocks.append(Block(key, (f"{key}: {in_braces(value)}",), why))
        why = ""
    if way.joined:
        blocks.append(Block("join_labels", ("join_labels: true",), "each picture has several masks"))
    if "" in way.folders:
        division = splits.listed(root, list(kept.values())) or splits.drawn(kept, contents.looks)
        if division is not None:
            blocks.append(Block(division.key, division.lines, division.why))
    left_out = bad | {name: why for name, why in alone.items() if name not in bad}
    left_out = {name: why for name, why in left_out.items() if name not in kept.values() or name in bad}
    if left_out:
        lines = [f"  {in_braces(name)}: {in_braces(why)}" for name, why in sorted(left_out.items())]
        blocks.append(Block("leave_out", ("leave_out:", *lines), "these cannot be used as they are"))
    return blocks, left_out


def _reading_blocks(spec: Spec) -> list[Block]:
    """What is unlike 8-bit RGB in how the pictures are read."""
    found = []
    if spec.bands != 3:
        why = f"most pictures have {number(spec.bands, 'band')}; a recipe for them says model.bands: {spec.bands}"
        if spec.bands == 4:
            why += " (a fourth that is not to be learned from: leave `bands` out and say `alpha: drop`)"
        found.append(Block("bands", (f"bands: {spec.bands}",), why))
    if spec.dtype != "uint8":
        why = f"most pictures hold {spec.dtype}, and all their levels reach the network"
        found.append(Block("dtype", (f"dtype: {spec.dtype}",), why))
    return found


def _folder_blocks(way: Arrangement) -> list[Block]:
    if "" in way.folders:
        images, labels = _written(way.folders[""])
        return [
            Block("images", (f"images: {images}",), f"{number(len(way.pairs), 'picture')} with labels"),
            Block("labels", (f"labels: {labels}",)),
        ]
    lines = ["splits:"]
    for split in sorted(way.folders, key=("train", "val", "test").index):
        images, labels = _written(way.folders[split])
        lines.append(f"  {split}: {{images: {images}, labels: {labels}}}")
    return [Block("splits", tuple(lines), "the folders are called by splits")]


def _written(homes: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """The folders as dataset.yaml has them: one, a list, or a pattern."""
    if len(homes) == 1:
        return in_braces(homes[0][0]), in_braces(homes[0][1])
    pattern = _pattern(homes)
    if pattern is not None and len(homes) > _DOUBLED:
        return in_braces(pattern[0]), in_braces(pattern[1])
    ordered = sorted(homes)
    both = ([in_braces(one[side]) for one in ordered] for side in (0, 1))
    images, labels = (f"[{', '.join(folders)}]" for folders in both)
    return images, labels


def _pattern(homes: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """`Train/*/images` and `Train/*/masks` for folders that differ in one and the same part."""
    sides = [[one[side].split("/") for one in homes] for side in (0, 1)]
    made = []
    for parts in sides:
        if len({*map(len, parts)}) > 1:
            return None
        differ = [k for k in range(len(parts[0])) if len({one[k] for one in parts}) > 1]
        if len(differ) != 1 or any(set(part) & set("*?[") for one in parts for part in one):
            return None
        made.append("/".join("*" if k in differ else part for k, part in enumerate(parts[0])))
    wild = [
        [part for k, part in enumerate(one) if len({other[k] for other in parts}) > 1]
        for parts in sides
        for one in parts
    ]
    half = len(wild) // 2
    return (made[0], made[1]) if wild[:half] == wild[half:] else None


def _names(way: Arrangement) -> dict[str, str]:
    """Pictures' paths and the names that the data set will give them."""
    found = {}
    for picture, _ in way.pairs:
        name = _name_of(way, picture, 0)
        if name is not None:
            found[picture] = name
    return found


def _name_of(way: Arrangement, path: str, side: int) -> str | None:
    """The name of a picture (side 0) or label (1); None where it is in none of the folders."""
    for homes in way.folders.values():
        ordered = sorted(homes)
        keys = (
            differing([one[0] for one in ordered])
            if len({one[1] for one in homes}) == len(homes)
            else [""] * len(homes)
        )
        for home, key in zip(ordered, keys, strict=True):
            folder = home[side]
            if folder == "." or path.startswith(f"{folder}/"):
                relative = path if folder == "." else path[len(folder) + 1 :]
                name = stripped(relative, *((way.affixes.images, way.affixes.labels)[side]))
                return None if name is None else f"{key}/{name}" if key else name
    return None
