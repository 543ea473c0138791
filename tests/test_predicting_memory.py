"""Pictures that memory does not suffice for: in tiles by themselves where that is sound, else one bad picture each."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tarsia import models, predicting
from tarsia.card import Card, Input
from tarsia.engines.torch_engine import TorchEngine
from tarsia.evaluating import evaluate
from tarsia.exporters.parity import Trial, parity
from tarsia.output.fitting import Fitting
from tarsia.predicting import predict
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.style import Style
from test_predicting import CLASSES, Attending, BrightnessEngine, contents, draw

TILE = 16
MEBI = 2**20


class Small(BrightnessEngine):
    """Has memory for `most` pixels at once; what it keeps between pictures has to be given back when that was not
    enough."""

    def __init__(self, most: int = 600, **settings: object) -> None:
        super().__init__()
        self.card = self.card.model_copy(update={"input": Input(stride=4, tile=None, **settings)})
        self.most, self.shapes, self.given_back = most, [], 0

    def run(self, images_BHW3):
        self.shapes.append(images_BHW3.shape[:3])
        if np.prod(images_BHW3.shape[:3]) > self.most:
            raise MemoryError("tried to allocate 9 GB")
        return super().run(images_BHW3)

    def give_back(self):
        self.given_back += 1


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles of 16 pixels where 512 would be the model's own."""
    from tarsia.output import fitting

    own = fitting.Tiling.of
    monkeypatch.setattr(
        fitting.Tiling, "of", lambda settings, side=None, overlap=None: own(settings, side or TILE, overlap)
    )


def sources(folder: Path) -> list[Path]:
    sizes = {"a": (12, 14), "large": (40, 90), "b": (12, 14), "wide": (20, 200)}
    return [draw(folder / f"{name}.png", size=size) for name, size in sizes.items()]


def pictures(out: Path) -> dict[str, dict]:
    return {one["name"]: one for one in json.loads((out / "shares.json").read_text())["pictures"]}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("save", [("label", "shares"), ("label", "confidence", "geojson", "shares")], ids=str)
def test_tiles_are_taken_for_what_does_not_fit_and_for_nothing_else(save, batch, tmp_path, capsys):
    engine = Small()
    run = predict(Predictor(engine), sources(tmp_path / "in"), tmp_path / "out", save=save, batch=batch)
    assert run.exit_code == 0 and [path.stem for path, _ in run.done] == ["a", "large", "b", "wide"]
    assert {name: one.get("tile") for name, one in pictures(tmp_path / "out").items()} == {
        "a": None, "b": None, "large": TILE, "wide": TILE,
    }  # fmt: skip
    said = capsys.readouterr().err
    assert (
        "large.png: 40x90 (height x width), not enough memory for it (tried to allocate 9 GB): in tiles of 16" in said
    )
    assert "wide.png: 20x200" in said and "as large as one that memory did not suffice for" in said
    assert (1, 20, 200) not in engine.shapes, "not tried in vain once more"
    assert engine.given_back == 1
    asked = predict(Predictor(Small()).in_tiles(TILE), sources(tmp_path / "in"), tmp_path / "asked", save=save)
    assert asked.exit_code == 0 and contents(tmp_path / "asked") == contents(tmp_path / "out"), "what --tile gives"


