"""Follows the documentation: every command, recipe and line of Python in it is run, every link and list compared."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import itertools
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
from PIL import Image

import tarsia
from small_data import drawn_figures, quick_studies, unmeasured, write_films
from tarsia import data, models
from tarsia.cli import app, main
from tarsia.data._dataset import Dataset, check_sample
from tarsia.data._layout import Layout
from tarsia.errors import DatasetError
from tarsia.recipe import Recipe
from tarsia.studies.study import Study

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "tarsia"
README = ROOT / "README.md"
FOLLOWED = (
    *("README.md", "docs/quickstart.md", "docs/folder-data.md", "docs/resume-and-runs.md"),
    *("docs/add-a-model.md", "docs/add-a-data-set.md", "docs/convert.md", "docs/augmentation.md"),
    *("docs/check.md", "docs/compare.md", "docs/networks.md", "docs/streets.md", "docs/adaptation.md"),
    *("docs/own-parts.md", "docs/export.md", "docs/predict.md", "docs/jobs.md", "docs/serving.md", "docs/auto.md"),
)
NOT_FOLLOWED = {
    "docs/results.md": "its commands train for minutes to hours, on data that is not shipped",
    "docs/scale.md": "its commands start processes on several machines; tests/test_torchrun.py does on one",
}
# The first line of each block marked `not-run`, and why.
NOT_RUN = {
    ("README.md", "make demo"): "installs packages, trains for minutes, and runs this very test",
    ("README.md", 'pip install ".[all]"'): "installs packages",
    ("docs/quickstart.md", "make demo"): "installs packages and trains for minutes",
    ("docs/quickstart.md", 'pip install ".[all]"'): "installs packages and trains for minutes",
    ("README.md", "tarsia serve runs/demo"): "serves for ever",
    (
        "README.md",
        "tarsia init photos                        # what lies there: a dataset.yaml with a reason on each line",
    ): "trains for half an hour; tests/page/test_four_commands.py walks it",
    ("README.md", 'run = tarsia.train("photos", minutes=30)'): "trains for half an hour",
    ("docs/quickstart.md", "tarsia train photos --minutes 10"): "trains for minutes",
    ("docs/auto.md", "tarsia train photos --minutes 30"): "trains for half an hour",
    ("docs/compare.md", "tarsia compare --study depth.yaml --processes 2"): "trains six; in tiny form it is run",
    (
        "docs/auto.md",
        "python benchmarks/auto.py --data cells --minutes 5 --seed 0 --weights FOLDER",
    ): "trains for minutes",
    (
        "docs/auto.md",
        "python benchmarks/auto_rules.py docs/auto-rules.csv --weights FOLDER --sets cells fields streets "
        "camvid=FOLDER,HELD_OUT",
    ): "trains for hours; tests/test_benchmarks.py reads its table",
    ("docs/folder-data.md", "tarsia shard folder:photos --to photos-shards"): "needs a data set of one's own",
    (
        "docs/folder-data.md",
        "range: {picture: [1, 99.8]}       # `per: all` or `per: band` as above",
    ): "a line of a dataset.yaml; tests/test_own_range_model.py trains by it",
    (
        "docs/export.md",
        "values = np.sort(image_HWC[..., band][there])  # uint16",
    ): "a rule in three lines; tests/pictures/test_own_range.py holds the reader to it",
    (
        "docs/export.md",
        "tarsia export runs/camvid-fast --check-on camvid:data/camvid --int8 --out fast8.onnx",
    ): "needs CamVid and a model of it",
    ("docs/add-a-model.md", "import segmentation_models_pytorch as smp"): "of a package that is not installed",
    ("docs/export.md", "pip uninstall -y onnxruntime onnxruntime-gpu"): "changes what is installed",
    (
        "docs/jobs.md",
        "tarsia predict runs/first --job job --processes 4       # on this machine, each with its share of the cores",
    ): "starts more processes than there are cores",
    ("docs/jobs.md", "tarsia plan s3://store/photos/ --out s3://store/jobs/june"): "needs an object store",
    (
        "docs/jobs.md",
        "tarsia predict runs/first --job job --ray local --processes 2            # a Ray of its own, of this machine",
    ): "starts Ray; tests/jobs/test_ray.py does",
    (
        "docs/jobs.md",
        "sbatch --array=1-8 --wrap 'tarsia predict model.onnx --job /shared/job --part $SLURM_ARRAY_TASK_ID/8'",
    ): "needs Slurm",
    ("docs/serving.md", 'pip install ".[serve]"'): "installs packages, serves for ever",
    (
        "docs/serving.md",
        'curl --data-binary @street.jpg -H "Content-Type: image/jpeg" localhost:8000/v1/segment > mask.png',
    ): "needs a running service",
    ("docs/serving.md", "openssl rand -hex 24 > keys.txt"): "serves for ever",
    ("docs/serving.md", "docker build -t tarsia ."): "needs Docker",
    ("docs/serving.md", "docker build -t tarsia-demo \\"): "needs Docker",
    ("docs/serving.md", "docker tag tarsia-demo registry.example/tarsia-demo:0.1.0"): "needs Docker",
    ("docs/serving.md", "az acr login --name MYREGISTRY"): "needs an Azure account",
    ("docs/serving.md", "az container create \\"): "needs an Azure account",
    ("docs/serving.md", "kubectl create secret generic tarsia \\"): "needs a cluster",
    ("docs/serving.md", "tarsia export runs/demo --triton repository"): "needs Triton",
}
# Whose commands draw the figures that they write; of a study, tests/test_study.py does.
DRAWN = ("README.md", "docs/quickstart.md")
_WRITTEN = re.compile(r"# (\w+\.py)\n")


class Block(NamedTuple):
    """A fenced block of a page; `line` is that of its fence."""

    page: str
    line: int
    language: str
    marked: bool
    text: str

    @property
    def first(self) -> str:
        return self.text.partition("\n")[0]


def blocks(page: str) -> list[Block]:
    found, lines = [], iter(enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if not line.startswith("```"):
            continue
        language, _, mark = line[3:].partition(" ")
        assert mark in ("", "not-run"), f"{page}:{number}: unknown mark {mark}"
        inside = [text for _, text in itertools.takewhile(lambda item: item[1] != "```", lines)]
        found.append(Block(page, number, language, mark == "not-run", "\n".join(inside) + "\n"))
    return found


def pages() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


class Workspace:
    """An empty folder with one picture, street.jpg, in which a page is followed from top to bottom."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, added: Path) -> None:
        self.folder, self.monkeypatch, self.added = folder, monkeypatch, added
        self.names: dict[str, Any] = {"__name__": "page"}  # one Python session a page

    def follow(self, block: Block) -> None:
        """Run the block, or write the file that its first line names."""
        if block.marked or block.language in ("text", ""):
            return
        {"sh": self._shell, "python": self._python, "yaml": self._yaml}[block.language](block)

    def _shell(self, block: Block) -> None:
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if not words:
                continue
            assert words[0] == "tarsia", f"{block.page}:{block.line}: {line} is not run here: mark the block not-run"
            self.monkeypatch.setattr(sys, "argv", words)
            with pytest.raises(SystemExit) as stop:
                main()
            assert stop.value.code == 0, f"{block.page}:{block.line}: {line}"

    def _python(self, block: Block) -> None:
        file = _WRITTEN.match(block.text)
        if file:
            (self.folder / file[1]).write_text(block.text)
        else:
            exec(compile("\n" * block.line + block.text, block.page, "exec"), self.names)

    def _yaml(self, block: Block) -> None:
        path = self.folder / block.first.removeprefix("# ")
        assert path.suffix == ".yaml", f"{block.page}:{block.line}: its first line names no file"
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.text)
        if path.name == "dataset.yaml":
            Layout.load(path)
        elif "variations:" in block.text:
            Study.load(path)
        else:
            Recipe.load(path)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    scene = data.open("streets", split="test", count=1, size=(64, 64))[0]
    Image.fromarray(scene.image).save("street.jpg")
    for package in (models, data):
        added = tmp_path / "added" / package.__name__.rpartition(".")[2]
        added.mkdir(parents=True)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(added)])
    yield Workspace(folder, monkeypatch, tmp_path / "added")
    for name in [name for name, one in sys.modules.items() if str(tmp_path) in str(getattr(one, "__file__", ""))]:
        del sys.modules[name]


