"""Whatever a check says is to be done is done, word for word, and the next check agrees.

A new kind of finding needs an entry here: a command in `MENDED`, lines of dataset.yaml in `WRITTEN`, lines of a recipe
in `TRAINED`, or hands in `BY_HAND`.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import yaml
from PIL import Image

import sick_data
from sick_data import SICK, image, label, make_sick, pixels, scene, write_healthy
from small_data import write_films
from tarsia import checking, doctor
from tarsia.checking import check
from tarsia.doctor import files
from tarsia.doctor.finding import Finding
from tarsia.doctor.result import CheckResult
from tarsia.recipe import Recipe

SPACED = "my photos"


def errors(result: CheckResult) -> set[str]:
    return {one.kind for one in result.findings if one.severity == "error"}


def of_kind(result: CheckResult, kind: str) -> list[Finding]:
    return [one for one in result.findings if one.kind == kind]


# ---- what a printed command mends

MENDED = (
    "missing-partner", "name-twice", "unreadable-image", "unreadable-label", "size-differs", "exif-turned", "leak",
    "near-leak", "duplicate", "misplaced-label", "unlabelled", "constant-picture", "name-collision",
)  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[CheckResult, CheckResult, str]:
    """All damage at once: its check, that of the copy which the printed command wrote, and what that printed."""
    base = tmp_path_factory.mktemp("a place")
    make_sick(write_healthy(base / SPACED), but="unknown-values")
    before = Path.cwd()
    os.chdir(base)
    try:
        result = check(f"folder:{SPACED}")
        commands = {line for one in result.findings for line in told_commands(one.what_to_do(result.checked.fix))}
        (line,) = commands
        printed = in_a_shell(line, base)
        return result, check("folder:FOLDER"), printed
    finally:
        os.chdir(before)


def told_commands(remedy: str) -> list[str]:
    return [line for line in remedy.splitlines() if line.startswith("tarsia ")]


def in_a_shell(line: str, folder: Path) -> str:
    """What a command prints, as a person types it in `folder`."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "tarsia").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tarsia "$@"\n')
    (programs / "tarsia").chmod(0o755)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", MENDED)
def test_the_command_mends_it(copy: tuple[CheckResult, CheckResult, str], kind: str) -> None:
    before, after, printed = copy
    assert all(one.fixes for one in of_kind(before, kind)) and of_kind(before, kind)
    assert not of_kind(after, kind) and not errors(after)
    assert "Left in the copy: " in printed and "--fix" not in printed


def test_no_other_finding_offers_the_command(copy: tuple[CheckResult, CheckResult, str]) -> None:
    before, after, _ = copy
    assert {one.kind for one in before.findings if one.fixes} == {*MENDED}
    assert not [one for one in after.findings if one.fixes], "a second run has nothing to do"


# ---- lines of dataset.yaml


def numbers(*values: int, val: tuple[int, ...] | None = None) -> Callable[[Path], None]:
    """Ground, sky, box ... stand in the labels as these numbers, the last for all others."""

    def do(root: Path) -> None:
        for split, kinds in (("train", values), ("val", val or values)):
            kind = np.uint8 if max(kinds) < 256 else np.uint16
            table = np.array([*kinds, *[kinds[-1]] * 6][:6], kind)
            for path in (root / split / "labels").iterdir():
                sick_data._save(path, table[pixels(path)])

    return do


def colors(*values: tuple[int, int, int]) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        table = np.array([*values, *[values[-1]] * 6][:6], np.uint8)
        for path in root.glob("*/labels/*.png"):
            sick_data._save(path, table[pixels(path)])

    return do


def smeared(root: Path) -> None:
    """Every number from 0 to 99 in one label, as JPEG would leave them."""
    values = pixels(label(root, "t00"))
    values[:50, :100] = np.arange(100)
    sick_data._save(label(root, "t00"), values)


