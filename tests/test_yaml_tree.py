"""YAML with lines: every fault at once, and no document that ends in anything but a tree or a RecipeError."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from counting import calls
from tarsia import yaml_tree
from tarsia.errors import TOLD, RecipeError
from tarsia.recipe import Recipe
from tarsia.yaml_tree import Document, Node, dump, setting


class Leaf(Node):
    rate: float = 1.0
    count: int = Field(1, ge=1)
    size: tuple[int, int] | None = None
    kind: Literal["a", "b"] | tuple[float, ...] = "a"
    on: bool = False
    name: str = "x"


class Tree(Node):
    leaf: Leaf = Leaf()
    leaves: tuple[Leaf, ...] = ()
    needed: int


def read(text: str, overrides=()) -> Tree:
    return Document("a.yaml", text, overrides).validate(Tree)


def faults(text: str, overrides=()) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(text, overrides)
    return str(caught.value).splitlines()


def test_values_come_in_their_types():
    found = read("needed: 3\nleaf: {rate: 1e-3, size: [4, 5], on: yes, kind: [1, 2.5]}\nleaves:\n- {count: 2}\n")
    assert found.leaf.rate == 0.001 and found.leaf.size == (4, 5) and found.leaf.on is True
    assert found.leaf.kind == (1.0, 2.5) and found.leaves[0].count == 2 and found.needed == 3


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", "0.001", "+1e-03", ".001"])
def test_every_way_to_write_a_small_number_is_one(text):
    assert read(f"needed: 1\nleaf: {{rate: {text}}}").leaf.rate == 0.001
    assert read("needed: 1", [f"leaf.rate={text}"]).leaf.rate == 0.001


def test_every_fault_is_named_at_once_in_the_order_of_lines():
    assert faults(
        "\n".join(
            [
                "leaf:",
                "  rat: 2",
                "  count: 0",
                "  size: [1, x]",
                "  kind: c",
                "  on: maybe",
                "leaves:",
                "- rate: fast",
                "- 7",
                "zzz: 1",
            ]
        )
    ) == [
        "a.yaml: needed: is missing",
        "a.yaml:2: leaf.rat: unknown key, did you mean rate?",
        "a.yaml:3: leaf.count: Input should be greater than or equal to 1, got 0",
        "a.yaml:4: leaf.size.1: Input should be a valid integer, unable to parse string as an integer, got 'x'",
        "a.yaml:5: leaf.kind: Input should be 'a' or 'b'; or: Input should be a valid tuple, got 'c'",
        "a.yaml:6: leaf.on: Input should be a valid boolean, unable to interpret input, got 'maybe'",
        "a.yaml:8: leaves.0.rate: Input should be a valid number, unable to parse string as a number, got 'fast'",
        "a.yaml:9: leaves.1: expected keys and values below it, got 7",
        "a.yaml:10: zzz: unknown key; known: leaf, leaves, needed",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("needed: 1\nleaf:\n  count: 1\n  count: 2\n", "a.yaml:4: leaf.count: key given twice (again in line 4)"),
        ("needed: 1\nneeded: 1\n", "a.yaml:2: needed: key given twice (again in line 2)"),
        ("needed: &x 1\nleaf: {count: *x}\n", "a.yaml:2: YAML aliases (*name) are not allowed: write the value out"),
        ("needed: 1\nleaf: {<<: {count: 3}}\n", "a.yaml:2: leaf.<<: unknown key; known: count, kind,"),
        ("needed: 1\nn[e]: 2\n", "a.yaml:2: n[e]: unknown key; known: leaf,"),
        ("needed: 1\nint: 2\n", "a.yaml:2: int: unknown key; known:"),
        ("- 1\n", "a.yaml: expected keys and values, found list"),
        ("word", "a.yaml: expected keys and values, found str"),
        ("", "a.yaml: needed: is missing"),
        ("# only a comment\n", "a.yaml: needed: is missing"),
        ("needed: 1\nno: 2\n", "a.yaml:2: no: unknown key; known: leaf, leaves, needed"),
        ("needed: 1\n3: 2\n", "a.yaml:2: 3: unknown key; known: leaf, leaves, needed"),
        ("needed: 1\n? [a, b]\n: 2\n", "a.yaml:2: not valid YAML: a key must be a word"),
        ("needed: [1\n", "a.yaml:2: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("needed: 1\n---\nneeded: 2\n", "a.yaml:2: not valid YAML: but found another document"),
        ("needed: 1\nleaf: {name: 2020-13-45}\n", "a.yaml:2: not valid YAML: '2020-13-45' is no timestamp"),
        ("needed: !!int ''\n", "a.yaml:1: not valid YAML: '' is no int"),
        ("needed: !!bool x\n", "a.yaml:1: not valid YAML: 'x' is no bool"),
        ("a: 1\nb: " + "[" * 500_000, "a.yaml:2: nested more than 50 deep, not a recipe"),
        ("needed: true\n", "a.yaml:1: needed: YAML reads true"),
        ("needed: 1\nleaf: {size: [1, no]}\n", "a.yaml:2: leaf.size: YAML reads true"),
        ("needed: 1\nleaf: {name: no}\n", "a.yaml:2: leaf.name: YAML reads true"),
        ("needed: 1\nleaf: {rate: .nan}\n", "a.yaml:2: leaf.rate: Input should be a finite number, got nan"),
        ("needed: 1\nleaf:\n", "a.yaml:2: leaf: expected keys and values below it, got None"),
    ],
)  # fmt: skip
def test_each_of_these_is_one_clear_line(text, expected):
    assert faults(text)[0].startswith(expected)


def test_a_truth_value_says_what_yaml_did():
    assert faults("needed: 1\nleaf: {name: no}\n") == [
        "a.yaml:2: leaf.name: YAML reads true, false, yes, no, on, off as truth values: quote a name, write a number, "
        "got False"
    ]


def test_a_tag_that_runs_code_is_refused():
    assert "could not determine a constructor" in faults("needed: !!python/object/apply:os.getcwd []\n")[0]


def test_a_character_that_yaml_forbids_is_refused():
    assert faults("needed: \x00\n")[0].startswith("a.yaml: not valid YAML: ")


# Files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\n" * 250_000, "larger than 1000000 bytes, not a recipe"),
        (b"\xff\xfe\x00\x01", "not UTF-8 text, expected YAML"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8 text, expected YAML"),
    ],
)
def test_a_file_that_is_no_yaml(tmp_path, content, message):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=rf"a\.yaml: {message}"):
        Document.read(tmp_path / "a.yaml")


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.yaml", tmp_path / "a" / "b.yaml"):
        with pytest.raises(RecipeError, match="cannot be read"):
            Document.read(path)


# Overrides


def test_overrides_replace_and_add():
    found = read("needed: 1\nleaf: {count: 2}\n", ["leaf.count=5", "needed = 7", "leaf.size=[8, 9]", "leaf.name=a=b"])
    assert found.leaf.count == 5 and found.needed == 7 and found.leaf.size == (8, 9) and found.leaf.name == "a=b"
    assert read("needed: 1\nleaf:\n", ["leaf.count=5"]).leaf.count == 5  # an empty section is as good as none
    assert read("needed: 1\nleaf: {size: [1, 2]}\n", ["leaf.size=null"]).leaf.size is None


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("leaf.count=0", "overrides=['leaf.count=0']: leaf.count: Input should be greater than or equal to 1, got 0"),
        ("leaf.cuont=1", "overrides=['leaf.cuont=1']: leaf.cuont: unknown key, did you mean count?"),
        ("leaf={cuont: 1}", "overrides=['leaf={cuont: 1}']: leaf.cuont: unknown key, did you mean count?"),
        ("laef.count=1", "overrides=['laef.count=1']: laef: unknown key, did you mean leaf?"),
        ("needed", "overrides=['needed']: expected key.key=value, as in overrides=['train.epochs=5']"),
        ("=3", "overrides=['=3']: expected key.key=value, as in overrides=['train.epochs=5']"),
        ("leaf..count=3", "overrides=['leaf..count=3']: expected key.key=value, as in overrides=['train.epochs=5']"),
        ("leaf.size=[1", "overrides=['leaf.size=[1']: the value is not valid YAML"),
        ("leaf.size=*x", "overrides=['leaf.size=*x']: the value is not valid YAML"),
        ("leaf.size=2020-13-45", "overrides=['leaf.size=2020-13-45']: the value is not valid YAML"),
        ("needed.a=1", "overrides=['needed.a=1']: needed is 3, it has no keys"),
        ("leaf.size.0=1", "overrides=['leaf.size.0=1']: leaf.size is [1, 2], it has no keys"),
    ],
)
def test_an_override_s_fault_names_the_override(override, expected):
    assert faults("needed: 3\nleaf:\n  cuont: 1\n  size: [1, 2]\n".replace("  cuont: 1\n", ""), [override]) == [
        expected
    ]


def test_an_overridden_fault_is_gone_and_its_lines_too():
    text = "needed: 3\nleaf:\n  cuont: 1\n"
    assert read(text, ["leaf={count: 4}"]).leaf.count == 4
    assert faults(text, ["leaf={cuont: 4}"]) == [
        "overrides=['leaf={cuont: 4}']: leaf.cuont: unknown key, did you mean count?"
    ]


# Writing


@pytest.mark.parametrize(
    "name", ["1e-3", "yes", "null", "2020-01-01", "a: b", "*x", "Größe", "1.5", "0x1f", " x ", "#"]
)
def test_text_comes_back_as_text(tmp_path, name):
    tree = Tree(needed=2, leaf=Leaf(name=name, rate=1e-7, size=(3, 4), kind=(0.5,)), leaves=(Leaf(count=3),))
    dump(tmp_path / "a.yaml", tree, "made by\na test")
    assert (tmp_path / "a.yaml").read_text().startswith("# made by\n# a test\n")
    assert Document.read(tmp_path / "a.yaml").validate(Tree) == tree


# Anything at all


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.sampled_from("abn:1-.,{}[]&*!?|>'\"%@#~ \n\t0e+<=leafsizcount"), max_size=40))
def test_any_text_is_a_tree_or_a_recipe_error(text):
    for source in (text, f"needed: 1\nleaf:\n  {text}"):
        try:
            read(source)
        except RecipeError as error:
            assert all(line.startswith(("a.yaml", " ")) for line in str(error).splitlines())


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=25))
def test_any_override_is_taken_or_a_recipe_error(text):
    for override in (text, f"leaf.name={text}", f"{text}=1"):
        try:
            read("needed: 1\nleaf: {count: 2}\n", [override])
        except RecipeError as error:
            assert str(error).startswith("overrides=[")


@given(st.text(max_size=12))
@example("a: b")
@example("2024")
@example("a # b")
def test_any_text_is_a_setting(text):
    assert Document("x", "", [setting("data.root", text)]).tree == {"data": {"root": text}}


def test_a_setting_is_quoted_where_it_must_be():
    assert setting("data.root", "my data") == "data.root=my data"
    assert setting("data.root", "2024") == 'data.root="2024"'


# ---- hostile files

RECIPE = "data: {name: streets}\nmodel: {name: unet}\n"
HOSTILE: dict[str, Callable[[int], str]] = {
    "unknown keys": lambda n: RECIPE + "".join(f"unknown{k}: 1\n" for k in range(n)),
    "keys of a section": lambda n: RECIPE + "train:\n" + "".join(f"  unknown{k}: 1\n" for k in range(n)),
    "options of a model": lambda n: (
        "data: {name: streets}\nmodel:\n  name: unet\n" + "".join(f"  unknown{k}: 1\n" for k in range(n))
    ),
    "options of a data set": lambda n: (
        "model: {name: unet}\ndata:\n  name: streets\n" + "".join(f"  unknown{k}: 1\n" for k in range(n))
    ),
    "words for numbers": lambda n: f"{RECIPE}train:\n  class_weights: [{', '.join('x' * n)}]\n",
    "one key again and again": lambda n: RECIPE + "seed: 1\n" * n,
    "keys below a choice": lambda n: RECIPE + "train:\n  loss:\n" + "".join(f"    k{k}: x\n" for k in range(n)),
}


def work(path: Path, text: str, overrides: Sequence[str] = ()) -> int:
    """The functions called until the error is told."""
    path.write_text(text)

    def load() -> None:
        with pytest.raises(RecipeError) as caught:
            Recipe.load(path, overrides)
        lines = str(caught.value).splitlines()
        assert len(lines) <= TOLD + 1 and lines[-1].endswith(" more"), lines[-1]

    return calls(load)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_very_many_faults_take_time_as_they_are_many(tmp_path: Path, text: Callable[[int], str]) -> None:
    """Ten times as many took a hundred times as long: 230 KB eight minutes."""
    path = tmp_path / "r.yaml"
    work(path, text(200))  # imports
    assert work(path, text(2000)) < 12 * work(path, text(200))


def test_very_many_overrides_take_time_as_they_are_many(tmp_path: Path) -> None:
    def sets(n: int) -> list[str]:
        return [f"train.unknown{k}=1" for k in range(n)]

    work(tmp_path / "r.yaml", RECIPE, sets(200))
    few, many = (work(tmp_path / "r.yaml", RECIPE, sets(n)) for n in (200, 2000))
    assert many < 12 * few


def test_of_very_many_faults_the_first_are_told_and_how_many_there_are(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(HOSTILE["unknown keys"](250))
    with pytest.raises(RecipeError) as caught:
        Recipe.load(tmp_path / "r.yaml")
    lines = str(caught.value).splitlines()
    assert len(caught.value.args) == 250 and len(lines) == TOLD + 1 and lines[-1] == "... and 150 more"
    assert "r.yaml:3: unknown0: unknown key; known: adapt" in lines[0] and "known: adapt" in lines[TOLD - 1]


def test_reasons_stand_on_their_lines_and_are_read_again(tmp_path: Path) -> None:
    tree = {"a": {"b": 1, "list": [1, 2], "node": {"x": None}}, "text": "1e-3"}
    reasons = {"a.b": "why b", "a.list": "two\nlines", "a.node": "a node", "text": "a: # text", "absent": "no"}
    text = yaml_tree.written(tree, "Head.", reasons)
    assert text.splitlines()[:4] == ["# Head.", "a:", "  b: 1  # why b", "  list: [1, 2]  # two lines"]
    path = tmp_path / "some.yaml"
    path.write_text(text)
    assert yaml_tree.Document.read(path).tree == tree
    assert yaml_tree.comments(path) == {"a.b": "why b", "a.list": "two lines", "a.node": "a node", "text": "a: # text"}
