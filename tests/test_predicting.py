"""The command `predict`: what is written where, and what happens to the pictures that cannot be read."""

from __future__ import annotations

import csv
import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small_engine import SmallEngine
from tarsia import data
from tarsia.card import Card, Classes, Input
from tarsia.converting import convert
from tarsia.engines.engine import AttentionMap
from tarsia.errors import ImageError, ModelFileError, NoRoomError, OutputError, RecipeError
from tarsia.output.what_to_write import FILES
from tarsia.pictures.labels import read_label
from tarsia.predicting import KINDS, predict
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.style import Style

CLASSES = Classes(names=("dark", "bright"), colors=((40, 40, 40), (0, 200, 0)))


class BrightnessEngine(SmallEngine):
    """Class = brighter than 128 or not."""

    def __init__(self) -> None:
        settings = Input(stride=4)
        self.card = Card(architecture="brightness", model={}, classes=CLASSES, input=settings, provenance={"run": "r1"})

    def run(self, images_BHW3):
        brightness_BHW = images_BHW3.astype(np.float32).mean(3)
        return np.stack([128 - brightness_BHW, brightness_BHW - 128], axis=1)

    def probabilities(self, scores_BKHW, size):
        return super().probabilities(scores_BKHW / 100, size)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(BrightnessEngine())


def draw(path: Path, value: int = 200, size: tuple[int, int] = (9, 14)) -> Path:
    """A picture, its left half dark and its right half of brightness `value`."""
    image_HW = np.full(size, value, np.uint8)
    image_HW[:, : size[1] // 2] = 10
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image_HW).convert("RGB").save(path, format="PNG")
    return path


def files(folder: Path) -> list[str]:
    """What is in a folder but for the record that --resume reads."""
    inside = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in inside if path != Path(".predict.jsonl"))


def test_outputs_of_one_picture(predictor, tmp_path):
    source, out = draw(tmp_path / "street.png"), tmp_path / "out"
    run = predict(predictor, [source], out)
    assert run.done == [(source, out / "street.png")] and run.failed == [] and run.exit_code == 0
    assert files(out) == ["shares.json", "street.png", "street_overlay.jpg"]
    label = Image.open(out / "street.png")
    assert label.mode == "P" and label.size == (14, 9)
    assert np.asarray(label).mean(0).tolist() == [0] * 7 + [1] * 7
    assert Image.open(out / "street_overlay.jpg").format == "JPEG"
    report = json.loads((out / "shares.json").read_text())
    assert report["model"] == {"architecture": "brightness", "provenance": {"run": "r1"}}
    assert report["complete"] is True and report["failed"] == [] and report["classes"] == ["dark", "bright"]
    assert report["pictures"] == [
        {"source": str(source), "name": "street", "size": [9, 14], "shares": {"dark": 0.5, "bright": 0.5}}
    ]


@pytest.mark.parametrize("save", [("label",), ("overlay",), ("shares",), ("label", "shares")])
def test_only_what_is_asked_for(save, predictor, tmp_path):
    run = predict(predictor, [draw(tmp_path / "a.png")], tmp_path / "out", save=save)
    expected = {"label": "a.png", "overlay": "a_overlay.jpg", "shares": "shares.json"}
    assert files(tmp_path / "out") == sorted(expected[kind] for kind in save)
    assert (run.done[0][1] is not None) == ("label" in save)


def test_an_unknown_output_is_named(predictor, tmp_path):
    with pytest.raises(OutputError, match=r"cannot save 'overlays', did you mean overlay\?"):
        predict(predictor, [draw(tmp_path / "a.png")], tmp_path / "out", save=("overlays",))


def test_folders_keep_their_structure(predictor, tmp_path):
    photos = tmp_path / "photos"
    for name in ("b.PNG", "a.jpg", "town/a.jpg", "town/deep/c.webp", ".hidden.png", ".cache/d.png"):
        draw(photos / name)
    (photos / "notes.txt").write_text("no picture")
    run = predict(predictor, [photos], tmp_path / "out", save=("label",))
    assert [str(path.relative_to(tmp_path / "out")) for _, path in run.done] == [
        "a.png",
        "b.png",
        "town/a.png",
        "town/deep/c.png",
    ]
    assert files(tmp_path / "out") == ["a.png", "b.png", "town/a.png", "town/deep/c.png"]
    flat = predict(predictor, [photos], tmp_path / "flat", save=("label",), recursive=False)
    assert files(tmp_path / "flat") == ["a.png", "b.png"] and flat.exit_code == 0


def test_names_never_collide(predictor, tmp_path):
    names = ["x.jpg", "x.png", "X.webp", "x.jpg.png", "other/x.jpg", "y.jpg", "y_overlay.jpg"]
    sources = [draw(tmp_path / name) for name in names]
    draw(tmp_path / "tree" / "z.png" / "inner.jpg")
    draw(tmp_path / "tree" / "z.jpg")
    out = tmp_path / "out"
    run = predict(predictor, [*sources, tmp_path / "tree"], out)
    assert run.exit_code == 0 and len(run.done) == len(sources) + 2
    labels = [label for _, label in run.done]
    assert len({str(label).casefold() for label in labels}) == len(labels)
    assert len(files(out)) == 2 * len(labels) + 1
    by_source = {
        source.relative_to(tmp_path).as_posix(): label.relative_to(out).as_posix() for source, label in run.done
    }
    assert by_source["x.jpg"] == "x.jpg-2.png"  # x.jpg.png has the name x.jpg to itself
    assert by_source["x.png"] == "x.png.png"
    assert by_source["X.webp"] == "X.webp.png"
    assert by_source["x.jpg.png"] == "x.jpg.png"
    assert by_source["other/x.jpg"] == "x.jpg-3.png"
    assert by_source["y_overlay.jpg"] == "y_overlay.png"
    assert by_source["tree/z.png/inner.jpg"] == "z.png/inner.png"
    assert by_source["tree/z.jpg"] == "z.jpg.png"


