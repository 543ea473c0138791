"""YAML on disk -> a typed tree; every fault at once, each with its line and the nearest known name.

PyYAML's values have lost their lines, and pydantic's errors never had any: this joins the two.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from tarsia.errors import RecipeError
from tarsia.files import write_text
from tarsia.yaml_faults import Fault, Location, faults_of, short

Tree = TypeVar("Tree", bound=BaseModel)

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 50
_COMMENT = "  # "
_FLOAT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")  # 1e-3, which YAML 1.1 calls text for want of a dot


class Node(BaseModel):
    """The base of everything that is read from YAML: frozen, and a truth value is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        inner = value if isinstance(value, list | tuple) else (value,)
        if cls.model_fields[str(info.field_name)].annotation is not bool and any(isinstance(v, bool) for v in inner):
            raise ValueError("YAML reads true, false, yes, no, on, off as truth values: quote a name, write a number")
        return value


class _Loader(yaml.SafeLoader):
    """Keys are the text that stands there, whatever YAML would make of them (`no`, `1`)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key.start_mark)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}

    def construct_scalar(self, node: Any) -> Any:
        value: Any = super().construct_scalar(node)
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise yaml.constructor.ConstructorError(None, None, "half of a surrogate pair is no text", node.start_mark)
        return value

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError, TypeError) as error:  # a date 2020-13-45, !!int words
            what = f"{short(node.value)} is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from error


class _Dumper(yaml.SafeDumper):
    """Writes text that looks like a number to `_Loader` in quotes."""


class _Flow(_Dumper):
    """Writes lists in one line."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        return super().represent_sequence(tag, sequence, flow_style=True)


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789"))


