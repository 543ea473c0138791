"""The rules of the house that no other test would notice: who imports whom, what loads what, what the wheel holds."""

from __future__ import annotations

import ast
import functools
import importlib
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import tarsia
from small_data import write_folder
from tarsia import cli

PACKAGE = Path(tarsia.__file__).parent
CHECKOUT = PACKAGE.parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("torch", "torchvision", "timm", "cv2", "matplotlib", "jinja2", "safetensors", "tensorboard")
HEAVY += ("rasterio", "av", "openvino", "pyarrow")
COMMANDS = {path.stem for path in PACKAGE.glob("*ing.py")} | {"cli"}
WITH_TORCH = ("models/", "learning/", "training.py", "deriving.py", "exporting.py", "adapting.py")
WITH_TORCH += ("engines/torch_engine.py", "engines/weights.py")
WITH_TORCH += ("exporters/writer.py", "exporters/int8.py", "exporters/attention.py")
WITH_TORCH += ("exporters/folding.py", "exporters/resizing.py")
WITH_TORCH += tuple(
    f"adaptation/{name}.py"
    for name in (
        *("batch_statistics", "pseudo_labels", "refinement", "restyle"),
        *("style", "style_generators", "style_training"),
    )
)


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(parsed(path)))


@functools.cache
def imports(path: Path) -> list[tuple[str, bool]]:
    """Every module that a file imports, in full, and whether only for type checking."""
    tests = [(node, node.test) for node in nodes(path) if isinstance(node, ast.If)]
    switches = [node for node, test in tests if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"]
    for_types = {id(node) for switch in switches for node in ast.walk(switch)}
    found = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in for_types) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            found += [(name, id(node) in for_types) for name in names]
    return found


def python(code: str, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env=os.environ | environment,
    )


def rooms() -> dict[str, set[str]]:
    """Every room, a folder or a file beside them, and the rooms that it imports from while the program runs."""
    names = {place(path).partition("/")[0].removesuffix(".py") for path in FILES}
    found: dict[str, set[str]] = {name: set() for name in names}
    for path in FILES:
        room = place(path).partition("/")[0].removesuffix(".py")
        for module, typing_only in imports(path):
            parts = module.split(".")
            if not typing_only and parts[0] == "tarsia" and len(parts) > 1 and parts[1] in names - {room}:
                found[room].add(parts[1])
    return found


def circle(above: dict[str, set[str]]) -> list[str]:
    """The rooms that are left once those which import from none of the others are taken away, floor by floor."""
    left = dict(above)
    while ground := {room for room, below in left.items() if not below & left.keys()}:
        left = {room: below for room, below in left.items() if room not in ground}
    return sorted(left)


def test_no_rooms_import_each_other_in_a_circle() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == ["a", "b", "c", "d"]
    assert circle(rooms()) == []


def faults(check: Callable[[Path], Iterator[str]], files: Sequence[Path] = FILES) -> list[str]:
    """Where `check` finds something: one test for all files, since two thousand take half a minute to begin and end."""
    return [f"{place(path)}: {fault}" for path in files for fault in check(path)]


def test_torch_stays_on_its_side() -> None:
    def check(path: Path) -> Iterator[str]:
        for module, _ in imports(path):
            if module.split(".")[0] in ("torch", "torchvision", "timm", "safetensors"):
                yield module

    with_torch = (*WITH_TORCH, "hardware.py")  # which asks torch too, where it is, and loads it then
    assert not faults(check, [path for path in FILES if not place(path).startswith(with_torch)])


def test_parts_import_no_commands() -> None:
    def check(path: Path) -> Iterator[str]:
        for module, _ in imports(path):
            names = module.split(".")
            if names[0] == "tarsia" and len(names) > 1 and names[1] in COMMANDS:
                yield module

    assert not faults(check, [path for path in FILES if path.parent.name not in ("tarsia", "cli")])


def test_no_file_but_the_command_line_imports_it() -> None:
    users = {place(path) for path in FILES if any(module.startswith("tarsia.cli") for module, _ in imports(path))}
    assert {user for user in users if not user.startswith("cli/")} == {"__main__.py"}