@pytest.mark.timeout(900)  # a page is many commands, and other programs may want the cores
@pytest.mark.parametrize("page", FOLLOWED)
def test_every_example_of_the_page_runs(page: str, workspace: Workspace) -> None:
    prepare, check = AROUND.get(page, (None, None))
    if prepare:
        prepare(workspace)
    with contextlib.ExitStack() as stack:
        for quick in (drawn_figures,) if page in DRAWN else (quick_studies, unmeasured):
            stack.enter_context(quick())
        for block in blocks(page):
            workspace.follow(block)
    if check:
        check(workspace)


def test_every_page_with_examples_is_followed_and_what_is_not_run_has_a_reason() -> None:
    with_examples = {page for page in pages() if any(block.language not in ("", "text") for block in blocks(page))}
    assert with_examples - NOT_FOLLOWED.keys() == set(FOLLOWED)
    marked = [(page, block.first) for page in FOLLOWED for block in blocks(page) if block.marked]
    assert sorted(marked) == sorted(NOT_RUN)
    assert {block.language for page in FOLLOWED for block in blocks(page)} <= {"sh", "python", "yaml", "text"}


# What stands around a page's examples: files they need before, what must be true after.


def write_harbour(workspace: Workspace) -> None:
    """The files of the page's first list: pictures, and masks that do not overlap."""
    listed = next(block for block in blocks("docs/add-a-data-set.md") if block.language == "text")
    for index, name in enumerate(listed.text.split()):
        path = workspace.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (64, 64, 3), np.uint8)
        if path.parent.name != "pictures":
            pixels = np.zeros((64, 64), np.uint8)
            pixels[(slice(0, 20) if path.parent.name == "water" else slice(30, 40))] = 255
        Image.fromarray(pixels).save(path)