def test_labels_among_the_pictures_are_left_out_and_said(predictor, tmp_path, capsys):
    root, random = tmp_path / "set", np.random.default_rng(0)
    for index in range(4):
        photo = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
        mask = Image.fromarray(np.eye(2, dtype=np.uint8).repeat(12, 0).repeat(16, 1))
        for name, image in ((f"images/{index}.png", photo), (f"labels/{index}.png", mask)):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            image.save(root / name)
    run = predict(predictor, [root], tmp_path / "out", save=["label"])
    assert files(tmp_path / "out") == [f"images/{index}.png" for index in range(4)] and len(run.done) == 4
    assert "4 labels of other pictures left out" in capsys.readouterr().err
    assert len(predict(predictor, [root / "labels"], tmp_path / "own", save=["label"]).done) == 4
    beside = root / "images"
    Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8)).save(beside / "0.jpg")
    assert len(predict(predictor, [beside], tmp_path / "twice", save=["label"]).done) == 5
    assert "left out" not in capsys.readouterr().err


def test_a_run_knows_the_shares_of_all_its_pixels(predictor, tmp_path):
    sources = [draw(tmp_path / "a.png", size=(8, 8)), draw(tmp_path / "b.png", value=20, size=(8, 8))]
    run = predict(predictor, sources, tmp_path / "out")
    assert run.shares == {"dark": 0.75, "bright": 0.25}
    again = predict(predictor, sources, tmp_path / "out", resume=True)
    assert again.shares == run.shares and len(again.before) == 2


def test_a_picture_named_twice_is_done_once(predictor, tmp_path):
    source = draw(tmp_path / "photos" / "a.png")
    run = predict(predictor, [source, source.parent, source.parent / ".." / "photos" / "a.png"], tmp_path / "out")
    assert len(run.done) == 1


def test_bad_pictures_are_listed_and_the_rest_go_on(predictor, tmp_path, capsys):
    photos = tmp_path / "photos"
    good = [draw(photos / "a.png"), draw(photos / "z.png")]
    content = good[0].read_bytes()
    (photos / "cut.png").write_bytes(content[: len(content) // 2])
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "text.jpg").write_text("hello")
    run = predict(predictor, [photos, tmp_path / "missing.jpg"], tmp_path / "out")
    assert [source for source, _ in run.done] == good and run.exit_code == 2
    assert [source.name for source, _ in run.failed] == ["cut.png", "empty.jpg", "text.jpg", "missing.jpg"]
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "photos" in line or "missing" in line] == [message for _, message in run.failed]
    report = json.loads((tmp_path / "out" / "shares.json").read_text())
    assert [entry["source"] for entry in report["failed"]] == [str(source) for source, _ in run.failed]
    assert report["complete"] is True and len(report["pictures"]) == 2
    assert files(tmp_path / "out") == ["a.png", "a_overlay.jpg", "shares.json", "z.png", "z_overlay.jpg"]


def test_warnings_about_a_picture_are_lines_for_people(predictor, tmp_path, capsys):
    frames = [Image.new("L", (8, 8), value) for value in (0, 255)]
    frames[0].save(tmp_path / "move.gif", save_all=True, append_images=frames[1:])
    assert predict(predictor, [tmp_path / "move.gif"], tmp_path / "out").exit_code == 0
    assert "move.gif: holds several pictures" in capsys.readouterr().err


def test_nothing_is_overwritten_without_leave(predictor, tmp_path):
    source, out = draw(tmp_path / "a.png"), tmp_path / "out"
    predict(predictor, [source], out)
    before = (out / "a.png").stat().st_mtime_ns
    with pytest.raises(OutputError, match=r"a\.png and 2 more exists already: .*overwrite=True"):
        predict(predictor, [draw(tmp_path / "b.png"), source], out)
    assert not (out / "b.png").exists() and (out / "a.png").stat().st_mtime_ns == before
    assert predict(predictor, [source], out, overwrite=True).exit_code == 0
    assert (out / "a.png").stat().st_mtime_ns > before


def test_a_source_is_never_replaced(predictor, tmp_path):
    source = draw(tmp_path / "photos" / "a.png")
    before = source.read_bytes()
    with pytest.raises(OutputError, match="would replace this picture"):
        predict(predictor, [source], source.parent, overwrite=True)
    with pytest.raises(OutputError, match="results would lie among the pictures"):
        predict(predictor, [source.parent], source.parent, overwrite=True)
    assert source.read_bytes() == before


def test_results_inside_a_searched_folder_are_no_pictures_of_the_next_run(predictor, tmp_path):
    draw(tmp_path / "photos" / "a.png")
    out = tmp_path / "photos" / "results"
    for overwrite in (False, True):
        assert len(predict(predictor, [tmp_path / "photos"], out, overwrite=overwrite).done) == 1