def test_only_the_command_line_reads_the_environment() -> None:
    users = {
        place(path)
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb", "putenv")
    }
    by_ray_alone = {"jobs/ray_actors.py"}  # what Ray listens on can be said in no other way
    assert all(user.startswith("cli/") for user in users - by_ray_alone)


def test_no_pickles_and_no_eval() -> None:
    for path in FILES:
        for module, _ in imports(path):
            assert module.split(".")[0] not in ("pickle", "marshal", "shelve", "dill", "joblib"), place(path)
        for node in nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), f"{place(path)}:{node.lineno}"


def test_nobody_guesses_what_an_engine_can_do() -> None:
    """The protocol of engines/engine.py says it: who asks with hasattr errs once an engine gains a name."""
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr"):
                assert not ast.unparse(node.args[0]).endswith("engine"), f"{place(path)}:{node.lineno}"


def test_no_test_stops_the_clock_of_other_threads() -> None:
    """A service's event loop reads `time.monotonic` too, and then waits for hours: patch the tested file alone."""
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        for call in (node for node in _of_the_clock(path) if isinstance(node, ast.Call)):
            if ast.unparse(call.func).endswith("setattr") and call.args:
                target = ast.unparse(call.args[0]).strip("'\"")
                assert not target.endswith("time") and ".time." not in target, f"{path.name}:{call.lineno}"


def test_no_test_asks_a_clock_whether_something_was_fast() -> None:
    """On a busy machine nothing is: count the work (counting.calls), or measure it in benchmarks/."""
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        for node in _of_the_clock(path):
            asked = isinstance(node, ast.Attribute) and node.attr in _STOP_WATCHES
            assert not asked, f"{path.name}:{node.lineno}"
            if isinstance(node, ast.Assert) and path.name != "small_service.py":  # its limit is on waiting
                for compared in (one for one in ast.walk(node.test) if isinstance(one, ast.Compare)):
                    short = "monotonic" in ast.unparse(compared) and isinstance(compared.ops[0], (ast.Lt, ast.LtE))
                    assert not short, f"{path.name}:{node.lineno}"


_STOP_WATCHES = ("perf_counter", "process_time", "thread_time", "cpu_times")


def _of_the_clock(path: Path) -> Iterator[ast.AST]:
    """The nodes of a test's file that has a word of time in it."""
    text = path.read_text()
    if re.search(r"_time|time\b|perf_counter|cpu_times", text):
        yield from ast.walk(ast.parse(text))


PRINTED = [path for path in FILES if place(path) not in ("console.py", "progress_line.py")]  # the latter draws its bar


def test_all_is_printed_by_the_console() -> None:
    """So that a name is plain text wherever it is printed; of rich others take what prints nothing."""

    def check(path: Path) -> Iterator[str]:
        for module, typing_only in imports(path):
            if not typing_only and module.split(".")[0] == "rich" and module not in _SILENT:
                yield module
        for node in nodes(path):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if name in ("print", "print_json"):
                    yield f"{node.lineno}: {name}"

    assert not faults(check, PRINTED)


_SILENT = ("rich", "rich.box", "rich.cells", "rich.cells.cell_len", "rich.console", "rich.console.Group")
_COMMAND = re.compile(rf"\btarsia ({'|'.join(cli.COMMANDS)})\b")


def test_commands_and_lines_of_errors_are_made_of_parts() -> None:
    """Words that are not known here go through `plain_text.command`; an error's lines are its arguments."""

    def check(path: Path) -> Iterator[str]:
        for node in nodes(path):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                found = _COMMAND.search(text)
                if found is not None and "\0" in text[found.end() :].partition("`")[0]:
                    yield f"{node.lineno}: {found[0]}"
            is_error = isinstance(node, ast.Call) and str(getattr(node.func, "id", "")).endswith("Error")
            if is_error and any("\\n" in ast.unparse(given) for given in node.args):
                yield f"{node.lineno}: an error of several lines"

    assert not faults(check, PRINTED)


_FLAG = re.compile(r"(?<!docker run )(?<!var\()--[a-z]")  # docker's own, and a style sheet's variables


