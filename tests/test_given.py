"""What a word means where a recipe, a run folder or a data set may stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from small_data import write_folder
from tarsia import shipped
from tarsia.errors import RecipeError
from tarsia.given import Given, resolve


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_kind() -> None:
    write_folder(Path("photos"), 1, 1)
    Path("mine.yaml").write_text("model: {name: unet}\n")
    Path("run").mkdir()
    Path("run/recipe.yaml").write_text("")
    assert resolve("mine.yaml") == Given("recipe", "mine.yaml")
    assert resolve("run") == Given("run", "run") and resolve("run").file == Path("run/recipe.yaml")
    assert resolve("photos") == resolve("photos/dataset.yaml") == Given("data", "folder:photos")
    assert resolve("folder:photos,split=val") == Given("data", "folder:photos,split=val")
    assert resolve("streets,count=4").kind == "data"
    assert resolve("camvid-fast").file == shipped.recipes()["camvid-fast"]
    assert resolve("recipes/camvid-fast.yaml").kind == "recipe"


def test_a_clash_is_refused_with_both_spellings() -> None:
    Path("streets").mkdir()
    with pytest.raises(RecipeError, match=r"write \./streets or catalogue:streets"):
        resolve("streets")
    assert resolve("./streets") == Given("data", "folder:streets")
    assert resolve("catalogue:streets") == Given("data", "streets")
    assert resolve("streets,count=4").kind == "data"
    write_folder(Path("both"), 1, 1)
    Path("both/recipe.yaml").write_text("")
    with pytest.raises(RecipeError, match=r"write both/recipe\.yaml or folder:both"):
        resolve("both")


@pytest.mark.parametrize("text", ["nothing", "nothing.yaml", "a/b/c"])
def test_what_is_nothing_is_said(text: str) -> None:
    with pytest.raises(RecipeError, match=r"no such file or folder, no recipe that comes with Tarsia .*camvid-fast"):
        resolve(text)