def instances(root: Path) -> None:
    numbers(0, 1)(root)
    values = pixels(label(root, "t00"))
    values[8:88, 8:128] = (np.arange(80)[:, None] // 8 * 12 + np.arange(120) // 10) % 120 + 1
    sick_data._save(label(root, "t00"), values)


def drawn_apart(root: Path) -> None:
    """A class in two pictures, which the draw puts both into val."""
    images, labels = root / "images", root / "labels"
    images.mkdir()
    labels.mkdir()
    for split in ("train", "val"):
        for of, target in (("images", images), ("labels", labels)):
            for path in sorted((root / split / of).iterdir()):
                values = pixels(path)
                if of == "labels" and path.stem not in ("t00", "t01"):
                    values[values == 5] = 0
                sick_data._save(target / path.name, values)


def films(root: Path) -> None:
    """Two cameras that pan over a scene, their frames drawn one by one."""
    for film, frame in itertools.product("xy", range(40)):
        shown, drawn = scene(ord(film), (96, 128 + 2 * 40))
        noise = np.random.default_rng(frame).normal(0, 9, (96, 128, 3))
        window = np.s_[:, 2 * frame : 2 * frame + 128]
        pictures = (shown[window] + noise).clip(0, 255).astype(np.uint8), np.ascontiguousarray(drawn[window])
        sick_data.put(root, ".", f"cam{film}_{frame:03d}", *pictures)


RED, GREEN, BLUE, OTHER, SHADE = (255, 0, 0), (0, 255, 0), (0, 0, 250), (200, 200, 0), (250, 4, 2)
COLORED = [{"name": "a", "color": RED}, {"name": "b", "color": GREEN}, {"name": "c", "color": BLUE}]
ABC: list[Any] = ["a", "b", "c"]
TOLD = [{"name": "a", "values": [4, 2]}, {"name": "b", "values": [7]}]
DRAW = {"splits": None, "split": {"val": 0.25, "seed": 7}}
# kind, classes, what is done, further keys of dataset.yaml
WRITTEN: list[tuple[str, list[Any], Callable[[Path], None], dict[str, Any]]] = [
    ("unknown-values", ABC, numbers(0, 1, 3), {}),
    ("unknown-values", ABC, numbers(0, 1, 2, 3), {}),
    ("unknown-values", ABC, numbers(1, 2, 3, 4), {"ignore": [4]}),
    ("unknown-values", ABC, numbers(1, 2, 3), {}),
    ("unknown-values", ABC, numbers(1, 2, 3, 4), {}),
    ("unknown-values", ABC, numbers(0, 1, 2, 3, 4), {}),
    ("unknown-values", ABC, numbers(0, 2, 3), {}),
    ("unknown-values", ABC, numbers(0, 1, 2, 254), {}),
    ("unknown-values", ABC, numbers(0, 1000, 2000, 3000), {}),
    ("unknown-values", ABC, numbers(0, 127, 254), {}),
    ("unknown-values", ABC, numbers(0, 128, 255), {}),
    ("unknown-values", ABC, numbers(0, 1, 2, 9, 10, 11), {"ignore": [11, [1, 2, 3]]}),
    ("unknown-values", ABC, numbers(0, 1, 2, val=(1, 2, 3)), {}),
    ("unknown-values", TOLD, numbers(4, 2, 7, 9), {}),
    ("unknown-values", TOLD, numbers(4, 2, 7, 9, 0), {"ignore": [0]}),
    ("unknown-values", [*sick_data.CLASSES], smeared, {}),
    ("unknown-values", ["ground", "cell"], instances, {}),
    ("unknown-values", COLORED, colors(RED, GREEN, BLUE, OTHER), {"format": "rgb"}),
    ("unknown-values", COLORED, colors(RED, GREEN, BLUE, OTHER, (0, 0, 0)), {"format": "rgb", "ignore": [[0, 0, 0]]}),
    ("unknown-values", COLORED, colors(RED, GREEN, BLUE, SHADE), {"format": "rgb"}),
    ("unknown-values", COLORED, colors(RED[::-1], GREEN, BLUE[::-1]), {"format": "rgb"}),
    ("unknown-values", ABC, colors(RED, GREEN, BLUE), {}),
    ("unknown-values", ABC, colors(RED, GREEN, BLUE), {"format": "index"}),
    ("unknown-values", ABC, colors((0, 0, 0), (1, 1, 1), (2, 2, 2)), {}),
    ("black-and-white", ["a", "b"], numbers(0, 255), {}),
    ("black-and-white", ["a", "b"], numbers(1, 255), {}),
    ("black-and-white", ["a", "b"], numbers(0, 1, val=(0, 255)), {}),
    ("one-class", ["a"], numbers(0, 1), {}),
    ("one-class", ["a"], numbers(0, 255), {}),
    ("one-class", ["a"], numbers(1, 255), {}),
    ("one-class", ["a"], numbers(0), {}),
    ("one-class", ["a"], numbers(0, 1, 2, 3), {}),
    ("one-class", ["background"], numbers(0, 1), {}),
    ("one-class", TOLD[:1], numbers(4, 2, 7), {}),
    ("one-class", COLORED[:1], colors(RED, GREEN, BLUE), {"format": "rgb"}),
    ("class-absent", ["a", "b", "c", "d"], numbers(0, 2, 3), {}),
    ("class-absent", ["a", "b", "c", "d"], numbers(1, 2, 3), {}),
    ("class-absent", [*TOLD, {"name": "c", "values": [8, 9]}], numbers(4, 2, 7), {}),
    ("class-absent", [*COLORED, {"name": "d", "color": OTHER}], colors(RED, GREEN, BLUE), {"format": "rgb"}),
    ("like-names", ["Red", "red ", "b"], numbers(0, 1, 2), {}),
    ("like-names", [{"name": "Red", "values": [4], "colors": [RED]}, *TOLD[1:], {"name": "red", "values": [9]}],
     numbers(4, 7, 9), {}),
    ("class-untrained", [*sick_data.CLASSES], drawn_apart, DRAW),
    ("class-unscored", [*sick_data.CLASSES], drawn_apart, DRAW),
    ("divided-film", [*sick_data.CLASSES], films, DRAW),
    ("divided-sequence", [*sick_data.CLASSES], films, DRAW | {"sequence_by": "^cam[xy]"}),
]  # fmt: skip


def written(remedy: str) -> list[str]:
    """The lines of a remedy that belong into dataset.yaml, those of each reading together."""
    typed = re.compile(r"(classes|ignore|format|split): ?|  - ")
    groups = itertools.groupby(remedy.splitlines(), lambda line: bool(typed.match(line)))
    return ["\n".join(lines) for told, lines in groups if told]


@pytest.mark.parametrize(("kind", "classes", "do", "more"), WRITTEN)
def test_the_lines_mend_it(
    kind: str, classes: list[Any], do: Callable[[Path], None], more: dict[str, Any], tmp_path: Path
) -> None:
    root = write_healthy(tmp_path / SPACED, 8, 4)
    do(root)
    tree = yaml.safe_load((root / "dataset.yaml").read_text()) | yaml.safe_load(yaml.safe_dump({"classes": classes}))
    tree = {key: value for key, value in (tree | yaml.safe_load(yaml.safe_dump(listed(more)))).items() if value}
    for seed in range(20):  # a draw that shows the fault
        if "split" in tree:
            tree["split"]["seed"] = seed
        (root / "dataset.yaml").write_text(yaml.safe_dump(tree))
        before = check(f"folder:{root}")
        if of_kind(before, kind):
            break
    (finding,) = of_kind(before, kind)
    readings = written(finding.remedy)
    assert readings, finding.remedy
    for lines in readings:
        (root / "dataset.yaml").write_text(yaml.safe_dump(tree | yaml.safe_load(lines)))
        after = check(f"folder:{root}")
        said = kind == "class-absent" and "values: [0]" in lines  # that it counts from 0, though nothing shows it
        assert finding.title not in [one.title for one in of_kind(after, kind)] or said, lines
        assert not [one for one in after.findings if one.decide and one.kind == kind]
        assert errors(after) <= errors(before), lines
        if kind == "class-absent":
            assert kept_pixels(before).items() <= kept_pixels(after).items() or "count from" in finding.remedy


def listed(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: listed(value) for key, value in found.items()}
    return [listed(one) for one in found] if isinstance(found, list | tuple) else found


def kept_pixels(result: CheckResult) -> dict[str, int]:
    """The pixels of each class that is shown."""
    names = result.checked.classes.names
    total = sum(split.pixels_K1[:-1] for split in result.checked.splits.values())
    return {name: int(pixels) for name, pixels in zip(names, total, strict=True) if pixels}


@pytest.mark.parametrize("splits", [("train", "val"), ("training", "held")])
def test_a_film_is_left_out_over_both_splits(splits: tuple[str, str], tmp_path: Path) -> None:
    root = write_films(tmp_path / SPACED, {"a": (3, 1), "b": (3, 0), "c": (0, 2)}, (96, 128))
    tree = yaml.safe_load((root / "dataset.yaml").read_text())
    tree["splits"] = dict(zip(splits, tree["splits"].values(), strict=True))
    (root / "dataset.yaml").write_text(yaml.safe_dump(tree))
    (finding,) = of_kind(check(f"folder:{root}"), "divided-sequence")
    (line,) = told_commands(finding.remedy)
    assert finding.remedy.endswith(line) and "fold=a" in line
    printed = in_a_shell(line, tmp_path)
    assert "films that" not in printed
    after = check(shlex.split(line)[2])
    assert [len(after.checked.splits[split]) for split in splits] == [5, 4]
    assert not of_kind(after, "divided-sequence")


def test_a_film_without_another_is_not_left_out(tmp_path: Path) -> None:
    root = write_films(tmp_path / SPACED, {"a": (3, 2)}, (96, 128))
    (finding,) = of_kind(check(f"folder:{root}"), "divided-sequence")
    assert "folds" not in finding.remedy


# ---- recipes

TRAINED = ("mixed-sizes", "mixed-color", "tiny-picture", "huge-picture", "imbalance")


def test_lines_for_a_recipe_are_taken_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_healthy(tmp_path / SPACED, 24, 8)
    sick_data._rare(root)
    for one in SICK:
        if one.kind in ("mixed-color", "mixed-sizes"):
            one.do(root)
    monkeypatch.setattr(files, "_HUGE_PIXELS", 96 * 128 - 1)
    result = check(f"folder:{root}")
    head = {"name": "r", "data": {"name": "folder", "root": str(root)}, "model": {"name": "unet"}}
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(head | {"augment": {"crop": [64, 64]}}))
    for kind in TRAINED:
        (finding,) = of_kind(result, kind)
        for line in finding.remedy.splitlines():
            if re.match(r"(augment|input): ", line):
                Recipe.model_validate(head | yaml.safe_load(line))
        for setting in re.findall(r"\b(train\.\S+=[a-z_]+)", finding.remedy):
            Recipe.load(path, [setting])
        for name in re.findall(r"augment\.(\w+)", finding.remedy):
            Recipe.load(path, [f"augment.{name}={'0.5' if name == 'class_balanced' else '{}'}"])