def named_flags(node: ast.AST) -> Iterator[int]:
    """The lines of a file's strings, docstrings aside, that name an option of the command line.

    Options may be words of a command: what `command` is called with (or `git`), or whole strings in a list of words.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _FLAG.search(node.value):
        yield node.lineno
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("command", "git"):
        return
    listed = isinstance(node, ast.List | ast.Tuple | ast.Dict)
    for child in ast.iter_child_nodes(node):
        text = str(child.value) if isinstance(child, ast.Constant) else ""
        if not (listed and re.fullmatch("--[a-z-]+", text)) and not (isinstance(node, ast.Expr) and text):
            yield from named_flags(child)


def test_flags_are_named_by_the_command_line_alone() -> None:
    """Others name the setting, as engine='openvin', `overwrite=True` or `tile`, which cli/_flags.py turns into it."""
    named = ["raise E('leave --style out')", "note(f'{where} ({size}, --tile)')", "X = ('say --out or', '--to FOLDER')"]
    named += ["raise E(f'--crowd {crowd}: no')", "note('go on: ' + command('x') + ' --resume')", "E('--fix')"]
    for line in named:
        assert list(named_flags(ast.parse(line))), line
    for line in ("command('check', '--fix')", "words = ['--to', to]", "def f():\n  'as of --set'", "note('a -- b')"):
        assert not list(named_flags(ast.parse(line))), line
    others = [path for path in FILES if not place(path).startswith("cli/")]
    found = [f"{place(path)}:{line}" for path in others for line in named_flags(parsed(path))]
    assert not found


LIGHT = sorted(
    "tarsia" + ("." + place(path)[: -len(".py")].replace("/", ".")).replace(".__init__", "")
    for path in FILES
    if not place(path).startswith(WITH_TORCH) and place(path) not in ("__main__.py", "demonstrating.py")
) + ["tarsia.models", "tarsia.learning"]


def test_importing_prints_and_writes_nothing_and_leaves_the_verbs_and_the_light_side_loads_nothing_heavy(
    tmp_path: Path,
) -> None:
    """A module that is once imported is an attribute of its package, whatever stood there."""
    modules = ["tarsia" + ("." + place(path)[:-3].replace("/", ".")).replace(".__init__", "") for path in FILES]
    assert {"tarsia", "tarsia.cli", "tarsia.evaluating", "tarsia.prediction.predictor", "tarsia.data.folder"} <= set(
        LIGHT
    )
    code = (
        "import importlib, sys\n"
        f"for name in {LIGHT}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
        f"for name in {[name for name in modules if name != 'tarsia.__main__']}: importlib.import_module(name)\n"
        "import tarsia\n"
        "sys.exit([name for name in tarsia.__all__ if not callable(getattr(tarsia, name))] or None)"
    )
    done = python(code, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)
    assert not list(tmp_path.iterdir())


def test_public_names() -> None:
    here = {name for name in tarsia.__all__ if getattr(tarsia, name).__module__ == "tarsia"}
    assert sorted(tarsia.__all__) == tarsia.__all__ == sorted({*tarsia._HOME, *here})
    for name in tarsia.__all__:
        found = getattr(tarsia, name)
        assert found.__name__ == name and found.__doc__, name
    with pytest.raises(AttributeError, match="nothing"):
        tarsia.nothing  # noqa: B018
    typed = {
        module.rpartition(".")[2]
        for module, typing_only in imports(PACKAGE / "__init__.py")
        if typing_only and module.count(".") > 1 and module.rpartition(".")[2] in tarsia._HOME
    }
    assert typed == set(tarsia._HOME), "what type checkers see is not what there is"


# What is private all the same; a test holds that it is still as it was, and pyproject.toml bounds the version.
PRIVATE = {"os._exit", "torch.ops.aten._softmax_backward_data", "torch.ops.mkldnn._is_mkldnn_bf16_supported"}


def private_uses(path: Path) -> Iterator[str]:
    modules = {
        alias.asname or alias.name.partition(".")[0]
        for node in nodes(path)
        if isinstance(node, ast.Import)
        for alias in node.names
        if not alias.name.startswith("tarsia")
    }
    for module, _ in imports(path):
        if not module.startswith(("tarsia", "__future__")) and "._" in f".{module}":
            yield module
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            first = node.value
            while isinstance(first, ast.Attribute):
                first = first.value
            if isinstance(first, ast.Name) and first.id in modules and ast.unparse(node) not in PRIVATE:
                yield f"{node.lineno}: {ast.unparse(node)}"


def test_nothing_private_of_another_package_is_used() -> None:
    """What a package keeps to itself changes without a word."""
    assert not faults(private_uses)


def test_every_dependency_has_a_floor() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"base": project["dependencies"], **project["optional-dependencies"]}
    for group, requirements in groups.items():
        for one in requirements:
            assert one.startswith("tarsia[") or ">=" in one or "==" in one, f"{group}: {one} has no lowest version"


def test_every_file_says_what_it_is() -> None:
    def check(path: Path) -> Iterator[str]:
        tree = parsed(path)
        if not ast.get_docstring(tree):
            yield "no docstring"
        names = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
        if place(path) != "__main__.py" and len(tree.body) > 1 and "annotations" not in names:
            yield "no annotations of __future__"
        if path.stem in ("utils", "helpers", "common", "misc"):
            yield "a name that says nothing"

    assert not faults(check)


def test_every_command_is_a_function_of_its_file() -> None:
    """`training.py` holds `train`, and so on: the verb is the file."""
    verbs = {"training": "train", "evaluating": "evaluate", "predicting": "predict", "demonstrating": "demonstrate"}
    verbs |= {
        "describing": "init",
        "checking": "check",
        "comparing": "compare",
        "converting": "convert",
        "exporting": "export",
    }
    verbs |= {"planning": "plan", "processing": "predict_job"}
    verbs |= {"sharding": "shard"}
    verbs |= {"serving": "serve", "studying": "run_study", "adapting": "adapt", "deriving": "derive"}
    assert COMMANDS - {"cli"} == verbs.keys()
    for module, verb in verbs.items():
        assert callable(getattr(importlib.import_module(f"tarsia.{module}"), verb))


# ---- without the extras

BARE = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from tarsia.cli import main
sys.argv[0] = "tarsia"
main()
""".format(heavy=(*HEAVY, "huggingface_hub", "onnx", "onnxscript"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("bare") / "data", 2, 2, (32, 32))


@pytest.fixture(scope="module")
def model(data: Path) -> Path:
    """A model file's header; nothing here reads further."""
    from safetensors.numpy import save_file

    from tarsia.card import CARD_KEY, Card, Classes

    card = Card(
        architecture="unet", model={}, classes=Classes(names=("ground", "box"), colors=((0, 0, 0), (255, 0, 0)))
    )
    path = data.parent / "model.safetensors"
    save_file({}, path, metadata={CARD_KEY: card.to_json()})
    return path


def test_bare_help(tmp_path: Path) -> None:
    done = python(BARE, "--help", cwd=tmp_path)
    assert done.returncode == 0 and "evaluate" in done.stdout and not done.stderr


def test_bare_catalogue_and_card(model: Path, tmp_path: Path) -> None:
    assert "streets" in python(BARE, "datasets", cwd=tmp_path).stdout
    assert "torch" in python(BARE, "info", cwd=tmp_path).stdout
    assert "segformer" in python(BARE, "models", cwd=tmp_path).stdout
    done = python(BARE, "info", str(model), cwd=tmp_path)
    assert done.returncode == 0 and "architecture: unet" in done.stdout, done.stderr


def test_bare_scoring_of_predictions(data: Path, tmp_path: Path) -> None:
    """All but what only matplotlib and jinja2 can draw, which is said."""
    out = tmp_path / "scores"
    done = python(
        BARE, "evaluate", "--predictions", str(data / "val/labels"), "--data", f"folder:{data}", "--out", str(out)
    )
    assert done.returncode == 0 and "mIoU 1.0000" in done.stdout, done.stderr
    assert {"report.json", "counts.npz", "pictures"} == {path.name for path in out.iterdir()}
    assert done.stderr.count("extra `report`") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "recipe.yaml"),
        ("train", "--resume", "run"),
        ("demo",),
        ("models", "--weights"),
        ("predict", "MODEL", "x.png"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_bare_training_names_the_extra(arguments: tuple[str, ...], model: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("data: {name: streets}\nmodel: {name: unet}\n")
    done = python(BARE, *(str(model) if word == "MODEL" else word for word in arguments), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("tarsia: ") == 1 and "extra `train`" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_bare_exported_model(tmp_path: Path) -> None:
    """An .onnx file says what it is, predicts and is scored without torch, OpenCV and onnx."""
    from small_onnx import CLASSES, content

    write_folder(tmp_path / "data", 2, 2, (33, 45), CLASSES.names)
    file = tmp_path / "model.onnx"
    file.write_bytes(content())
    done = python(BARE, "info", str(file), cwd=tmp_path)
    assert done.returncode == 0 and "architecture: small" in done.stdout, done.stderr
    done = python(BARE, "predict", str(file), str(tmp_path / "data/val/images"), "--out", "seen", cwd=tmp_path)
    assert done.returncode == 0 and "2 done, 0 failed" in done.stdout, done.stderr
    done = python(BARE, "evaluate", str(file), "--data", "folder:data", "--out", "scores", "--json", cwd=tmp_path)
    assert done.returncode == 0 and '"engine": "onnxruntime' in done.stdout, done.stderr
    done = python(BARE, "export", str(file), "--check-on", "folder:data", cwd=tmp_path)
    assert done.returncode == 2 and "extra `train`" in done.stderr


def test_bare_python_names_the_extra() -> None:
    code = BARE.replace("from tarsia.cli import main", "import tarsia").replace("main()", "tarsia.train('r.yaml')")
    done = python(code)
    assert "MissingExtraError" in done.stderr and "extra `train`" in done.stderr


# ---- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), str(CHECKOUT)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    if done.returncode and "hatchling" in done.stderr and "No matching distribution" in done.stderr:
        pytest.skip("hatchling, which builds the wheel, is neither installed nor to be had from the index")
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("tarsia-*.whl")
    return found


RECIPES = {
    path.relative_to(CHECKOUT).as_posix()
    for kind in ("recipes", "studies")
    for path in (CHECKOUT / kind).rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}


def test_the_wheel_holds_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("tarsia/")}
        licences = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    wanted = {
        f"tarsia/{place(path)}" for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == wanted | {f"tarsia/shipped/{name}" for name in RECIPES}
    assert {"tarsia/evaluation/page.html", "tarsia/models/unet.py", "tarsia/data/streets.py"} <= inside
    assert licences


def test_the_source_archive_holds_what_a_checkout_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "build", "--sdist", "--outdir", str(tmp_path), str(CHECKOUT)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    if done.returncode and "hatchling" in done.stdout + done.stderr:
        pytest.skip("hatchling, which builds the archive, is neither installed nor to be had from the index")
    assert done.returncode == 0, done.stderr
    (found,) = tmp_path.glob("tarsia-*.tar.gz")
    with tarfile.open(found) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert RECIPES | {"src/tarsia/__init__.py", "pyproject.toml", "constraints.txt", "LICENSE", "README.md"} <= inside
    assert not [name for name in inside if "__pycache__" in name or name.startswith((".venv", "runs"))]


IN_TURN = """
import ast, sys
import tarsia
assert tarsia.__file__.startswith(sys.argv[1]), tarsia.__file__
print(tarsia.__all__)
from tarsia.cli import main
for arguments in ast.literal_eval(sys.argv[2]):
    sys.argv = ["tarsia", *arguments]
    try:
        main()
    except SystemExit as stop:
        print("ended with", stop.code or 0, flush=True)
"""


def test_the_wheel_works_where_it_is_installed(wheel: Path, data: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*command, "--target", str(target), str(wheel)], check=True, capture_output=True, timeout=240)
    # Several commands of one process: each of its own would load torch anew, and what is tried here are their files.
    scored = ("evaluate", "--predictions", str(data / "val/labels"), "--data", f"folder:{data}", "--out", "scores")
    trained = ("train", "recipes/camvid-fast.yaml", "--set", "data.root=nowhere")
    commands = (scored, trained, ("compare", "--study", "studies/msanet.yaml", "--dry-run"))
    done = python(IN_TURN, str(target), repr(commands), cwd=tmp_path, PYTHONPATH=str(target))
    codes = re.findall(r"^ended with (.*)$", done.stdout, re.MULTILINE)
    assert codes == ["0", "2", "0"] and "nowhere" in done.stderr, done.stderr
    assert "'train'" in done.stdout and "msanet-seed0" in done.stdout and "18 of 18 to do" in done.stdout
    assert (tmp_path / "scores" / "report.html").stat().st_size > 10_000
