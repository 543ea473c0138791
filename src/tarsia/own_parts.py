"""Parts that a user brings: a name that says where code is -> what is found there.  The one place that runs such code.

    ./hypercolumn.py          what the file holds: `Model`, `Data`, or the only class that fits
    ./nets.py:Small           a class or function of it
    package.module:Class      of an installed package
    hypercolumn               an entry point of an installed package, in the group of its kind: tarsia.models,
                              tarsia.data, tarsia.losses, tarsia.augmentations, tarsia.callbacks

Code runs where a person names it: in a recipe, as a data set, as `code`.  A model file names code too, for a person to
read; what comes from a card goes to `titled`, which finds only what a person has named in this process.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.abc
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from tarsia.errors import RecipeError, nearest
from tarsia.plain_text import first_line, some

_FILE = re.compile(r"(?P<file>.*\.py)(?::(?P<object>\w+))?")
_MODULE = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<object>[A-Za-z_]\w*)")


class Kind(NamedTuple):
    """What is looked for: `usual` is the name that it has where none is said, `fits` what may stand there else."""

    what: str  # in an error
    usual: str
    fits: Callable[[Any], bool]
    group: str  # of entry points
    classes_first: bool = True  # where none is said a function stands back: it may be a helper


class Part(NamedTuple):
    """What was found.  `name` asks for it again, without the folder; `sha256` is of the source it was read from.

    `package`: name and version, of an entry point.
    """

    name: str
    title: str  # what it is called, which no file or module can be
    sha256: str
    found: Any
    package: str = ""


_NAMED: dict[str, Part] = {}  # by what a person wrote, of an entry point with its group
_TITLED: dict[str, Part] = {}  # by title, and by title and sha256; the newest
_STAND_INS: dict[str, Part] = {}  # by what a card calls it
_READ: dict[tuple[str, str], ModuleType] = {}  # by file and sha256


def is_own(name: str) -> bool:
    """Whether a name says where code is."""
    return bool(_FILE.fullmatch(name) or _MODULE.fullmatch(name))


def is_known(name: str, group: str) -> bool:
    """Whether a name says where code is, or an installed package brings it as that in the group."""
    return is_own(name) or name in installed(group)


def accept(name: str, kind: Kind) -> Part:
    """Run the code that a person named -> the part; RecipeError where there is none, or it fails.

    A file is read anew where it has changed.  To have installed a package is to have named its entry points.
    """
    if file := _FILE.fullmatch(name):
        module, source = _read(file["file"])
        where = Path(file["file"]).name
    elif found := _MODULE.fullmatch(name):
        module, source, file = _imported(found["module"]), b"", found
        where = found["module"]
    elif point := (known := installed(kind.group)).get(name):
        return accept_installed(point, kind)
    else:
        raise RecipeError(
            f"{name}: expected FILE.py, FILE.py:NAME or package.module:NAME, or a name that an installed package "
            f"brings as entry point of {kind.group}{nearest(name, known)}"
        )
    chosen = _chosen(module, file["object"], kind, name)
    return _kept(name, f"{where}:{chosen}", f"{chosen} of {where}", source, getattr(module, chosen))


def in_full(name: str, part: Part) -> str:
    """`./mydata.py` with what was found there, `./mydata.py:Data`: what comes after is no part of the name."""
    file = _FILE.fullmatch(name)
    return f"{name}:{part.name.rpartition(':')[2]}" if file and not file["object"] else name


def stem(name: str) -> str:
    """A word for a folder's name: `mydata` of `./mydata.py:Data`; other names are as they are."""
    file = _FILE.fullmatch(name)
    return Path(file["file"]).stem if file else name.rpartition(":")[2]


def installed(group: str) -> dict[str, metadata.EntryPoint]:
    """The entry points of installed packages in a group, by name.

    All packages are looked through once, and again where something was installed since.
    """
    return _installed(group, tuple((path, _changed(path)) for path in sys.path))


@functools.lru_cache(maxsize=16)
def _installed(group: str, _: tuple[tuple[str, float], ...]) -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=group)}


def _changed(path: str) -> float:
    try:
        return os.stat(path or ".").st_mtime
    except OSError:
        return 0.0


def accept_installed(point: metadata.EntryPoint, kind: Kind | None = None) -> Part:
    """What an installed package offers; RecipeError where it fails, or is nothing of the `kind`.

    A network, whose kind is known where torch is, goes without: its title is what cards call it.
    """
    try:
        found = point.load()
    except Exception as error:
        raise RecipeError(f"{point.name}: {point.value} of an installed package fails ({_reason(error)})") from error
    package = f"{point.dist.name} {point.dist.version}" if point.dist else ""
    if kind is None:
        return _kept(_key(point.name, point.group), point.name, point.name, b"", found, package)
    if isinstance(found, ModuleType):
        found = getattr(found, kind.usual, None)
    if not kind.fits(found):
        raise RecipeError(f"{point.name}: {point.value} of an installed package is no {kind.what}")
    key = _key(point.name, point.group)
    return _kept(key, point.name, key, b"", found, package)


