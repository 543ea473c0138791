"""YAML on disk -> a typed tree; every fault at once, each with its line and the nearest known name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from inlay.errors import RecipeError, nearest
from inlay.files import write_text

Tree = TypeVar("Tree", bound=BaseModel)
Location = tuple[str | int, ...]
Fault = tuple[Location, str]  # where in the tree, what is wrong

_MAX_BYTES = 1_000_000
_PLAIN = {
    "missing": "is missing",
    "extra_forbidden": "unknown key",
}


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
            raise RecipeError("\n".join(lines))
        return result

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
                raise RecipeError(f"{self.source}: YAML aliases (*name) are not allowed: write the value out")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            tree = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            raise RecipeError(f"{self.source}{line}: not valid YAML: {getattr(error, 'problem', error)}") from error
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"{self.source}: not valid YAML: {error}") from error
        if tree is None:
            tree = {}
        if not isinstance(tree, dict):
            raise RecipeError(f"{self.source}: expected keys and values, found {type(tree).__name__}")
        if node is not None:
            self._note_lines(node, ())
        return tree

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
        keys = tuple(name.strip().split("."))
        if not equals or not all(keys):
            raise RecipeError(f"--set {override}: expected key.key=value, as in --set train.epochs=5")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {override}: the value is not valid YAML") from error
        place = self.tree
        for key in keys[:-1]:
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        place[keys[-1]] = value
        for depth in range(1, len(keys) + 1):
            if depth == len(keys) or keys[:depth] not in self.lines:
                self.lines[keys[:depth]] = f"--set {override}"

    def _where(self, where: Location) -> str:
        for length in range(len(where), -1, -1):
            if where[:length] in self.lines:
                path = ".".join(str(part) for part in where)
                return f"{self.lines[where[:length]]}: {path}" if path else self.lines[where[:length]]
        return self.source


def faults_of(error: ValidationError, schema: type[BaseModel], prefix: Location = ()) -> list[Fault]:
    """Pydantic's errors as faults in our words."""
    faults: list[Fault] = []
    for item in error.errors(include_url=False):
        where = tuple(part for part in item["loc"] if not _is_tag(part))
        if item["type"] == "extra_forbidden":
            what = "unknown key" + nearest(str(where[-1]), _fields_at(schema, where[:-1]))
        elif item["type"] == "missing":
            what = "is missing"
        else:
            what = f"{item['msg'].removeprefix('Value error, ')}, got {_short(item['input'])}"
        faults.append(((*prefix, *where), what))
    return faults


def dump(path: Path, tree: BaseModel, header: str = "") -> None:
    """Write a typed tree as YAML, atomically."""
    text = yaml.safe_dump(tree.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)
    write_text(path, "".join(f"# {line}\n" for line in header.splitlines()) + text)


def _fields_at(schema: type[BaseModel], where: Location) -> list[str]:
    found: Any = schema
    for part in where:
        if isinstance(part, int):
            continue
        field = found.model_fields.get(part) if isinstance(found, type) and issubclass(found, BaseModel) else None
        found = _model_within(field.annotation) if field else None
        if found is None:
            return []
    return list(found.model_fields)


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = _model_within(part)
        if found:
            return found
    return None


def _is_tag(part: str | int) -> bool:
    """Pydantic names the branch of a union within the location; a person did not write it."""
    return isinstance(part, str) and (part.startswith(("tuple[", "list[", "function-", "constrained-")))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