# ---- what takes hands


def restore(root: Path, finding: Finding) -> None:
    """Get again, label, draw anew: the files are as they were when all was well."""
    for place in finding.places:
        name = Path(place.files[0]).stem if place.files else place.name
        seed = int(name[1:]) + 5000 * (place.split == "val")
        sick_data.put(root, place.split, name, *scene(seed))


def remove(root: Path, finding: Finding) -> None:
    """Keep one, take out, move away."""
    for place in finding.places:
        for path in (image(root, place.name, place.split), label(root, place.name, place.split)):
            path.unlink()


def one_kind(root: Path, finding: Finding) -> None:
    (line,) = re.findall(r"dtype: uint8", finding.remedy)
    with (root / "dataset.yaml").open("a") as file:
        file.write(line + "\n")


def plain_8_bit(root: Path, finding: Finding) -> None:
    for place in finding.places:
        Image.fromarray(scene(int(place.name[1:]))[0]).save(image(root, place.name))


def deep(root: Path) -> None:
    """All pictures in 16 bits, of which a range leaves little."""
    for path in root.glob("*/images/*.png"):
        path.write_bytes(imagecodecs.png_encode(pixels(path).astype(np.uint16) * 4))
    with (root / "dataset.yaml").open("a") as file:
        file.write("range: limits\n")