def accepted(name: str, group: str = "") -> Part | None:
    """What a person has named so in this process: where code is, or an entry point of the group."""
    return _NAMED.get(_key(name, group))


def titled(title: str, sha256: str = "") -> Part | None:
    """What a card means: of what a person has named in this process that of this source, else the newest so called."""
    return _STAND_INS.get(title) or _TITLED.get(f"{title} {sha256}") or _TITLED.get(title)


def sources(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Of those of the names, each with its group, that are code of the user's own: the sha256 of the source.

    An entry point is `NAME (GROUP)` there.
    """
    return {_key(*one): part.sha256 for one in names if (part := accepted(*one))}


def packages(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Of those of the names that are entry points, as `sources` has them: their package and its version."""
    return {_key(*one): part.package for one in names if (part := accepted(*one)) and part.package}


def stand_in(title: str, part: Part) -> None:
    """Let `part` be what a card means by `title`: a person has said so."""
    _STAND_INS[title] = part


def _key(name: str, group: str) -> str:
    """Two groups may have an entry point of the same name."""
    return name if is_own(name) or not group else f"{name} ({group})"


def _kept(given: str, name: str, title: str, source: bytes, found: Any, package: str = "") -> Part:
    if not source:
        module = found if isinstance(found, ModuleType) else sys.modules.get(getattr(found, "__module__", ""))
        file = getattr(module, "__file__", None)
        source = Path(file).read_bytes() if file else b""
    part = Part(name, title, hashlib.sha256(source).hexdigest(), found, package)
    _NAMED[given] = _TITLED[title] = _TITLED[f"{title} {part.sha256}"] = part
    _STAND_INS.pop(title, None)
    return part


class _Source(importlib.abc.SourceLoader):
    """Runs these very bytes, whatever bytecode of the file lies about."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source = path, source

    def get_filename(self, fullname: str) -> str:
        return self.path

    def get_data(self, path: str | bytes) -> bytes:
        return self.source


def _read(file: str) -> tuple[ModuleType, bytes]:
    path = Path(file).expanduser()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"{file}: cannot be read ({error.strerror or error}), expected a file of Python") from error
    place, digest = str(path.resolve()), hashlib.sha256(source).hexdigest()
    if (place, digest) not in _READ:
        stem = re.sub(r"\W", "_", path.stem)
        name = f"tarsia_own_{stem}_{hashlib.sha256(place.encode() + source).hexdigest()[:12]}"
        spec = importlib.util.spec_from_loader(name, _Source(place, source), origin=place)
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # pickles and annotations look there
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise RecipeError(f"{file}{_line(error, place)}: fails as it is read: {_reason(error)}") from error
        _READ[place, digest] = module
    return _READ[place, digest], source


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise RecipeError(f"no module {name} is installed: install its package, or name its file, ./FILE.py") from (
                error
            )
        raise RecipeError(f"{name}: fails as it is imported: {_reason(error)}") from error
    except Exception as error:
        raise RecipeError(f"{name}: fails as it is imported: {_reason(error)}") from error


def _chosen(module: ModuleType, said: str | None, kind: Kind, name: str) -> str:
    """The name in `module` of what is meant."""
    here = [key for key, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__]
    fitting = [key for key in here if not key.startswith("_") and kind.fits(getattr(module, key))]
    if said is None:
        if hasattr(module, kind.usual) and kind.fits(getattr(module, kind.usual)):
            return kind.usual
        if kind.classes_first:
            fitting = [key for key in fitting if isinstance(getattr(module, key), type)] or fitting
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise RecipeError(f"{name}: {some(fitting, 8)} are there: say which {kind.what} is meant, {name}:NAME")
        raise RecipeError(f"{name}: no {kind.what} is there, expected one (class or function), as {kind.usual}")
    if not hasattr(module, said):
        raise RecipeError(f"{name}: no {said} is there{nearest(said, fitting)}")
    if not kind.fits(getattr(module, said)):
        raise RecipeError(f"{name}: {said} is no {kind.what}")
    return said


def _line(error: Exception, place: str) -> str:
    """`:7`, the line of the file that an error is of."""
    if isinstance(error, SyntaxError) and error.filename == place:
        return f":{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == place]
    return f":{lines[-1]}" if lines else ""


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