def added_data_set_keeps_its_promises(workspace: Workspace) -> None:
    shutil.copy("harbour.py", workspace.added / "data")  # into the package, as the page says
    assert "harbour" in data.names()
    train, val = (data.open("harbour", "harbour", split) for split in ("train", "val"))
    for opened, present in ((train, [0, 1, 2]), (val, [0, 1])):
        assert isinstance(opened, Dataset)
        for index in range(len(opened)):
            sample, again = opened[index], opened[index]
            assert check_sample(sample, opened.classes).name == opened.name(index)
            assert np.array_equal(sample.image, again.image) and np.array_equal(sample.label, again.label)
            assert np.unique(sample.label).tolist() == present
    assert (val[0].label[:20] == 1).all() and not val[0].label[20:].any()
    overlapping = workspace.folder / "harbour" / "train" / "boat" / "001.png"
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(overlapping)
    with pytest.raises(DatasetError, match=r"001\.png: 1280 pixels are in another class's mask"):
        train[0]
    for arguments in (("harbour", "harbour", "vall"), ("harbour", "harbor"), ("harbour",)):
        with pytest.raises(DatasetError):
            data.open(*arguments)


def added_model_keeps_the_contract(workspace: Workspace) -> None:
    """Every test of the contract, on the model of the page."""
    shutil.copy("hypercolumn.py", workspace.added / "models")  # into the package, as the page says
    assert "hypercolumn" in models.names()
    contract = _module(ROOT / "tests" / "models" / "test_contract.py")
    ran = 0
    for test in [item for name, item in vars(contract).items() if name.startswith("test_")]:
        values = {mark.args[0]: mark.args[1] for mark in getattr(test, "pytestmark", [])}
        if "name" not in values:
            continue
        folder = {"tmp_path": workspace.folder} if "tmp_path" in inspect.signature(test).parameters else {}
        values["name"] = ["hypercolumn"]
        for chosen in itertools.product(*values.values()):
            test(**dict(zip(values, chosen, strict=True)), **folder)
            ran += 1
    assert ran >= 10


def write_rides(workspace: Workspace) -> None:
    """Films of one's own, as docs/folder-data.md describes them."""
    write_films(workspace.folder / "rides", {"north": (2, 1), "south": (1, 1)}, (32, 32))


def run_folder_is_as_told(workspace: Workspace) -> None:
    """The page's table of files is the folder's content, but for what a run writes only sometimes."""
    rows = _table_rows("docs/resume-and-runs.md", "file")
    told = {name.strip("`/"): text for name, text in rows}
    there = {path.name for path in (workspace.folder / "runs" / "tiny").iterdir()}
    assert there == {name for name, text in told.items() if ", only " not in text}


