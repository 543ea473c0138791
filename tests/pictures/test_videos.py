"""Videos, through the command: frames in, the same frames with their classes out."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from other_process import on_a_full_disk
from small_engine import SmallEngine
from tarsia.card import Card, Classes, Input
from tarsia.errors import ImageError
from tarsia.output import of_video
from tarsia.pictures.videos import open_video, writing_video
from tarsia.predicting import predict
from tarsia.prediction.predictor import Predictor

av = pytest.importorskip("av", reason="av (extra video) is not installed")

CLASSES = Classes(names=("dark", "bright"), colors=((40, 40, 40), (0, 200, 0)))


class BrightnessEngine(SmallEngine):
    """Class = brighter than 128 or not."""

    def __init__(self) -> None:
        self.card = Card(architecture="brightness", model={}, classes=CLASSES, input=Input(stride=8))
        self.batches: list[int] = []

    def run(self, images_BHW3):
        self.batches.append(len(images_BHW3))
        brightness_BHW = images_BHW3.astype(np.float32).mean(3)
        return np.stack([128 - brightness_BHW, brightness_BHW - 128], axis=1)


def frame(number: int, size: tuple[int, int]) -> np.ndarray:
    """Dark, with a bright column of 8 pixels that moves by 8 pixels a frame."""
    image_HW3 = np.full((*size, 3), 20, np.uint8)
    image_HW3[:, 8 * number : 8 * number + 8] = 230
    return image_HW3


def film(path: Path, count: int = 6, size: tuple[int, int] = (48, 64), rate: Fraction = Fraction(12)) -> Path:
    with writing_video(path, size, rate) as writer:
        for number in range(count):
            writer.write(frame(number, size))
    return path


def test_frames_come_back_in_order(tmp_path):
    with open_video(film(tmp_path / "a.mp4", rate=Fraction(30000, 1001))) as video:
        assert float(video.rate) == pytest.approx(29.97, abs=0.01) and video.frames == 6
        found = list(video)
    assert len(found) == 6
    for number, image_HW3 in enumerate(found):
        assert image_HW3.shape == (48, 64, 3)
        assert np.abs(image_HW3.astype(int) - frame(number, (48, 64))).mean() < 12


def test_results_of_a_video(tmp_path):
    source, engine = film(tmp_path / "street.mp4"), BrightnessEngine()
    save = ("overlay", "label", "shares", "csv")
    run = predict(Predictor(engine), [source], tmp_path / "out", save=save, batch=4)
    assert run.exit_code == 0 and engine.batches == [4, 2]
    with open_video(tmp_path / "out" / "street_overlay.mp4") as video:
        frames = list(video)
        assert float(video.rate) == 12
    assert len(frames) == 6 and frames[0].shape == (48, 64, 3)
    green_6W = np.stack([one[:, :, 1].astype(int) - one[:, :, 0] for one in frames]).mean(1)
    assert (green_6W.argmax(1) // 8).tolist() == [0, 1, 2, 3, 4, 5]  # where `bright` was painted
    labels = sorted((tmp_path / "out" / "street_frames").iterdir())
    assert [path.name for path in labels] == [f"frame-{number:06d}.png" for number in range(1, 7)]
    for number, path in enumerate(labels):
        np.testing.assert_array_equal(np.asarray(Image.open(path))[20], frame(number, (48, 64))[20, :, 0] > 128)
    (row,) = json.loads((tmp_path / "out" / "shares.json").read_text())["pictures"]
    assert row["frames"] == 6 and row["size"] == [48, 64] and row["shares"]["bright"] == pytest.approx(1 / 8, abs=0.01)


def test_by_default_no_label_map_of_every_frame(tmp_path, capsys):
    run = predict(Predictor(BrightnessEngine()), [film(tmp_path / "a.mp4")], tmp_path / "out", frames=3)
    found = sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".")
    assert found == ["a_overlay.mp4", "shares.json"] and run.done == [(tmp_path / "a.mp4", None)]
    with open_video(tmp_path / "out" / "a_overlay.mp4") as video:
        assert len(list(video)) == 3
    assert "a.mp4: 3 frames in " in capsys.readouterr().err and run.exit_code == 0


def test_frames_take_the_place_of_frames_and_of_nothing_else(tmp_path):
    source, frames = film(tmp_path / "a.mp4"), tmp_path / "out" / "a_frames"
    options = {"save": ("label",), "overwrite": True}
    predict(Predictor(BrightnessEngine()), [source], tmp_path / "out", **options)
    predict(Predictor(BrightnessEngine()), [source], tmp_path / "out", **options, frames=2)
    assert len(list(frames.iterdir())) == 2
    (frames / "precious.txt").write_text("keep")
    run = predict(Predictor(BrightnessEngine()), [source], tmp_path / "out", **options)
    assert run.exit_code == 2 and "precious.txt is in the way" in run.failed[0][1]
    assert (frames / "precious.txt").read_text() == "keep"


def test_odd_sides_lose_a_row_or_a_column(tmp_path):
    source = film(tmp_path / "a.mp4", size=(48, 64))
    with writing_video(tmp_path / "odd.mp4", (47, 63), Fraction(5)) as writer, open_video(source) as video:
        for image_HW3 in video:
            writer.write(image_HW3[:47, :63])
    with open_video(tmp_path / "odd.mp4") as video:
        assert {image_HW3.shape for image_HW3 in video} == {(46, 62, 3)}


def test_bad_videos_are_listed_and_the_rest_go_on(tmp_path):
    whole = film(tmp_path / "whole.mp4")
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "text.avi").write_text("hello")
    (tmp_path / "empty.webm").write_bytes(b"")
    playlist = "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"
    (tmp_path / "list.mkv").write_text(playlist)
    names = ["cut.mp4", "text.avi", "empty.webm", "list.mkv", "none.mov", "whole.mp4"]
    run = predict(
        Predictor(BrightnessEngine()), [tmp_path / name for name in names], tmp_path / "out", save=("overlay",)
    )
    assert [path.name for path, _ in run.done] == ["whole.mp4"]
    assert [path.name for path, _ in run.failed] == names[:-1]
    assert all(message.startswith(str(path)) for path, message in run.failed)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name[0] != "."] == ["whole_overlay.mp4"]


def test_a_camera_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = predict(Predictor(BrightnessEngine()), ["97"], tmp_path / "out", save=("overlay",))
    assert run.failed == [(Path("97"), "camera 97: there is no /dev/video97 on this machine")]


def test_a_camera_ends_with_an_interrupt(tmp_path, monkeypatch):
    """What a camera gives is kept when somebody stops it."""
    monkeypatch.chdir(tmp_path)

    class Stopped(BrightnessEngine):
        def run(self, images_BHW3):
            if len(self.batches) == 4:
                raise KeyboardInterrupt
            return super().run(images_BHW3)

    film(tmp_path / "seen.mp4")
    monkeypatch.setattr(of_video, "open_video", lambda path, camera: open_video(tmp_path / "seen.mp4"))
    run = predict(Predictor(Stopped()), ["0"], tmp_path / "out", save=("overlay",))
    assert run.exit_code == 0
    with open_video(tmp_path / "out" / "camera-0_overlay.mp4") as video:
        assert len(list(video)) == 4


def test_turned_videos_are_set_upright(tmp_path, monkeypatch):
    class Turned:
        rotation = -90

        def to_ndarray(self, format):
            return np.arange(24, dtype=np.uint8).reshape(2, 4, 3)

    with open_video(film(tmp_path / "a.mp4")) as video:
        video._container = type("Container", (), {"decode": lambda self, stream: iter([Turned()])})()
        (found,) = video
    np.testing.assert_array_equal(found, np.rot90(Turned().to_ndarray(""), -1))  # clockwise


def test_a_film_that_changes_its_size_is_refused():
    frames = iter([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)])
    with pytest.raises(ImageError, match=r"change from \(4, 4\) to \(4, 6\)"):
        list(of_video._groups(frames, 1, type("Video", (), {"where": "a.mp4"})()))


def test_without_av(tmp_path):
    film(tmp_path / "a.mp4")
    code = (
        "import sys; sys.modules['av'] = None; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "import test_predicting as t\n"
        "predictor = t.Predictor(t.BrightnessEngine())\n"
        "run = t.predict(predictor, [Path(sys.argv[2])], Path(sys.argv[3]), save=('overlay',))\n"
        "print(run.failed[0][1])"
    )
    arguments = [str(Path(__file__).parents[1]), str(tmp_path / "a.mp4"), str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert (
        "a.mp4: reading videos needs packages that are not installed (the extra `video`): pip install 'av>="
        in done.stdout
    )


@pytest.mark.parametrize("limit", [1_000, 9_000])
def test_a_full_disk_leaves_no_cut_video(limit, tmp_path):
    source = tmp_path / "a.mp4"
    draw = np.random.default_rng(0)
    with writing_video(source, (96, 96), Fraction(5)) as writer:
        for _ in range(8):
            writer.write(draw.integers(0, 256, (96, 96, 3), np.uint8))
    assert source.stat().st_size > 9_500
    code = "predict(Predictor(BrightnessEngine()), [sys.argv[1]], sys.argv[2], save=('overlay',))"
    done = on_a_full_disk(limit, "from test_videos import *", code, source, tmp_path / "out")
    assert "cannot write" in done.stdout and "a_overlay.mp4" in done.stdout, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".predict.jsonl"]