def test_results_never_leave_the_output_folder(predictor, tmp_path):
    draw(tmp_path / "photos" / "town" / "a.png")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "town").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="a link leads out of"):
        predict(predictor, [tmp_path / "photos"], tmp_path / "out", overwrite=True)
    assert files(tmp_path / "elsewhere") == []


def test_a_link_in_place_of_a_result_is_replaced_not_followed(predictor, tmp_path):
    source, precious = draw(tmp_path / "a.png"), tmp_path / "precious.txt"
    precious.write_text("keep")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to(precious)
    with pytest.raises(OutputError, match="exists already"):
        predict(predictor, [source], tmp_path / "out")
    predict(predictor, [source], tmp_path / "out", overwrite=True)
    assert precious.read_text() == "keep" and not (tmp_path / "out" / "a.png").is_symlink()


def test_linked_folders_are_followed_but_not_in_circles(predictor, tmp_path):
    photos = tmp_path / "photos"
    draw(photos / "a.png")
    draw(tmp_path / "more" / "b.png")
    draw(tmp_path / "outside.png")
    for name, target in {"here": ".", "up": "..", "more": "../more", "again": "../more"}.items():
        (photos / name).symlink_to(target)
    (photos / "loop.png").symlink_to("loop.png")
    run = predict(predictor, [photos], tmp_path / "out", save=("label",))
    assert files(tmp_path / "out") == ["a.png", "again/b.png"]
    assert [source.name for source, _ in run.failed] == ["loop.png"]


def test_nothing_to_do_says_what_to_do(predictor, tmp_path):
    with pytest.raises(ImageError, match="no pictures given: name files or folders"):
        predict(predictor, [], tmp_path / "out")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.psd").write_bytes(b"")
    with pytest.raises(ImageError, match=r"photos: no pictures in this folder; looked for .*\.jpg"):
        predict(predictor, [tmp_path / "photos"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    run = predict(predictor, [tmp_path / "photos", draw(tmp_path / "a.png")], tmp_path / "out")
    assert len(run.done) == 1 and run.failed[0][0] == tmp_path / "photos" and run.exit_code == 2


@pytest.mark.parametrize(
    "name", ["Straße 東京.png", "two\nlines.png", " spaced  out .png", "-dash.png", "a.b.c.png", "no_suffix"]
)
def test_strange_names(name, predictor, tmp_path):
    source = draw(tmp_path / "photos" / name)
    run = predict(predictor, [source], tmp_path / "out")
    assert run.exit_code == 0
    assert files(tmp_path / "out") == sorted(
        ["shares.json", Path(name).stem + ".png", Path(name).stem + "_overlay.jpg"]
    )
    report = json.loads((tmp_path / "out" / "shares.json").read_text())
    assert report["pictures"][0]["source"] == str(source)


def test_names_that_are_no_text_or_too_long(predictor, tmp_path):
    draw(tmp_path / "a.png")
    folder = os.fsencode(tmp_path / "photos")
    os.mkdir(folder)
    os.rename(tmp_path / "a.png", folder + b"/\xff\xfe.png")
    draw(tmp_path / "photos" / ("n" * 251 + ".png"))
    run = predict(
        predictor, [tmp_path / "photos", tmp_path / ("m" * 300 + ".png")], tmp_path / "out", save=("shares", "label")
    )
    assert (
        len(run.done) == 1 and [message.split("; ")[-1] for _, message in run.failed] == ["give it a shorter one"] * 2
    )
    report = json.loads((tmp_path / "out" / "shares.json").read_text())
    assert report["pictures"][0]["name"] == "\\udcff\\udcfe"


def test_out_that_is_a_file(predictor, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot be made a folder"):
        predict(predictor, [draw(tmp_path / "a.png")], tmp_path / "out")


class Interrupting(BrightnessEngine):
    calls = 0

    def run(self, images_BHW3):
        self.calls += 1
        if self.calls == 2:
            raise KeyboardInterrupt
        return super().run(images_BHW3)


def test_an_interrupted_run_keeps_what_is_done(tmp_path):
    sources = [draw(tmp_path / f"{name}.png") for name in "abc"]
    with pytest.raises(KeyboardInterrupt):
        predict(Predictor(Interrupting()), sources, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "shares.json").read_text())
    assert report["complete"] is False and [entry["name"] for entry in report["pictures"]] == ["a"]
    assert files(tmp_path / "out") == ["a.png", "a_overlay.jpg", "shares.json"]


class Exhausted(BrightnessEngine):
    def run(self, images_BHW3):
        if images_BHW3.shape[2] > 20:
            raise MemoryError
        return super().run(images_BHW3)


def test_a_picture_too_large_for_memory_does_not_end_the_run(tmp_path):
    sources = [draw(tmp_path / "large.png", size=(9, 40)), draw(tmp_path / "small.png")]
    run = predict(Predictor(Exhausted()), sources, tmp_path / "out")
    assert [source.name for source, _ in run.done] == ["small.png"]
    assert "not enough memory" in run.failed[0][1]


def test_an_overlay_no_jpeg_can_hold(predictor, tmp_path):
    source = draw(tmp_path / "strip.png", size=(2, 66_000))
    run = predict(predictor, [source], tmp_path / "out")
    assert "strip.png: its overlay is too large for a JPEG" in run.failed[0][1]
    assert files(tmp_path / "out") == ["shares.json"]
    assert predict(predictor, [source], tmp_path / "out", save=("label",)).exit_code == 0


def test_a_full_disk_is_one_error(tmp_path):
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_predicting import *; from tarsia.errors import OutputError\n"
        "source = draw(Path(sys.argv[2]) / 'a.png', size=(200, 300))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: predict(Predictor(BrightnessEngine()), [source], Path(sys.argv[2]) / 'out')\n"
        "except OutputError as error: print(error)\n"
    )
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert "a_overlay.jpg: file size limit" in done.stdout, done.stderr
    assert files(tmp_path / "out") == ["shares.json"]
    assert json.loads((tmp_path / "out" / "shares.json").read_text())["complete"] is False


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota is used up"), (errno.EFBIG, "size limit"),
     (errno.EROFS, "only be read"), (errno.EIO, "reports an error")],
    ids=lambda one: errno.errorcode.get(one, ""),
)  # fmt: skip
@pytest.mark.parametrize("at", [1, 4, 6, 7])
def test_a_full_disk_says_what_is_there_and_how_to_go_on(at, number, words, predictor, tmp_path, monkeypatch):
    """Three pictures of two files each, and one file for all: it fails at each of their kinds."""
    sources, out = [draw(tmp_path / "in" / f"{name}.png") for name in "abc"], tmp_path / "the out"
    predict(predictor, sources, tmp_path / "whole")
    calls, fsync = [], os.fsync

    def full(descriptor):
        calls.append(stat.S_ISREG(os.fstat(descriptor).st_mode))
        if sum(calls) >= at:
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    with monkeypatch.context() as patch, pytest.raises(NoRoomError, match=words) as caught:
        patch.setattr(os, "fsync", full)
        predict(predictor, sources, out)
    written = (at - 1) // 2
    assert f"; {written} of 3 pictures {'is' if written == 1 else 'are'} written" in str(caught.value)
    assert f"out='{out}' and `resume=True`" in str(caught.value) and "nothing was changed" not in str(caught.value)
    assert len(list(out.glob("?.png"))) == written and not list(out.glob(".*.part"))
    run = predict(predictor, sources, out, resume=True)
    assert len(run.before) == written and contents(out) == contents(tmp_path / "whole")


