"""Pictures to try: whose they are, whom they suit, and who may see them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import small_onnx
from small_data import CLASSES
from small_service import decoded, encoded, engine, model_file, pixels, program
from tarsia import examples
from tarsia.card import Classes
from tarsia.data import ade20k, camvid, cityscapes, streets, synthia, voc
from tarsia.data._dataset import Sample
from tarsia.engines import onnx_file
from tarsia.engines.onnx_engine import OnnxEngine
from tarsia.errors import RecipeError
from tarsia.learning.run_folder import clear
from tarsia.prediction.predictor import Predictor
from tarsia.service.examples import knows_streets
from tarsia.service.server import is_loopback
from tarsia.serving import create_app

KEY = "0123456789abcdef"
STREET = ("Sky", "building", "road", "car")


def street(bands: int = 3) -> Predictor:
    """A model whose classes are some of streets'."""
    classes = Classes(names=STREET, colors=tuple((k, k, k) for k in range(4)))
    weights = np.zeros((4, bands), np.float32)
    content = small_onnx.model(weights, np.zeros(4, np.float32)).SerializeToString()
    card = small_onnx.card(classes=classes, model={"bands": bands})
    return Predictor(OnnxEngine(onnx_file.parse(onnx_file.with_card(content, card), "x"), "x", threads=1))


def files(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        kind = "PNG" if name.endswith("png") else "JPEG"
        (folder / name).write_bytes(encoded(pixels(16, 24, seed), kind))
    return [folder / name for name in names]


def listed(app: TestClient, query: str = "", **headers: str) -> list[dict[str, str]]:
    answer = app.get(f"/v1/examples{query}", headers=headers)
    assert answer.status_code == 200 and "private" in answer.headers["cache-control"]
    return answer.json()["examples"]


# ---- drawn streets


def test_streets_are_drawn_when_asked_for() -> None:
    app = TestClient(create_app(street()))
    found = listed(app)
    assert len(found) >= 4 and all(one["title"] for one in found)
    for one in found[:2]:
        answer = app.get("/" + one["url"])
        assert answer.headers["content-type"] == "image/jpeg" and decoded(answer.content).shape == (360, 480, 3)
        assert app.get("/" + one["url"]).content == answer.content
    for name in ("x", "..%2F..%2Fetc%2Fpasswd", "%00"):
        assert app.get(f"/v1/examples/{name}.jpg").status_code == 404


def test_streets_are_for_models_of_streets_alone() -> None:
    app = TestClient(create_app({"streets": street(), "other": Predictor(engine()), "infrared": street(bands=4)}))
    assert listed(app) == listed(app, "?model=streets") != []
    assert listed(app, "?model=other") == listed(app, "?model=infrared") == []
    assert app.get("/v1/examples?model=nobody").status_code == 404


def test_whose_classes_are_of_streets() -> None:
    def knows(names: tuple[str, ...]) -> bool:
        colors = tuple((k, k, k) for k in range(len(names)))
        return knows_streets(small_onnx.card(classes=Classes(names=names, colors=colors)))

    for module in (streets, camvid, synthia, ade20k):
        assert knows(module.CLASSES.names), module.__name__
    assert knows(cityscapes.meaning(19, "ignored")[0].names)
    assert not knows(voc.CLASSES.names)
    assert not knows(("impervious surface", "building", "low vegetation", "tree", "car"))  # from above
    assert not knows(CLASSES)


# ---- a model's own


def test_own_pictures_come_in_the_place_of_streets(tmp_path: Path) -> None:
    own = files(tmp_path, "validation-1.jpg", "b_<b>&.png")
    app = TestClient(create_app({"town": street(), "plain": Predictor(engine())}, examples={"town": own}))
    found = listed(app)
    assert [one["title"] for one in found] == ["Validation 1", "B <b>&"]
    assert found[1] == {"name": "b_<b>&", "title": "B <b>&", "url": "v1/examples/town/2"}
    for one, path, kind in zip(found, own, ("jpeg", "png"), strict=True):
        answer = app.get("/" + one["url"])
        assert answer.content == path.read_bytes() and answer.headers["content-type"] == f"image/{kind}"
        assert answer.headers["cache-control"] == "private, no-cache"
    assert listed(app, "?model=plain") == []
    for path in ("town/0", "town/3", "plain/1", "nobody/1"):
        assert app.get(f"/v1/examples/{path}").status_code == 404
    own[0].unlink()
    assert app.get("/v1/examples/town/1").status_code == 404


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"bad-\xff.jpg")
    path.write_bytes(encoded(pixels(), "JPEG"))
    app = TestClient(create_app(Predictor(engine()), examples={"model": [path]}))
    (found,) = listed(app)
    assert found["title"] == "Bad \ufffd" and app.get("/" + found["url"]).status_code == 200


