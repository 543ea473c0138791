from __future__ import annotations

from pathlib import Path

import pytest

from small_service import model_file
from tarsia.errors import ModelFileError, RecipeError
from tarsia.service.naming import named


def run_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "model.safetensors").touch()
    (path / "last.safetensors").touch()
    return path


def test_names_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, run = model_file(tmp_path), run_folder(tmp_path / "run")
    exported = model_file(run, "model.onnx")
    assert named([file, run]) == {"small": file, "run": run}
    assert named([exported]) == {"run": exported}
    assert named([f"day={file}", f"night={file}"]) == {"day": file, "night": file}
    assert named(["x=missing"]) == {"x": Path("missing")}  # load says that it is not there
    monkeypatch.chdir(run)
    assert named(["."]) == {"run": Path(".")}
    with pytest.raises(RecipeError, match="both called run: give each by itself, and one with a name"):
        named([run, exported])


@pytest.mark.parametrize(
    ("own", "name"),
    [("my photos", "my-photos"), ("Straße (2)", "Stra-e-2"), ("街景", "model"), ("..a", "a"), ("x" * 80, "x" * 64)],
)
def test_a_name_of_its_own_is_one_that_an_address_holds(
    own: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_folder(tmp_path / own)
    assert named([run]) == {name: run}
    assert f"is served as {name}" in capsys.readouterr().err.replace("\n", " ")


def test_a_folder_of_several(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    run = run_folder(folder / "town")
    night, day = model_file(folder, "night.onnx"), folder / "day.SAFETENSORS"
    day.touch()
    for name in (".hidden.onnx", "notes.txt", "night.export.json"):
        (folder / name).touch()
    (folder / "pictures").mkdir()
    expected = {"day": day, "night": night, "town": run}
    assert named([folder]) == expected and list(named([folder])) == list(expected)
    assert named([folder, f"more={night}"]) == expected | {"more": night}
    with pytest.raises(RecipeError, match=r"one name, but .*models holds 3 models"):
        named([f"x={folder}"])
    model_file(folder, "day.onnx")
    with pytest.raises(RecipeError, match=r"day\.SAFETENSORS and .*day\.onnx are both called day"):
        named([folder])


def test_a_folder_of_one_and_of_none(tmp_path: Path) -> None:
    only = model_file(tmp_path, "model.onnx")
    assert named([tmp_path]) == {tmp_path.name: only} and named([f"x={tmp_path}"]) == {"x": only}
    only.unlink()
    (tmp_path / "pictures").mkdir()
    with pytest.raises(ModelFileError, match=r"holds no model: expected model\.safetensors, model files"):
        named([tmp_path])