def test_one_result_that_cannot_be_written_does_not_end_the_run(predictor, tmp_path):
    sources, out = [draw(tmp_path / "in" / f"{name}.png") for name in "abc"], tmp_path / "out"
    (out / "b.png" / "a user's").mkdir(parents=True)
    run = predict(predictor, sources, out, overwrite=True)
    assert [source.name for source, _ in run.done] == ["a.png", "c.png"] and run.exit_code == 2
    assert "b.png: cannot write" in run.failed[0][1] and "Is a directory" in run.failed[0][1]
    assert (out / "b.png" / "a user's").is_dir() and not list(out.glob(".*.part"))
    (out / "b.png" / "a user's").rmdir()
    (out / "b.png").rmdir()
    again = predict(predictor, sources, out, resume=True)
    assert again.exit_code == 0 and len(again.before) == 2 and len(again.done) == 1


class Strange(BrightnessEngine):
    """Its scores of a very bright picture are no numbers, and it fails on a narrow one."""

    def run(self, images_BHW3):
        if images_BHW3.shape[2] == 8:
            raise ModelFileError("m.onnx: fails on pictures of this size")
        scores_BKHW = super().run(images_BHW3)
        scores_BKHW[images_BHW3.max((1, 2, 3)) == 251] = np.nan
        return scores_BKHW


@pytest.mark.parametrize("batch", [1, 3])
def test_failures_of_every_kind_leave_the_rest_and_the_counts_alone(batch, tmp_path):
    """Reading, the network, its numbers, writing: each is one bad picture; mended, the run goes on to the same end."""
    names = ["a", "cut", "b", "nan", "c", "narrow", "d", "barred", "e"]
    sources = [draw(tmp_path / "in" / f"{name}.png", value=100 + 9 * k) for k, name in enumerate(names)]
    predict(Predictor(BrightnessEngine()), sources, tmp_path / "whole", save=EVERYTHING)
    good = {path: path.read_bytes() for path in sources}
    by_name = dict(zip(names, sources, strict=True))
    by_name["cut"].write_bytes(good[by_name["cut"]][:40])
    draw(by_name["nan"], value=251)
    draw(by_name["narrow"], size=(9, 7))
    out = tmp_path / "out"
    (out / "barred.png" / "a user's").mkdir(parents=True)
    run = predict(Predictor(Strange()), sources, out, save=EVERYTHING, batch=batch, overwrite=True)
    assert run.exit_code == 2 and [path.stem for path, _ in run.done] == ["a", "b", "c", "d", "e"]
    said = {path.stem: message for path, message in run.failed}
    assert set(said) == {"cut", "nan", "narrow", "barred"} and len(run.failed) == 4
    assert "no numbers" in said["nan"] and "fails on pictures" in said["narrow"] and "damaged" in said["cut"]
    assert all(f"{stem}.png" in message for stem, message in said.items())
    report = json.loads((out / "shares.json").read_text())
    assert report["complete"] and len(report["pictures"]) == 5 and len(report["failed"]) == 4

    for path, content in good.items():
        if path.read_bytes() != content:
            path.write_bytes(content)
    (out / "barred.png" / "a user's").rmdir()
    (out / "barred.png").rmdir()
    again = predict(Predictor(BrightnessEngine()), sources, out, save=EVERYTHING, batch=batch, resume=True)
    assert again.exit_code == 0 and len(again.before) == 5 and len(again.done) == 4
    found, whole = contents(out), contents(tmp_path / "whole")
    del found["coco.json"], whole["coco.json"]  # in the order of finishing
    assert found == whole


