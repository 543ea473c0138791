from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tarsia.data as data
from tarsia.data._dataset import Dataset
from tarsia.errors import DatasetError
from tarsia.recipe import DataRecipe


@pytest.fixture
def photos(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name in "abcd":
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "labels" / f"{name}.png")
    (tmp_path / "dataset.yaml").write_text("classes: [background, road]\nsplit: {val: 0.25}\n")
    return tmp_path


@pytest.fixture
def invented(monkeypatch, tmp_path):
    """A data set that is one new file in the folder, with options of several types."""
    (tmp_path / "invented.py").write_text(
        "from __future__ import annotations\n"
        "from tarsia.card import Classes\n"
        "class Data:\n"
        "    classes = Classes(names=('a',), colors=((1, 2, 3),))\n"
        "    def __init__(self, root, split, *, count: int | None = None, size: tuple[int, int] = (8, 8),\n"
        "                 night: bool = False, city: str = 'x', share: float = 0.5):\n"
        "        self.got = dict(root=root, split=split, count=count, size=size, night=night, city=city, share=share)\n"
        "    def __len__(self): return 0\n"
        "    def __getitem__(self, index): raise IndexError\n"
        "    def name(self, index): return ''\n"
    )
    (tmp_path / "_plumbing.py").write_text("")
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(tmp_path)])
    yield
    sys.modules.pop("tarsia.data.invented", None)


def test_names_are_the_files_of_the_folder():
    files = {path.stem for path in Path(data.__file__).parent.glob("*.py") if not path.stem.startswith("_")}
    assert data.names() == sorted(files) and {"camvid", "folder"} <= files


def test_names_from_a_zipped_package(tmp_path):
    package = Path(data.__file__).parents[1]
    with zipfile.ZipFile(tmp_path / "tarsia.zip", "w") as archive:
        for path in (*package.glob("*.py"), *(package / "data").glob("*.py")):
            archive.write(path, f"tarsia/{path.relative_to(package)}")
    code = "import tarsia.data as d; print(d.__file__, d.names())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/",
                         env={"PYTHONPATH": str(tmp_path / "tarsia.zip")}, check=True)  # fmt: skip
    assert "tarsia.zip" in run.stdout and "'camvid'" in run.stdout


def test_a_new_file_is_a_new_data_set(invented):
    assert "invented" in data.names() and "_plumbing" not in data.names()
    opened = data.open("invented", "r", "val", count="3", size="240x320", night="true", share="0.25", city="2")
    assert isinstance(opened, Dataset)
    assert opened.got == {"root": "r", "split": "val", "count": 3, "size": (240, 320), "night": True, "city": "2",
                          "share": 0.25}  # fmt: skip
    assert data.open("invented", size=[2, 3], count=None).got["size"] == (2, 3)
    assert data.open_spec("invented,count=3,size=2x3").got["size"] == (2, 3)


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({"cuont": 3}, [(("cuont",), "unknown key, did you mean count?")]),
        ({"rot": "x"}, [(("rot",), "unknown key, did you mean root?")]),
        ({"zzz": 3, "count": "many"}, [(("zzz",), "unknown key; known: cache, city, count"),
                                       (("count",), "Input should be a valid integer, unable to parse")]),
        ({"count": 2.5}, [(("count",), "got 2.5")]),
        ({"size": "240x"}, [(("size", 1), "got '240x'")]),
        ({"size": [1, 2, 3]}, [(("size",), "got [1, 2, 3]")]),
        ({"city": 3}, [(("city",), "Input should be a valid string, got 3")]),
        ({"city": "b", "night": True}, []),
    ],
)  # fmt: skip
def test_option_faults_name_place_and_nearest(invented, options, faults):
    found = data.option_faults("invented", options, list(DataRecipe.model_fields))
    assert [where for where, _ in found] == [where for where, _ in faults]
    for (_, what), (_, part) in zip(found, faults, strict=True):
        assert part in what
    if faults:
        with pytest.raises(DatasetError, match="data set invented: "):
            data.open("invented", **options)


def test_a_data_set_without_options_has_those_of_all():
    assert data.option_faults("folder", {"x": 1}) == [(("x",), "unknown key; known: fold, folds, joined")]


def test_an_unknown_data_set_names_the_nearest():
    assert data.option_faults("camvd", {"x": 1}, []) == [(("name",), "unknown data set camvd, did you mean camvid?")]
    for name in ("camvd", "_paired", "../camvid", ""):
        with pytest.raises(DatasetError, match=r"^unknown data set"):
            data.open(name)


@pytest.mark.parametrize(
    ("spec", "parsed"),
    [
        ("camvid", ("camvid", None, {})),
        ("camvid:data/camvid", ("camvid", "data/camvid", {})),
        ("folder:C:/a=b,split=val", ("folder", "C:/a=b", {"split": "val"})),
        ("streets,count=3,size=2x3", ("streets", None, {"count": "3", "size": "2x3"})),
        ("folder:.,x=a=b", ("folder", ".", {"x": "a=b"})),
    ],
)
def test_parse(spec, parsed):
    assert data.parse(spec) == parsed


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "no data set's name"),
        ("data/camvid", "is it a folder[?] then write folder:data/camvid"),
        (":data", "no data set's name before ':'"),
        ("camvid:", "no folder after ':'"),
        ("camvid,val", "'val' is not key=value .*expected NAME"),
        ("camvid:a,b=,c=2", "'b=' is not key=value"),
        ("camvid,", "'' is not key=value"),
        ("camvid,root=x", "root cannot be given as an option"),
        ("streets,count=1,count=2", "count is given twice"),
    ],
)
def test_parse_says_what_is_expected(spec, message):
    with pytest.raises(DatasetError, match=message):
        data.parse(spec)


def test_open_spec_decides_on_one_split(photos):
    assert len(data.open_spec(f"folder:{photos}")) == 1
    assert len(data.open_spec(f"folder:{photos}", default_split="train")) == 3
    assert len(data.open_spec(f"folder:{photos},split=train")) == 3
    assert len(data.open_spec(f"folder:{photos},split=all", split="all")) == 4
    with pytest.raises(DatasetError, match="split is val there but train is asked for"):
        data.open_spec(f"folder:{photos},split=val", split="train")


def test_open_is_lazy_and_takes_relative_roots(photos, monkeypatch):
    monkeypatch.chdir(photos)
    opened = data.open("folder", ".", "train")
    (photos / "images" / "a.png").write_bytes(b"")
    assert len(opened) == 3 and not Path(opened.pairs[0].image).is_absolute()


def test_open_with_a_cache(photos, tmp_path):
    plain, cached = data.open("folder", photos), data.open("folder", photos, cache=tmp_path / "cache")
    assert isinstance(cached, Dataset) and [s.name for s in cached] == [s.name for s in plain]
    assert (tmp_path / "cache").is_dir()


def test_torch_is_not_imported():
    code = "import sys, tarsia.data as d; [d.option_faults(n, {}) for n in d.names()]; import tarsia.data._cache\n"
    code += "assert not any(name.split('.')[0] == 'torch' for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