class Document:
    """A parsed YAML mapping that remembers the line of each of its keys."""

    def __init__(self, source: str, text: str, overrides: Sequence[str] = ()) -> None:
        self.source = source
        self.lines: dict[Location, str] = {(): source}
        self.faults: list[Fault] = []
        self.tree = self._parse(text)
        for override in overrides:
            self._override(override)

    @classmethod
    def read(cls, path: str | Path, overrides: Sequence[str] = ()) -> Document:
        """The document at `path`; RecipeError where it is absent, too large or no YAML mapping."""
        path = Path(path)
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise RecipeError(f"{path}: larger than {_MAX_BYTES} bytes, not a recipe")
            return cls(str(path), path.read_text(encoding="utf-8"), overrides)
        except OSError as error:
            raise RecipeError(f"{path}: cannot be read ({error.strerror or error})") from error
        except UnicodeDecodeError as error:
            raise RecipeError(f"{path}: not UTF-8 text, expected YAML") from error

    @classmethod
    def of(cls, tree: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> Document:
        """Keys and values of a program, which are of no file; RecipeError for what YAML has no word for."""
        document = cls(source, _plain(source, tree), overrides)
        given = [where for where, line in document.lines.items() if where and line.startswith(f"{source}:")]
        for where in given:
            del document.lines[where]
        return document

    def validate(self, schema: type[Tree], extra_faults: Iterable[Fault] = ()) -> Tree:
        """The typed tree, or a RecipeError that lists every fault."""
        faults = [*self.faults, *extra_faults]
        result = None
        try:
            result = schema.model_validate(self.tree)
        except ValidationError as error:
            faults += faults_of(error, schema)
        if faults or result is None:
            lines = dict.fromkeys(f"{self._where(where)}: {what}" for where, what in faults)
            raise RecipeError(*sorted(lines, key=self._line_number))
        return result

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            self._refuse_aliases_and_depth(text)
            node = yaml.compose(text, Loader=_Loader)
            tree = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            raise RecipeError(f"{self.source}{line}: not valid YAML: {getattr(error, 'problem', error)}") from error
        if tree is None:
            tree = {}
        if not isinstance(tree, dict):
            raise RecipeError(f"{self.source}: expected keys and values, found {type(tree).__name__}")
        if node is not None:
            self._note_lines(node, ())
        return tree

    def _refuse_aliases_and_depth(self, text: str) -> None:
        """RecipeError for aliases, and before a hostile depth costs time: PyYAML's grows with its square."""
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            where = f"{self.source}:{event.start_mark.line + 1}" if event.start_mark else self.source
            if isinstance(event, yaml.AliasEvent):
                raise RecipeError(f"{where}: YAML aliases (*name) are not allowed: write the value out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise RecipeError(f"{where}: nested more than {_MAX_DEPTH} deep, not a recipe")

    def _note_lines(self, node: yaml.Node, where: Location) -> None:
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                below = (*where, str(key.value))
                if str(key.value) in seen:
                    self.faults.append((below, f"key given twice (again in line {key.start_mark.line + 1})"))
                seen.add(str(key.value))
                self.lines[below] = f"{self.source}:{key.start_mark.line + 1}"
                self._note_lines(value, below)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self.lines[(*where, index)] = f"{self.source}:{value.start_mark.line + 1}"
                self._note_lines(value, (*where, index))

    def _override(self, override: str) -> None:
        name, equals, text = override.partition("=")
        keys, given = tuple(name.strip().split(".")), as_override(override)
        if not equals or not all(keys):
            raise RecipeError(f"{given}: expected key.key=value, as in {as_override('train.epochs=5')}")
        try:
            value = yaml.load(text, Loader=_Loader)
        except (yaml.YAMLError, RecursionError) as error:
            raise RecipeError(f"{given}: the value is not valid YAML") from error
        place = self.tree
        for depth, key in enumerate(keys[:-1], 1):
            if place.get(key) is None:
                place[key] = {}
            place = place[key]
            if not isinstance(place, dict):
                raise RecipeError(f"{given}: {'.'.join(keys[:depth])} is {short(place)}, it has no keys")
        before, place[keys[-1]] = place.get(keys[-1]), value
        if isinstance(before, dict | list):
            for below in [line for line in self.lines if line[: len(keys)] == keys]:
                del self.lines[below]
        for depth in range(1, len(keys) + 1):
            if depth == len(keys) or keys[:depth] not in self.lines:
                self.lines[keys[:depth]] = given

    def _where(self, where: Location) -> str:
        for length in range(len(where), -1, -1):
            if where[:length] in self.lines:
                path = ".".join(str(part) for part in where)
                return f"{self.lines[where[:length]]}: {path}" if path else self.lines[where[:length]]
        return self.source

    def _line_number(self, fault: str) -> int:
        number = fault.removeprefix(f"{self.source}:").partition(":")[0]
        return int(number) if number.isdigit() else 0


def as_overrides(settings: Mapping[str, Any]) -> list[str]:
    """Settings by `key.key` as `key.key=value`; RecipeError for values that YAML has no word for."""
    return [f"{key}={_plain(str(key), value)}" for key, value in settings.items()]


def _plain(where: str, value: Any) -> str:
    """Plain values as JSON, which is YAML too; paths as text, numbers of NumPy as Python's."""

    def plain(one: Any) -> Any:
        if isinstance(one, os.PathLike):
            return os.fspath(one)
        if callable(getattr(one, "item", None)) and not getattr(one, "shape", ()):
            return one.item()
        raise TypeError(f"{short(one)} is a {type(one).__name__}")

    try:
        return json.dumps(value, default=plain, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(f"{where}: {error}: expected keys, texts, numbers, truth values and lists") from error


def dump(path: Path, tree: BaseModel, header: str = "", reasons: Mapping[str, str] | None = None) -> None:
    """Write a typed tree as YAML, atomically; `reasons`, by `key.key`, stand as comments on their lines."""
    write_text(path, written(tree.model_dump(mode="json"), header, reasons))


def written(tree: Mapping[str, Any], header: str = "", reasons: Mapping[str, str] | None = None) -> str:
    """Plain values as YAML, with `reasons` as comments; a list of numbers or words stands in one line then."""
    form: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 10**9 if reasons else 110}
    text = yaml.dump(dict(tree), Dumper=_Flow if reasons else _Dumper, **form)
    lines = text.splitlines()
    places = {".".join(map(str, where)): place for where, place in Document("", text).lines.items() if where}
    for key, why in (reasons or {}).items():
        if key in places:
            lines[int(places[key].rpartition(":")[2]) - 1] += f"{_COMMENT}{' '.join(why.split())}"
    return "".join(f"{line}\n" for line in [*(f"# {line}" for line in header.splitlines()), *lines])


def comments(source: Path | str) -> dict[str, str]:
    """`key.key` -> what stands as a comment at the end of its line, as `written` puts it; {} where there are none.

    Of a file, or of the text of one.
    """
    document = Document("", source) if isinstance(source, str) else Document.read(source)
    lines = (source if isinstance(source, str) else source.read_text(encoding="utf-8")).splitlines()
    found = {}
    for where, place in document.lines.items():
        line = lines[int(place.rpartition(":")[2]) - 1] if where and isinstance(where[-1], str) else ""
        if _COMMENT in line:
            found[".".join(map(str, where))] = line.partition(_COMMENT)[2]
    return found


def as_override(*settings: str) -> str:
    """How a message names settings `key.key=value` of a recipe."""
    return f"overrides={list(settings)!r}"


def setting(key: str, value: str) -> str:
    """`key=value` as --set takes it: in quotes where YAML would read something else than this text."""
    try:
        same = yaml.load(value, Loader=_Loader) == value
    except (yaml.YAMLError, RecursionError):
        same = False
    return f"{key}={value if same else _in_quotes(value)}"


def in_braces(text: str) -> str:
    """A text as YAML takes it between braces, in quotes where it needs them; printed, it stays what it is."""
    found = yaml.dump([text], Dumper=_Dumper, default_flow_style=True, width=10**9, allow_unicode=True).strip()[1:-1]
    return found if found.isprintable() else _in_quotes(text, escape=True)


def _in_quotes(text: str, escape: bool = False) -> str:
    return yaml.dump(text, Dumper=_Dumper, default_style='"', width=10**9, allow_unicode=not escape).strip()