class Attending(BrightnessEngine):
    """Attends to what is bright, and fails a picture that is all black."""

    def check_attention(self, of_a_position=False):
        self.checked = of_a_position

    def attention(self, image_HW3, at=None):
        self.at = at
        if not image_HW3.any():
            raise MemoryError
        return [AttentionMap("only", image_HW3.astype(np.float32).mean(2), np.ones(4, np.float32))]


def test_attention_is_drawn_where_asked_for(tmp_path):
    predictor, out = Predictor(Attending()), tmp_path / "out"
    sources = [draw(tmp_path / "in" / name) for name in ("a.png", "town/a.png")]
    predict(predictor, [tmp_path / "in"], out)
    assert not any("attention" in name for name in files(out))
    with pytest.raises(OutputError, match="exists already"):
        predict(predictor, sources[:1], out, save=KINDS)
    run = predict(predictor, [tmp_path / "in"], out, save=KINDS, overwrite=True)
    assert run.exit_code == 0 and len(run.done) == 2
    assert {"a_attention.jpg", "town/a_attention.jpg", "a.png", "a_overlay.jpg"} <= set(files(out))
    sheet = Image.open(out / "a_attention.jpg")
    assert sheet.format == "JPEG" and sheet.width > 2 * 300
    assert files(tmp_path / "in") == ["a.png", "town/a.png"]


def test_whose_attention_is_drawn_is_chosen_for_all_pictures_and_for_a_run_that_goes_on(tmp_path):
    engine, out = Attending(), tmp_path / "out"
    sources = [draw(tmp_path / "a.png"), draw(tmp_path / "small.png", size=(8, 8))]
    chosen = {"save": ("attention",), "attention_at": (10, 4)}
    run = predict(Predictor(engine), sources, out, **chosen)
    assert engine.checked and engine.at is not None
    assert [source for source, _ in run.failed] == sources[1:] and "8 wide and 8 high" in run.failed[0][1]
    assert "a_attention.jpg" in files(out) and "small_attention.jpg" not in files(out)
    assert len(predict(Predictor(engine), sources, out, **chosen, resume=True).before) == 1
    with pytest.raises(OutputError, match=r"another attention at \(\[10, 4\], now \[11, 4\]\)"):
        predict(Predictor(engine), sources, out, save=("attention",), attention_at=(11, 4), resume=True)
    with pytest.raises(OutputError, match=r"`attention_at` says whose attention is drawn: add `attention`"):
        predict(Predictor(engine), sources, tmp_path / "other", attention_at=(10, 4))


def test_a_picture_whose_attention_fails_is_listed_and_has_no_results(tmp_path):
    sources = [draw(tmp_path / "good.png"), tmp_path / "black.png"]
    Image.new("RGB", (8, 8)).save(sources[1])
    run = predict(Predictor(Attending()), sources, tmp_path / "out", save=KINDS)
    assert [source for source, _ in run.failed] == sources[1:] and len(run.done) == 1
    assert not any("black" in name for name in files(tmp_path / "out"))


def test_no_attention_is_said_before_any_work(predictor, tmp_path):
    with pytest.raises(OutputError, match=r"\.safetensors model only"):
        predict(predictor, [draw(tmp_path / "a.png")], tmp_path / "out", save=KINDS)
    assert not (tmp_path / "out").exists()


def test_names_leave_room_for_the_longest_ending(tmp_path):
    source = draw(tmp_path / ("n" * 242 + ".png"))
    assert predict(Predictor(Attending()), [source], tmp_path / "out").exit_code == 0
    with pytest.raises(ImageError, match="give it a shorter one"):
        predict(Predictor(Attending()), [source], tmp_path / "attended", save=KINDS)


# ---- what is written, and which pixels