AROUND: dict[str, tuple[Callable[[Workspace], None] | None, Callable[[Workspace], None] | None]] = {
    "docs/resume-and-runs.md": (None, run_folder_is_as_told),
    "docs/compare.md": (write_rides, None),
    "docs/add-a-model.md": (None, added_model_keeps_the_contract),
    "docs/add-a-data-set.md": (write_harbour, added_data_set_keeps_its_promises),
}


# docs/folder-data.md: each dataset.yaml against files as its page lists them.

FORMS = [block for block in blocks("docs/folder-data.md") if block.language in ("text", "yaml") and not block.marked]


@pytest.mark.parametrize(("listed", "yaml"), zip(FORMS[::2], FORMS[1::2], strict=True), ids=lambda block: block.first)
def test_every_form_of_a_folder_opens(listed: Block, yaml: Block, tmp_path: Path) -> None:
    source = tmp_path / yaml.first.removeprefix("# ")
    source.parent.mkdir()
    source.write_text(yaml.text)
    layout = Layout.load(source)
    table = layout.table(str(source))
    # The numbers that the page says are in its labels; where it says none, all that dataset.yaml knows.
    told = {int(number) for note in re.findall("#(.*)", listed.text) for number in re.findall(r"\b\d+\b", note)}
    values = sorted(told or table.values)
    meant = table.colors.values() if "# RGB" in listed.text else (table.values.get(value) for value in values)
    expected, pictures = sorted(set(meant)), 0
    for line in listed.text.splitlines():
        name, _, note = line.partition("#")
        path = tmp_path / name.strip()
        assert path.parts[len(tmp_path.parts)] == source.parent.name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind, _, rest = note.strip().replace(":", " ").partition(" ")
        pictures += not kind and (not layout.spec.files or layout.spec.stem_of(path) is not None)
        if kind == "list":
            path.write_text("\n".join(rest.replace(",", " ").split()))
        elif not kind and not layout.spec.plain:
            _write_bands(path, 1 if layout.spec.files else layout.spec.bands, layout.spec.dtype)
        else:
            _stored(kind, values, sorted(table.colors)).save(path)
    splits = list(layout.splits or ("all",))
    opened = [data.open("folder", source.parent, split) for split in splits]
    assert sum(len(one) for one in opened) == pictures
    for sample in itertools.chain(*opened):
        assert np.unique(sample.label).tolist() == expected
        assert bool(sample.domain) == bool(layout.domain_by)
    if layout.split:
        parts = {split: data.open("folder", source.parent, split) for split in ("train", "val")}
        names = {split: {part.name(index) for index in range(len(part))} for split, part in parts.items()}
        assert names["train"] and names["val"] and not names["train"] & names["val"]
        if layout.split.group_by:
            drives = [{name.partition("_")[0] for name in part} for part in names.values()]
            assert not drives[0] & drives[1]


def _write_bands(path: Path, bands: int, dtype: str) -> None:
    image_HWC = np.full((24, 32, bands), 7, dtype)
    if path.suffix == ".npy":
        np.save(path, image_HWC)
    else:
        tifffile.imwrite(path, image_HWC, photometric="minisblack", planarconfig="contig" if bands > 1 else None)


def _stored(kind: str, values: list[int], colors: list[tuple[int, int, int]]) -> Image.Image:
    """A picture (no kind), or a label as the page's note says, with all the values or colours."""
    if not kind:
        return Image.fromarray(np.zeros((24, 32, 3), np.uint8))
    if kind == "RGB":
        return Image.fromarray(np.resize(np.array(colors, np.uint8), (24, 32, 3)))
    label = Image.fromarray(np.resize(np.array(values, np.uint8), (24, 32)))
    if kind == "palette":
        label.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
        assert label.mode == "P"
    else:
        assert kind == "grey"
    return label


# Links, lists and the reference.


@pytest.mark.parametrize("page", pages())
def test_every_relative_link_leads_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name) if name else ROOT / page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            missing.append(link)
    assert missing == []