def test_a_run_goes_on_in_the_same_tiles_however_much_memory_there_is_by_then(tmp_path):
    given = sources(tmp_path / "in")

    class Stopped(Small):
        def run(self, images_BHW3):
            if len(self.shapes) == 4:  # in the tiles of the large one
                raise KeyboardInterrupt
            return super().run(images_BHW3)

    predict(Predictor(Small()), given, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        predict(Predictor(Stopped()), given, tmp_path / "out")
    again = Small(most=10**9)
    run = predict(Predictor(again), given, tmp_path / "out", resume=True)
    assert run.exit_code == 0 and [path.stem for path in run.before] == ["a"]
    assert max(shape[1] * shape[2] for shape in again.shapes) <= TILE**2
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    fresh = Small(most=10**9)
    predict(Predictor(fresh), given, tmp_path / "out", overwrite=True)
    assert (1, 40, 92) in fresh.shapes, "a new run decides anew"


@pytest.mark.parametrize("kind", ["style", "attention", "short_side", "not even a tile"])
def test_where_tiles_are_no_way_out_it_is_one_bad_picture(kind, tmp_path, capsys):
    class Both(Small, Attending):
        pass

    engine = {"short_side": lambda: Small(most=300, short_side=12), "not even a tile": lambda: Small(most=200)}.get(
        kind, Both
    )()
    predictor = Predictor(engine)
    if kind == "style":
        predictor = Predictor(engine, style=Style(lambda images_BHW3: images_BHW3))
    save = ("label", "shares", *(["attention"] if kind == "attention" else []))
    if kind == "short_side":
        engine.labels = lambda scores, size: np.zeros((len(scores), *size), np.uint8)
    given = sources(tmp_path / "in")[:3]
    run = predict(predictor, given, tmp_path / "out", save=save)
    assert [path.stem for path, _ in run.done] == ["a", "b"] and run.exit_code == 2
    ((path, message),) = run.failed
    words = {
        "style": "tiles are no way out: `style` takes whole pictures",
        "attention": "tiles are no way out: attention is drawn of whole pictures: leave out `attention`",
        "short_side": "tiles are no way out: `tile`: this model brings every picture to a short side of 12",
        "not even a tile": "not even for tiles of 16: end other programs, choose a smaller `tile`",
    }[kind]
    assert path.stem == "large" and "not enough memory for it (tried to allocate 9 GB)" in message and words in message
    again = predict(predictor, given, tmp_path / "out", save=save, resume=True)
    assert [path.stem for path in again.before] == ["a", "b"] and again.exit_code == 2


def test_a_picture_no_larger_than_a_tile_is_not_tried_again(tmp_path):
    engine = Small(most=100)
    run = predict(Predictor(engine), [draw(tmp_path / "a.png", size=(12, 14))], tmp_path / "out")
    assert "it is no larger than a tile" in run.failed[0][1] and len(engine.shapes) == 1


def test_tiles_go_one_by_one_where_a_batch_of_them_is_too_many(tmp_path):
    engine = Small(most=300)
    run = predict(Predictor(engine), [draw(tmp_path / "a.png", size=(40, 90))], tmp_path / "out", batch=4)
    assert run.exit_code == 0 and {shape[0] for shape in engine.shapes[1:]} == {4, 1}


@pytest.mark.parametrize("at", [0, 2])
def test_all_frames_of_a_video_are_whole_or_in_tiles(at, tmp_path, capsys):
    """Also where memory runs out at a later frame: then it begins anew."""
    pytest.importorskip("av")
    from tarsia.pictures.videos import writing_video

    with writing_video(tmp_path / "a.mp4", (48, 64), Fraction(5)) as film:
        for value in (40, 90, 200, 240):
            film.write(np.full((48, 64, 3), value, np.uint8))

    class Later(Small):
        def run(self, images_BHW3):
            if len(self.shapes) < at:
                self.shapes.append(images_BHW3.shape[:3])
                return BrightnessEngine.run(self, images_BHW3)
            return super().run(images_BHW3)

    given = [tmp_path / "a.mp4", draw(tmp_path / "b.png")]
    save = ("label", "overlay", "shares")
    assert predict(Predictor(Later()), given, tmp_path / "out", save=save).exit_code == 0
    assert "a.mp4: 48x64 (height x width), not enough memory" in capsys.readouterr().err
    predict(Predictor(Small()).in_tiles(TILE), given, tmp_path / "asked", save=save)
    labels = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "out" / "a_frames").iterdir())]
    asked = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "asked" / "a_frames").iterdir())]
    assert len(labels) == 4 and np.array_equal(labels, asked)
    assert pictures(tmp_path / "out")["a"]["frames"] == 4