def label_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_only_some_classes_and_only_what_is_sure(predictor, tmp_path):
    source = draw(tmp_path / "a.png", value=150)  # left 10: sure to be dark; right 150: bright with 0.61
    predict(predictor, [source], tmp_path / "only", only=["bright"])
    assert label_of(tmp_path / "only" / "a.png")[0].tolist() == [255] * 7 + [1] * 7
    predict(predictor, [source], tmp_path / "sure", min_confidence=0.7)
    assert label_of(tmp_path / "sure" / "a.png")[0].tolist() == [0] * 7 + [255] * 7
    predict(predictor, [source], tmp_path / "none", min_confidence=0.7, only=["bright"])
    assert (label_of(tmp_path / "none" / "a.png") == 255).all()
    (picture,) = json.loads((tmp_path / "sure" / "shares.json").read_text())["pictures"]
    assert picture["shares"] == {"dark": 0.5, "bright": 0.0} and picture["ignored"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ["brigth"]}, r"only=\['brigth'\]: the model has no such class, did you mean bright"),
        ({"min_confidence": 1.5}, "expected 0 to 1"),
        ({"simplify": -1}, "expected 0 or more"),
        ({"save": ()}, "nothing to save: name one or more of label, overlay"),
        ({"batch": 0}, "expected 1 or more"),
    ],
)
def test_what_makes_no_sense_is_said_before_any_work(options, message, predictor, tmp_path):
    with pytest.raises(OutputError, match=message):
        predict(predictor, [draw(tmp_path / "a.png")], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_confidence_is_a_picture_of_bytes(predictor, tmp_path):
    predict(predictor, [draw(tmp_path / "a.png", value=150)], tmp_path / "out", save=("confidence",))
    assert files(tmp_path / "out") == ["a_confidence.png"]
    found = Image.open(tmp_path / "out" / "a_confidence.png")
    expected = [round(255 / (1 + np.exp(-2 * abs(value - 128) / 100))) for value in (10, 150)]
    assert found.mode == "L" and np.asarray(found)[0].tolist() == [expected[0]] * 7 + [expected[1]] * 7


def test_polygons_of_each_picture_and_of_all(predictor, tmp_path):
    draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "in" / "town" / "b.png", size=(4, 6))
    predict(predictor, [tmp_path / "in"], tmp_path / "out", save=("geojson", "coco"))
    assert files(tmp_path / "out") == ["a.geojson", "coco.json", "town/b.geojson"]
    found = json.loads((tmp_path / "out" / "a.geojson").read_text())["features"]
    assert [(one["properties"]["class"], one["properties"]["pixels"]) for one in found] == [
        ("dark", 63),
        ("bright", 63),
    ]
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert [one["file_name"] for one in coco["images"]] == ["a.png", "town/b.png"]
    assert [(one["id"], one["image_id"], one["category_id"]) for one in coco["annotations"]] == [
        *((1, 1, 1), (2, 1, 2)),
        *((3, 2, 1), (4, 2, 2)),
    ]
    assert coco["annotations"][2]["segmentation"] == [[0, 0, 3, 0, 3, 4, 0, 4]]
    assert [one["name"] for one in coco["categories"]] == ["dark", "bright"]


def test_the_table_has_counts_and_shares(predictor, tmp_path):
    sources = [draw(tmp_path / "in" / "a,b.png", value=150), draw(tmp_path / "in" / "c.png", size=(4, 6))]
    predict(predictor, sources, tmp_path / "out", save=("csv",), min_confidence=0.7)
    with (tmp_path / "out" / "shares.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(Path(row["source"]).name, row["class"], row["index"], row["pixels"], row["share"]) for row in rows] == [
        ("a,b.png", "dark", "0", "63", "0.500000"),
        ("a,b.png", "bright", "1", "0", "0.000000"),
        ("a,b.png", "(ignored)", "255", "63", "0.500000"),
        ("c.png", "dark", "0", "12", "0.500000"),
        ("c.png", "bright", "1", "12", "0.500000"),
    ]


def test_a_result_never_meets_one_of_another_kind(predictor, tmp_path):
    draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "in" / "a_confidence.png", value=90)
    run = predict(predictor, [tmp_path / "in"], tmp_path / "out", save=("label", "confidence"))
    assert run.exit_code == 0 and len(files(tmp_path / "out")) == 4


# ---- which pictures