def by_percentiles(root: Path, finding: Finding) -> None:
    """The first of the printed lines, in the place of the one that was there."""
    (line,) = [line for line in finding.remedy.splitlines() if line.startswith("range: {percentiles")]
    path = root / "dataset.yaml"
    path.write_text(path.read_text().replace("range: limits", line))


def turned_all(root: Path, finding: Finding) -> None:
    for path in root.glob("*/labels/*.png"):
        sick_data._save(path, np.fliplr(pixels(path)))


def moved_classes(root: Path, finding: Finding) -> None:
    for place in finding.places:
        for path in (image(root, place.name, place.split), label(root, place.name, place.split)):
            shutil.move(path, str(path).replace("/val/", "/train/"))


def damaged(damage: str) -> Callable[[Path], None]:
    return {one.damage: one.do for one in SICK}[damage]


def mirrored_all(root: Path) -> None:
    turned_all(root, Finding("", "note", "", "", ""))


def blank(split: str) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        for path in (root / split / "labels").iterdir():
            sick_data._save(path, np.full(sick_data.SIZE, 255, np.uint8))

    return do


def relabelled(root: Path, finding: Finding) -> None:
    write_healthy(root, 24, 8)


def half_ignored(root: Path) -> None:
    for path in (root / "train" / "labels").iterdir():
        values = pixels(path)
        values[:, :70] = 9
        sick_data._save(path, values)
    sick_data._edit(root, lambda tree: tree.update(ignore=[9]))