def test_a_geotiff_is_cut_into_tiles_as_any_picture(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)
    options = {"driver": "GTiff", "height": 40, "width": 90, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(tmp_path / "map.tif", "w", **options, transform=place) as file:
        file.write(np.random.default_rng(0).integers(0, 256, (3, 40, 90), np.uint8))
    save = ("label", "overlay", "geojson", "shares")
    assert predict(Predictor(Small()), [tmp_path / "map.tif"], tmp_path / "out", save=save).exit_code == 0
    assert pictures(tmp_path / "out")["map"]["tile"] == TILE
    predict(Predictor(Small()).in_tiles(TILE), [tmp_path / "map.tif"], tmp_path / "asked", save=save)
    assert contents(tmp_path / "asked") == contents(tmp_path / "out")


# ---- before it is tried


class Memory:
    """A machine of `total` bytes, on which a network takes 1 MiB at rest and `rate` bytes a pixel."""

    def __init__(self, engine: Small, total: int, rate: int) -> None:
        self.engine, self.total, self.rate = engine, total, rate

    def resident(self) -> int:
        shape = self.engine.shapes[-1] if self.engine.shapes else (0,)
        return MEBI + self.rate * int(np.prod(shape))

    def free(self) -> int:
        return self.total - self.resident()


@pytest.fixture
def machine(monkeypatch):
    """`Fitting` on a machine of one's own."""

    def on(total: int, rate: int = 1000, **settings: object) -> Small:
        engine = Small(most=10**9, **settings)
        memory = Memory(engine, total, rate)

        def fitting(*arguments):
            return Fitting(*arguments, free_bytes=memory.free, resident_bytes=memory.resident)

        monkeypatch.setattr(predicting, "Fitting", fitting)
        return engine

    return on


@pytest.mark.parametrize(("total", "fits"), [(5 * MEBI, True), (4 * MEBI, False)])
def test_a_trial_tells_what_a_large_picture_would_take(total, fits, machine, tmp_path, capsys):
    """40 x 92 pixels of 1,000 bytes each are 3.5 MiB; 1 is taken already."""
    engine = machine(total)
    run = predict(Predictor(engine), [draw(tmp_path / "in" / "large.png", size=(40, 90))], tmp_path / "out")
    assert run.exit_code == 0 and engine.shapes[0] == (1, TILE, TILE)
    assert ((1, 40, 92) in engine.shapes) == fits
    said = capsys.readouterr().err
    assert fits or "large.png: 40x90 (height x width), would take about 0.00343 GiB of memory, and 0.00293 are" in said
    assert pictures(tmp_path / "out")["large"].get("tile") == (None if fits else TILE)


def test_what_pictures_before_took_is_as_good_as_a_trial(machine, tmp_path):
    engine = machine(20 * MEBI)
    sizes = {"a": (24, 24), "b": (40, 90), "c": (100, 220)}
    given = [draw(tmp_path / "in" / f"{name}.png", size=size) for name, size in sizes.items()]
    predict(Predictor(engine), given, tmp_path / "out")
    assert engine.shapes[:2] == [(1, 24, 24), (1, 40, 92)] and set(engine.shapes[2:]) <= {
        (1, TILE, TILE),
        (1, 12, TILE),
    }


def test_pictures_that_fit_alone_and_not_together_go_alone(machine, tmp_path):
    engine = machine(6 * MEBI)
    given = [draw(tmp_path / "in" / f"{name}.png", size=(40, 90)) for name in "abc"]
    assert predict(Predictor(engine), given, tmp_path / "out", batch=3).exit_code == 0
    assert engine.shapes == [(1, TILE, TILE), *[(1, 40, 92)] * 3]


def test_on_a_gpu_it_is_tried(machine, tmp_path):
    engine = machine(0)
    engine.device = "cuda:0"
    assert predict(Predictor(engine), [draw(tmp_path / "a.png", size=(40, 90))], tmp_path / "out").exit_code == 0
    assert engine.shapes == [(1, 40, 92)]


def test_a_network_that_resizes_is_judged_by_nothing_but_trying(machine, tmp_path):
    engine = machine(0, size=(8, 12))
    engine.labels = lambda scores, size: np.zeros((len(scores), *size), np.uint8)
    assert predict(Predictor(engine), [draw(tmp_path / "a.png", size=(40, 90))], tmp_path / "out").exit_code == 0
    assert engine.shapes == [(1, 8, 12)]


# ---- torch, and what is no prediction


def torch_predictor() -> Predictor:
    torch.manual_seed(0)
    network = models.create("unet_original", 2, options={"channels": [4, 8]}).eval()
    card = Card(architecture="unet_original", model={}, classes=CLASSES, input=Input(stride=network.stride))
    return Predictor(TorchEngine(network, card, "cpu"))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB. GPU 0 has a total capacity of ..."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["network", "labels"])
def test_whatever_torch_says_when_memory_has_run_out_it_is_tiles(where, error, tmp_path, monkeypatch):
    predictor = torch_predictor()
    if where == "network":
        forward = predictor.engine.model.forward

        def failing(image_B3HW):
            if image_B3HW.shape[-1] > TILE:
                raise error
            return forward(image_B3HW)

        monkeypatch.setattr(predictor.engine.model, "forward", failing)
    else:
        from tarsia.engines import torch_engine

        own = torch_engine._at

        def failing_at(scores_BKHW, size):
            if scores_BKHW.shape[-1] > TILE:
                raise error
            return own(scores_BKHW, size)

        monkeypatch.setattr(torch_engine, "_at", failing_at)
    given = sources(tmp_path / "in")
    run = predict(predictor, given, tmp_path / "out", save=("label", "shares"))
    assert run.exit_code == 0 and len(run.done) == 4
    predict(torch_predictor().in_tiles(TILE), given, tmp_path / "asked", save=("label", "shares"))
    for name in ("large.png", "wide.png"):
        found, asked = (np.asarray(Image.open(tmp_path / out / name)) for out in ("out", "asked"))
        assert np.array_equal(found, asked)


def test_a_picture_that_the_network_fails_on_is_one_bad_picture(tmp_path, monkeypatch):
    predictor = torch_predictor()
    forward = predictor.engine.model.forward

    def failing(image_B3HW):
        if image_B3HW.shape[-1] > 100:
            raise RuntimeError("Kernel size can't be greater than actual input size\nat ...")
        return forward(image_B3HW)

    monkeypatch.setattr(predictor.engine.model, "forward", failing)
    for batch in (1, 2):
        run = predict(predictor, sources(tmp_path / "in"), tmp_path / f"{batch}", batch=batch)
        assert [path.stem for path, _ in run.done] == ["a", "large", "b"] and run.exit_code == 2
        assert "wide.png: unet_original: fails on pictures of 1x20x200" in run.failed[0][1]


class Labelled:
    classes = CLASSES

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int):
        from tarsia.data import Sample

        return Sample(np.zeros((40, 92, 3), np.uint8), np.zeros((40, 92), np.uint8), self.name(index))

    def name(self, index: int) -> str:
        return f"town{index}"


def test_what_is_scored_is_never_cut_into_tiles():
    with pytest.raises(
        MemoryError, match=r"^town0, town1: not enough memory for 2 of 40x92 .*take `batch=1`.*not scored"
    ):
        evaluate(Predictor(Small()), Labelled(), batch=2)
    sides = [Trial(name, Predictor(Small()), 9) for name in ("torch", "onnxruntime")]
    with pytest.raises(MemoryError, match=r"^town0: not enough memory for 40x92 .* in torch .*tried to allocate"):
        parity(sides[0], sides[1:], Labelled(), 1)


def test_the_command_line_says_so_in_one_line(monkeypatch, capsys):
    from tarsia import cli

    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError("town0: not enough memory")

    monkeypatch.setattr(cli, "app", exhausted)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2 and capsys.readouterr().err == "tarsia: town0: not enough memory\n"