def _anchors(page: Path) -> list[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_the_reference_is_what_the_code_says() -> None:
    reference = _module(ROOT / "docs" / "reference.py")
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == reference.page(), "run make docs"


def test_the_readme_lists_exactly_the_commands() -> None:
    told = set(re.findall(r"`tarsia (\w+)", " ".join(name for name, _ in _table_rows("README.md", "command"))))
    assert told == {name for name in app if not name.startswith("-")}


def mapped() -> list[list[str]]:
    """The rooms of each row of the README's map."""
    return [re.findall(r"`([\w./]+)`", row[0]) for row in _table_rows("README.md", "where")]


def test_the_readme_s_map_names_every_room_once() -> None:
    paths = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    rooms = [f"{path.name}/" if path.is_dir() else path.name for path in paths if path.is_dir() or path.suffix == ".py"]
    assert sorted(itertools.chain(*mapped())) == sorted(rooms)


def test_a_room_imports_only_from_those_before_it_in_the_map() -> None:
    floors = {room.removesuffix(".py").strip("/"): row for row, names in enumerate(mapped()) for room in names}
    below = _module(ROOT / "tests" / "test_architecture.py").rooms()
    climbing = [(room, one) for room in below for one in below[room] if floors[one] > floors[room]]
    assert climbing == [], "move a row of the README's map, or what is imported"


# Text in which a path or module of the package may be named.
TEXTS = [path for kind in ("**/*.py", "**/*.js", "**/*.html") for path in PACKAGE.glob(kind)]
TEXTS += [ROOT / page for page in pages() if page != "CHANGELOG.md"]
TEXTS += [path for kind in ("recipes", "studies", "benchmarks") for path in (ROOT / kind).iterdir() if path.is_file()]
ELSEWHERE = {
    "helpers/labels.py",  # of cityscapesScripts
    *(
        "hypercolumn.py",
        "nets.py",
        "harbour.py",
        "mydata.py",
        "rain.py",
        "told.py",
    ),  # what the pages on adding have one write
    "run",  # a logger
    *("losses", "augmentations", "callbacks"),  # groups of entry points
}


def test_every_file_and_module_that_is_named_is_there() -> None:
    """`room/file.py`, `src/tarsia/room/`, `file.py` in a sentence of the source, `tarsia.room.file`."""
    known = {one.name for place in (PACKAGE, ROOT / "tests") for one in place.rglob("*.py")}
    missing = set()
    for path in TEXTS:
        text = path.read_text(encoding="utf-8")
        files = re.findall(r"(?<![\w/.-])(?:src/tarsia/|tarsia/)?((?:[a-z_]+/)*[a-z0-9_]+\.py)\b", text)
        places = [*files, *re.findall(r"src/tarsia/((?:[a-z_]+/)+)", text)]
        here = {
            one for one in places if one in known or any((at / one).exists() for at in (PACKAGE, path.parent, ROOT))
        }
        modules = {
            one for one in re.findall(r"(?<![\w./-])tarsia\.([a-z_]+(?:\.[a-z_]+)*)", text) if not _is_inside(one)
        }
        missing |= {(str(path), name) for name in (set(places) - here | modules) - ELSEWHERE}
    assert missing == set()


def _is_inside(name: str) -> bool:
    """Whether `room.file`, or `room.file.thing` by its module, is there."""
    module, _, _ = name.rpartition(".")
    places = [PACKAGE.joinpath(*dotted.split(".")) for dotted in (name, module) if dotted]
    return name in dir(tarsia) or any(place.is_dir() or place.with_suffix(".py").is_file() for place in places)


def test_publications_are_named_by_their_authors() -> None:
    """Not by the codes that those who wrote Tarsia had for them; the decisions of their day keep them."""
    texts = {path: path.read_text(encoding="utf-8") for path in TEXTS if path.name != "decisions.md"}
    assert len(texts) > 200 and [path for path, text in texts.items() if re.search(r"\bS[1-5]\b", text)] == []


def test_the_notices_list_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {"everything": project["dependencies"], **project["optional-dependencies"]}
    wanted = {
        (re.split(r"[<>=\[ ]", requirement)[0], need)
        for need, requirements in extras.items()
        for requirement in requirements
        if not requirement.startswith("tarsia")
    }
    assert {(row[0], row[1]) for row in _table_rows("NOTICES.md", "package")} == wanted


def test_the_overview_is_drawn_by_its_script() -> None:
    script = _module(ROOT / "docs" / "pictures.py")
    drawn = script.overview()
    with Image.open(ROOT / "docs" / "pictures" / "overview.png") as kept:
        assert drawn.size == kept.size == script.SIZE
    assert len(drawn.getcolors(1 << 20)) > 1000  # not an empty page


def _table_rows(page: str, head: str) -> list[list[str]]:
    """The cells of the table whose first heading is `head`."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {head} |"))
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def _module(path: Path) -> Any:
    """The Python file `path`, loaded under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"docs_test_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