def test_own_pictures_are_for_those_who_have_the_key(tmp_path: Path) -> None:
    own = {name: files(tmp_path, "a.jpg") for name in ("town", "plain")}
    predictors = {"town": street(), "plain": Predictor(engine())}
    app = TestClient(create_app(predictors, keys=[KEY], examples=own))
    for headers in ({}, {"X-API-Key": KEY + "x"}):
        assert [one["name"] for one in listed(app, **headers)][:1] == ["street"]  # not a word of others
        assert listed(app, "?model=plain", **headers) == []
        assert app.get("/v1/examples/plain/1", headers=headers).status_code == 401
    assert app.get("/v1/examples/street.jpg").status_code == 200
    with_key = {"Authorization": f"Bearer {KEY}"}
    assert [one["url"] for one in listed(app, "?model=plain", **with_key)] == ["v1/examples/plain/1"]
    assert app.get("/v1/examples/plain/1", headers=with_key).status_code == 200


def test_where_only_this_machine_listens() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert is_loopback(host), host
    for host in ("0.0.0.0", "::", "192.0.2.1", "no.such.host.invalid"):
        assert not is_loopback(host), host


@pytest.mark.parametrize("guarded", [False, True])
def test_the_program_shows_them_to_this_machine_or_for_a_key(tmp_path: Path, guarded: bool) -> None:
    file = model_file(tmp_path)
    files(tmp_path / "small.examples", "a.jpg")
    with program(file) as running:
        assert b"v1/examples/small/1" in running.ask("/v1/examples")[1]
    with program(file, "--host", "0.0.0.0", TARSIA_API_KEY=KEY if guarded else "") as running:
        said = "0.0.0.0 without a key is open to all: small shows no examples of its own pictures"
        assert (said in " ".join(running.log.split())) == (not guarded)
        assert running.ask("/v1/examples/small/1")[0] == (401 if guarded else 404)
        assert (b"small/1" in running.ask("/v1/examples", head=f"X-API-Key: {KEY}\r\n")[1]) == guarded


# ---- kept by a training, found beside a file


class Pictures:
    def __init__(self, count: int, size: tuple[int, int] = (40, 60), bands: int = 3) -> None:
        self.count, self.size, self.bands = count, size, bands

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        image = np.full((*self.size, self.bands), 10 * index, np.uint8)
        return Sample(image, np.zeros(self.size, np.uint8), f"patient {index}")


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (4, [0, 1, 2, 3]), (11, [0, 2, 4, 6, 8, 10])])
def test_a_training_keeps_a_few_evenly_spaced(tmp_path: Path, count: int, expected: list[int]) -> None:
    examples.keep(tmp_path, Pictures(count))
    found = sorted((tmp_path / "examples").iterdir())
    assert [path.name for path in found] == [f"validation-{n + 1}.jpg" for n in range(len(expected))]
    assert [round(decoded(path.read_bytes()).mean() / 10) for path in found] == expected


def test_large_pictures_are_made_smaller_and_other_bands_are_left_out(tmp_path: Path) -> None:
    examples.keep(tmp_path / "large", Pictures(1, (1500, 3000)))
    examples.keep(tmp_path / "grey", Pictures(1, bands=1))
    examples.keep(tmp_path / "many", Pictures(1, bands=4))
    with Image.open(tmp_path / "large" / "examples" / "validation-1.jpg") as image:
        assert image.size == (1024, 512)
    with Image.open(tmp_path / "grey" / "examples" / "validation-1.jpg") as image:
        assert image.mode == "L" and image.size == (60, 40)
    assert not (tmp_path / "many").exists()


def test_a_new_run_in_the_folder_takes_its_own_away_and_nothing_else(tmp_path: Path) -> None:
    examples.keep(tmp_path, Pictures(2))
    files(tmp_path / "examples", "mine.jpg")
    clear(tmp_path, keep_run=False)
    assert [path.name for path in (tmp_path / "examples").iterdir()] == ["mine.jpg"]


def test_what_lies_beside_a_file(tmp_path: Path) -> None:
    file = model_file(tmp_path, "fast.onnx")
    run = tmp_path / "model.safetensors"
    run.touch()
    inside = files(tmp_path / "examples", "b.jpg", "a.PNG", ".hidden.jpg", "notes.txt", "c.webp")
    assert examples.beside(file) == []  # a folder of this name may be anybody's
    (tmp_path / "recipe.yaml").touch()
    assert examples.beside(file) == examples.beside(tmp_path) == [inside[1], inside[0], inside[4]]
    own = files(tmp_path / "fast.examples", "x.jpg")
    assert examples.beside(file) == own and examples.beside(run) != own


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = model_file(tmp_path)
    files(tmp_path / "small.examples", "a.jpg")

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(RecipeError, match=r"small\.examples: cannot be read \(Permission denied\)"):
        examples.beside(file)