def a_class_after_all(root: Path, finding: Finding) -> None:
    coded = [{"name": name, "values": [k]} for k, name in enumerate(sick_data.CLASSES)]
    sick_data._edit(root, lambda tree: tree.update(ignore=[], classes=[*coded, {"name": "more", "values": [9]}]))


def few_far(root: Path) -> None:
    for path in root.glob("*/labels/*.png"):
        values = pixels(path)
        if path.stem not in ("t00", "t01", "v00", "v01", "v02", "v03", "v04"):
            values[values == 5] = 0
        sick_data._save(path, values)


def hardly_any(root: Path) -> None:
    for path in (root / "val" / "labels").iterdir():
        values = pixels(path)
        values[:40][values[:40] == 3] = 0
        values[60:][values[60:] == 3] = 0
        values[:, ::2][values[:, ::2] == 3] = 0
        sick_data._save(path, values)


def gone(root: Path) -> None:
    (root / "val").rename(root / "elsewhere")


def back(root: Path, finding: Finding) -> None:
    (root / "elsewhere").rename(root / "val")


def near_twin(root: Path) -> None:
    twin = pixels(image(root, "t03")).astype(int) + np.random.default_rng(0).integers(-3, 4, (96, 128, 3))
    sick_data.put(root, "train", "t90", twin.clip(0, 255).astype(np.uint8), pixels(label(root, "t03")))


BY_HAND: dict[str, tuple[Callable[[Path], None], Callable[[Path, Finding], None]]] = {
    "cannot-open": (gone, back),
    "smoothed-label": (damaged("smoothly resized label"), restore),
    "nearly-empty": (damaged("empty mask"), restore),
    "contradiction": (damaged("labelled twice"), remove),
    "repeated-label": (lambda root: sick_data.put(root, "train", "t05", scene(5)[0], scene(4)[1]), restore),
    "several-kinds": (damaged("dark 16-bit picture"), one_kind),
    "value-range": (deep, by_percentiles),
    "odd-picture": (damaged("dark 16-bit picture"), plain_8_bit),
    "misplaced-labels": (mirrored_all, turned_all),
    "blank-split": (blank("train"), relabelled),
    "much-ignored": (half_ignored, a_class_after_all),
    "few-pictures": (few_far, relabelled),
    "near-duplicate": (near_twin, remove),
    "shares-differ": (hardly_any, relabelled),
}


@pytest.mark.parametrize("kind", BY_HAND)
def test_hands_mend_it(kind: str, tmp_path: Path) -> None:
    do, undo = BY_HAND[kind]
    root = write_healthy(tmp_path / SPACED, 26 if kind == "contradiction" else 24, 8)
    do(root)
    before = check(f"folder:{root}")
    found = of_kind(before, kind)
    assert found, [one.kind for one in before.findings]
    for finding in found:
        for line in told_commands(finding.what_to_do(before.checked.fix)) if kind == "cannot-open" else ():
            in_a_shell(line, tmp_path)
    undo(root, found[0])
    after = check(f"folder:{root}")
    assert not of_kind(after, kind) and errors(after) <= errors(before)


# Of a model's opinion and of data sets that are no files there is nothing to be done in files.
ELSEWHERE = ("doubted-label", "unreadable")


def test_every_kind_of_finding_has_its_remedy_tried() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in Path(doctor.__file__).parent.glob("*.py"))
    kinds = {*re.findall(r'Finding\(\s*"([\w-]+)"', code), "tiny-picture", "huge-picture"}
    kinds |= {"unreadable-image", "unreadable-label", "unreadable"}
    tried = {*MENDED, *(kind for kind, *_ in WRITTEN), *TRAINED, *BY_HAND, *ELSEWHERE}
    assert kinds == tried
    assert len(checking.CHECKS) == len({*checking.CHECKS})