def test_patterns_and_lists(predictor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.png", "in/a.png", "in/deep/c.png", "d.png", "[e].png", "@f.png"):
        draw(tmp_path / name)
    Path("list.txt").write_text("# pictures\n\nd.png\nin/*.png\n  [e].png \n")
    words = ["@list.txt", "in/**/c.*", "@f.png", "none/*.png"]
    run = predict(predictor, words, tmp_path / "out", save=("label",))
    assert [str(source) for source, _ in run.done] == [
        *("d.png", "in/a.png", "in/b.png", "[e].png"),
        *("in/deep/c.png", "@f.png"),
    ]
    assert run.failed == [(Path("none/*.png"), "nothing matches this pattern")] and run.exit_code == 2


def test_lists_that_cannot_be_followed(predictor, tmp_path):
    with pytest.raises(ImageError, match=r"@.*none\.txt: the list cannot be read \(No such file"):
        predict(predictor, [f"@{tmp_path / 'none.txt'}"], tmp_path / "out")
    (tmp_path / "list.txt").write_text(f"@{tmp_path / 'list.txt'}\n")
    with pytest.raises(ImageError, match="names another list"):
        predict(predictor, [f"@{tmp_path / 'list.txt'}"], tmp_path / "out")


# ---- going on


class Counting(BrightnessEngine):
    def __init__(self, stop_at: int = 0) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []
        self.stop_at = stop_at

    def run(self, images_BHW3):
        self.shapes.append(images_BHW3.shape)
        if len(self.shapes) == self.stop_at:
            raise KeyboardInterrupt
        return super().run(images_BHW3)


@pytest.mark.parametrize("tool", ["coco", "cvat", "label-studio", "labelme"])
def test_what_annotation_programs_read_comes_back_as_it_was(tool, predictor, tmp_path):
    """Predict, write, convert back: the same labels, the same classes, none added; a name like a summary's is safe."""
    for name in ("a", "town/b", "shares"):
        draw(tmp_path / f"in/{name}.png", size=(21, 35))
    predict(predictor, tmp_path / "in", tmp_path / "out", save=("label", tool))
    source = tmp_path / "out" if tool == "labelme" else tmp_path / "out" / FILES[tool]
    convert(source, tmp_path / "back", images=tmp_path / "in", kind=tool)
    found = data.open("folder", tmp_path / "back", "all")
    assert found.classes.names == predictor.classes.names and len(found) == 3
    for sample in (found[index] for index in range(3)):
        name = sample.name.replace("shares", "shares.png") if tool == "labelme" else sample.name
        assert np.array_equal(sample.label, read_label(tmp_path / f"out/{name}.png"))


def test_ignored_pixels_that_a_tool_does_not_hold_are_said(predictor, tmp_path, capsys):
    draw(tmp_path / "in/a.png", size=(21, 35))
    predict(predictor, tmp_path / "in", tmp_path / "out", save=("cvat", "labelme"), min_confidence=1.0)
    said = capsys.readouterr().err
    assert "CVAT holds no ignored pixels: 735 of them are in no shape of cvat.xml" in said and "labelme" not in said
    with pytest.raises(OutputError, match="exist"):
        predict(predictor, tmp_path / "in", tmp_path / "out", save=("labelme",))


EVERYTHING = ("label", "overlay", "shares", "csv", "coco", "geojson", "confidence")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


def test_an_interrupted_run_goes_on_to_the_very_same_files(tmp_path):
    for name in "abcd":
        draw(tmp_path / "in" / f"{name}.png", value=100 + 30 * "abcd".index(name))
    predict(Predictor(Counting()), [tmp_path / "in"], tmp_path / "whole", save=EVERYTHING)
    with pytest.raises(KeyboardInterrupt):
        predict(Predictor(Counting(stop_at=3)), [tmp_path / "in"], tmp_path / "out", save=EVERYTHING)
    assert json.loads((tmp_path / "out" / "shares.json").read_text())["complete"] is False
    engine = Counting()
    run = predict(Predictor(engine), [tmp_path / "in"], tmp_path / "out", save=EVERYTHING, resume=True)
    assert [path.name for path in run.before] == ["a.png", "b.png"] and len(engine.shapes) == 2
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    run = predict(Predictor(Counting(stop_at=1)), [tmp_path / "in"], tmp_path / "out", save=EVERYTHING, resume=True)
    assert len(run.before) == 4 and not run.done and run.exit_code == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_killed_run_goes_on(predictor, tmp_path):
    """Killed without a chance to tidy up, as by a machine that runs out of memory."""
    sources = [draw(tmp_path / "in" / f"{name}.png", value=100 + 30 * "abc".index(name)) for name in "abc"]
    predict(predictor, sources, tmp_path / "whole", save=EVERYTHING)
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_predicting import *\n"
        "class Killed(Counting):\n"
        "    def run(self, images_BHW3):\n"
        "        if len(self.shapes) == 2: os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "        return super().run(images_BHW3)\n"
        "predict(Predictor(Killed()), sys.argv[3:], sys.argv[2], save=EVERYTHING)\n"
    )
    arguments = [str(Path(__file__).parent), str(tmp_path / "out"), *map(str, sources)]
    assert subprocess.run([sys.executable, "-c", code, *arguments]).returncode == -9
    assert not (tmp_path / "out" / "shares.json").exists()
    assert len(list((tmp_path / "out").glob(".*.part"))) == 1, "it was killed while it wrote"
    run = predict(predictor, sources, tmp_path / "out", save=EVERYTHING, resume=True)
    assert [path.name for path in run.before] == ["a.png", "b.png"] and len(run.done) == 1
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_a_killed_run_was_writing_goes_when_its_folder_is_used_again(predictor, tmp_path):
    source, out = draw(tmp_path / "in" / "a" / "b" / "c.png"), tmp_path / "out"
    places = [out / ".c.png.0123456789ab.part", out / "a" / "b" / ".c_overlay.jpg.0123456789ab.part"]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("half")
    predict(predictor, [tmp_path / "in"], out, save=("label",))
    assert files(out) == ["a/b/c.png"] and source.exists()


@pytest.mark.parametrize("harm", ["cut", "gone", "changed", "line", "killed"])
def test_what_is_not_whole_is_done_again(harm, predictor, tmp_path):
    sources, out = [draw(tmp_path / "in" / f"{name}.png") for name in "ab"], tmp_path / "out"
    predict(predictor, sources, out)
    whole = contents(out)
    if harm == "cut":
        (out / "a.png").write_bytes((out / "a.png").read_bytes()[:-9])
    elif harm == "gone":
        (out / "a_overlay.jpg").unlink()
    elif harm == "changed":
        draw(tmp_path / "in" / "a.png", value=11)
    elif harm == "line":  # the machine lost power while the last line was written
        (out / ".predict.jsonl").write_text((out / ".predict.jsonl").read_text()[:-9])
    else:  # killed after the label of b, before its line: and nothing was summed up
        lines = (out / ".predict.jsonl").read_text().splitlines()
        (out / ".predict.jsonl").write_text("\n".join(lines[:-1]))
        (out / "shares.json").unlink()
    run = predict(predictor, sources, out, resume=True)
    assert [source.name for source, _ in run.done] == ["b.png" if harm in ("line", "killed") else "a.png"]
    assert harm == "changed" or contents(out) == whole


def test_what_cannot_be_resumed(predictor, tmp_path):
    source, out = draw(tmp_path / "a.png"), tmp_path / "out"
    with pytest.raises(OutputError, match="holds no run to resume"):
        predict(predictor, [source], out, resume=True)
    predict(predictor, [source], out)
    with pytest.raises(OutputError, match=r"begun with another min confidence \(0.0, now 0.5\)"):
        predict(predictor, [source], out, resume=True, min_confidence=0.5)
    (out / "b.png").write_text("precious")
    with pytest.raises(OutputError, match=r"b\.png exists already"):
        predict(predictor, [source, draw(tmp_path / "b.png")], out, resume=True)
    assert (out / "b.png").read_text() == "precious"


def test_the_record_is_not_written_through_a_link(predictor, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "out" / ".predict.jsonl").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="cannot write"):
        predict(predictor, [draw(tmp_path / "a.png")], tmp_path / "out", save=("label",))
    assert (tmp_path / "precious").read_text() == "keep"


# ---- several at once


def test_pictures_of_one_size_go_through_the_network_together(tmp_path):
    sizes = [(8, 12), (8, 12), (12, 8), (8, 12), (8, 12), (12, 8), (16, 16)]
    sources = [draw(tmp_path / "in" / f"{n}.png", 100 + 9 * n, size) for n, size in enumerate(sizes)]
    predict(Predictor(BrightnessEngine()), sources, tmp_path / "single", save=EVERYTHING)
    engine = Counting()
    run = predict(Predictor(engine), sources, tmp_path / "out", save=EVERYTHING, batch=3)
    assert [source for source, _ in run.done] == sources
    assert sorted(shape[:3] for shape in engine.shapes) == [(1, 8, 12), (1, 16, 16), (2, 12, 8), (3, 8, 12)]
    single, batched = contents(tmp_path / "single"), contents(tmp_path / "out")
    del single["coco.json"], batched["coco.json"]  # in the order of finishing
    assert single == batched


def test_few_pictures_are_held(tmp_path):
    sources = [draw(tmp_path / f"{n}.png", size=(8 + n, 8)) for n in range(9)]
    engine = Counting()
    predict(Predictor(engine), sources, tmp_path / "out", save=("label",), batch=2)
    assert len(engine.shapes) == 9


class Picky(Counting):
    """Has no memory for three at once, and none at all for a bright one."""

    def run(self, images_BHW3):
        if len(images_BHW3) > 2 or images_BHW3.max() > 240:
            raise MemoryError
        return super().run(images_BHW3)


def test_what_fails_together_is_done_one_by_one(tmp_path):
    sources = [draw(tmp_path / f"{n}.png", value) for n, value in enumerate((200, 250, 210))]
    run = predict(Predictor(Picky()), sources, tmp_path / "out", save=("label",), batch=3)
    assert [source for source, _ in run.done] == [sources[0], sources[2]]
    assert [(source, "not enough memory" in message) for source, message in run.failed] == [(sources[1], True)]


# ---- in tiles


def test_tiles_give_the_whole_pictures_labels(predictor, tmp_path):
    """The network is one of single pixels; every output is made of the tiles' answer."""
    sources = [draw(tmp_path / "wide.png", size=(40, 90)), draw(tmp_path / "small.png")]
    predict(predictor, sources, tmp_path / "whole", save=("label", "confidence"))
    engine = Counting()
    tiled = Predictor(engine).in_tiles(16, 0.5)
    run = predict(tiled, sources, tmp_path / "out", save=("label", "confidence"), batch=4)
    assert run.exit_code == 0 and {shape[1:3] for shape in engine.shapes} == {(16, 16), (12, 16)}
    for name in ("wide.png", "small.png"):
        np.testing.assert_array_equal(label_of(tmp_path / "out" / name), label_of(tmp_path / "whole" / name))


def test_what_needs_whole_pictures_is_refused_in_tiles_by_name(predictor, tmp_path):
    source = draw(tmp_path / "wide.png", size=(40, 90))
    restyled = Predictor(predictor.engine, style=Style(lambda images_BHW3: 255 - images_BHW3, fuse=False))
    with pytest.raises(RecipeError, match=r"`style` takes whole pictures.*leave out `style`"):
        restyled.in_tiles(16)
    with pytest.raises(OutputError, match=r"attention is drawn of whole pictures, not of tiles"):
        predict(Predictor(Attending()).in_tiles(16), [source], tmp_path / "out", save=("attention",))
    assert not (tmp_path / "out").exists()


def test_a_run_goes_on_in_the_precision_it_was_begun_with(predictor, tmp_path, monkeypatch):
    source, out = draw(tmp_path / "a.png"), tmp_path / "out"
    predict(predictor, [source], out)
    rough = predictor.engine.describe()._replace(precision="bfloat16")
    monkeypatch.setattr(type(predictor.engine), "describe", staticmethod(lambda: rough))
    with pytest.raises(OutputError, match=r"begun with another precision \(None, now bfloat16\)"):
        predict(predictor, [source], out, resume=True)


def test_a_run_goes_on_in_the_style_it_was_begun_with(predictor, tmp_path):
    source, out = draw(tmp_path / "a.png"), tmp_path / "out"
    predict(
        Predictor(predictor.engine, style=Style(lambda images_BHW3: images_BHW3, described="at dawn")), [source], out
    )
    with pytest.raises(OutputError, match=r"begun with another style \(at dawn, now None\)"):
        predict(predictor, [source], out, resume=True)


def test_an_overlap_is_for_tiles(predictor):
    with pytest.raises(RecipeError, match=r"an overlap of 0\.5 is for tiles"):
        predictor.in_tiles(None, 0.5)
