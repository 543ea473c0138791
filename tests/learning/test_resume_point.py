"""Model files and resume points: whole, summed, and refused in words where they are not."""

from __future__ import annotations

import math
import random
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file

from tarsia import models
from tarsia.card import CARD_KEY, SUM_KEY, Card, Classes, Input, read_header
from tarsia.engines import weights
from tarsia.engines.model_file import read_card
from tarsia.engines.weights import carry_over, load_model, save_model
from tarsia.errors import ModelFileError, OutputError, TrainingError
from tarsia.learning import resume_point
from tarsia.learning.resume_point import load_state, save_state

RESNET = {"encoder": "test_resnet"}


def classes(*names: str) -> Classes:
    return Classes(names=names, colors=tuple((index, 0, 0) for index, _ in enumerate(names)))


def card_of(architecture: str, options: dict, *names: str) -> Card:
    config = models.config_class(architecture).model_validate(options).model_dump(mode="json")
    return Card(architecture=architecture, model=config, classes=classes(*names), input=Input(size=(64, 96)))


def filled(model):
    """Every tensor gets values of its own, so that none passes for another."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for value in model.state_dict().values():
            value.copy_(torch.randn(value.shape, generator=generator).abs() * 10)
    return model


@pytest.fixture
def model_file(tmp_path):
    card = card_of("fcn", RESNET, "road", "sky")
    save_model(tmp_path / "m.safetensors", filled(models.create("fcn", 2, options=RESNET)), card)
    return tmp_path / "m.safetensors"


@pytest.fixture
def small_file(tmp_path):
    """The smallest sound summed file, so that many damages of it are quick: read with `load_state`."""
    tree = {
        "weights": torch.arange(5.0),
        "half": torch.ones(2, 2, dtype=torch.bfloat16),
        "step": 7,
        "one": torch.tensor(3),
    }
    save_state(tmp_path / "state.safetensors", tree)
    return tmp_path / "state.safetensors"


# Model files


def test_a_model_comes_back_as_it_was(tmp_path, model_file):
    model, card = load_model(model_file)
    expected = filled(models.create("fcn", 2, options=RESNET)).state_dict()
    assert card == card_of("fcn", RESNET, "road", "sky") == read_card(model_file)
    assert model.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    assert not list(tmp_path.glob(".*")), "no part files"


def test_channels_last_weights_have_the_same_sum(tmp_path, model_file):
    model, card = load_model(model_file)
    save_model(tmp_path / "again.safetensors", model.to(memory_format=torch.channels_last), card)
    assert read_header(tmp_path / "again.safetensors")[SUM_KEY] == read_header(model_file)[SUM_KEY]


def test_the_global_random_state_is_left_alone(model_file):
    before = torch.get_rng_state()
    load_model(model_file)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_flipped_byte_of_a_model_file_is_refused(model_file):
    """200 places: all over the file, and often in the header, where card, names, types, shapes and places stand."""
    content = model_file.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    draw = random.Random(4)
    places = [*range(8), *draw.sample(range(8, header), 142), *draw.sample(range(header, len(content)), 50)]
    for place in places:
        for change in (0xFF, 1 << draw.randrange(8)) if place < header else (0xFF,):
            harmed = bytearray(content)
            harmed[place] ^= change
            model_file.write_bytes(harmed)
            try:
                found = weights.read_tensors(model_file, CARD_KEY)
                read_card(model_file)
            except ModelFileError:
                continue
            # Blanks that pad the header, and only they, have no meaning.
            assert content[place : place + 1] == b" " and not content[place:header].strip(), place
            original = load_file(model_file)
            assert all(torch.equal(original[key], found[key]) for key in original)


def test_every_single_byte_of_a_small_file(small_file):
    content = small_file.read_bytes()
    for place in range(len(content)):
        harmed = bytearray(content)
        harmed[place] ^= 0x55
        small_file.write_bytes(harmed)
        with pytest.raises(TrainingError):
            load_state(small_file)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors | {"w": tensors["w"].reshape(3, 2)},
        lambda tensors: tensors | {"w": tensors["w"].reshape(6)},
        lambda tensors: tensors | {"w": tensors["w"].view(torch.int32)},
        lambda tensors: {"v": tensors["w"]},
        lambda tensors: tensors | {"more": torch.zeros(0)},
    ],
    ids=["shape", "dimensions", "type", "name", "empty"],
)
def test_the_sum_covers_what_the_same_bytes_mean(tmp_path, change):
    path, tensors = tmp_path / "a.safetensors", {"w": torch.arange(6.0).reshape(2, 3)}
    weights.write_tensors(path, tensors, "key", "text")
    assert weights.read_tensors(path, "key")["w"].shape == (2, 3)
    save_file(change(tensors), path, metadata=read_header(path))
    with pytest.raises(ModelFileError, match="its sha256 does not match"):
        weights.read_tensors(path, "key")


def test_a_file_cut_anywhere_is_refused(small_file):
    content = small_file.read_bytes()
    for length in [*range(0, len(content), 7), len(content) - 1]:
        small_file.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=str(small_file)):
            weights.read_tensors(small_file, resume_point._TREE_KEY)
    small_file.write_bytes(content + b"\0")
    with pytest.raises(ModelFileError):
        weights.read_tensors(small_file, resume_point._TREE_KEY)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b""), "an empty or cut file"),
        (lambda path: path.write_text("model: unet\n" * 20), "another file format"),
        (lambda path: torch.save({"a": torch.zeros(2)}, path), r"a pickle .*never loaded"),
        (
            lambda path: torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False),
            r"a pickle .*never loaded",
        ),
        (lambda path: save_file({"a": torch.zeros(2)}, path), "without a Tarsia card"),
        (lambda path: save_file({"a": torch.zeros(2)}, path, {"format": "pt"}), "without a Tarsia card"),
        (lambda path: save_state(path, {"a": torch.zeros(2)}), "without a Tarsia card"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: None, "cannot be read"),
    ],
    ids=["empty", "text", "pickle", "old pickle", "foreign", "foreign with metadata", "resume point", "folder", "none"],
)
def test_what_is_no_model_file_is_refused_in_words(tmp_path, make, message):
    make(tmp_path / "x.safetensors")
    with pytest.raises(ModelFileError, match=message):
        load_model(tmp_path / "x.safetensors")


def write_as_tarsia(path, tensors, card_text):
    """A file with a right sum, whatever is in it."""
    save_file(tensors, path, {CARD_KEY: card_text, SUM_KEY: weights.sum_of(tensors, card_text)})


def test_a_file_without_a_sum_is_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "m.safetensors", {CARD_KEY: card_of("fcn", RESNET, "a").to_json()})
    with pytest.raises(ModelFileError, match="not written by Tarsia"):
        load_model(tmp_path / "m.safetensors")


def test_weights_that_do_not_fit_the_card_are_listed(tmp_path):
    write_as_tarsia(
        tmp_path / "m.safetensors", {"classifiers.0.bias": torch.zeros(3)}, card_of("fcn", RESNET, "a").to_json()
    )
    with pytest.raises(
        ModelFileError, match=r"do not fit its card: classifiers.0.bias: \(3,\), expected \(1,\); .*missing"
    ):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architecture": "fcm"},
            r"cannot build the model of its card: model\.name: unknown model fcm, did you mean fcn",
        ),
        ({"model": {"encoder": "test_resnet", "depth": 3}}, "model.depth: unknown key"),
        (
            {"model": {"encoder": "test_resnet", "encoder_options": {"checkpoint_path": "/x.pth"}}},
            "cannot be given here",
        ),
    ],
)
def test_a_card_this_tarsia_cannot_build_is_refused(tmp_path, changes, message):
    card = card_of("fcn", RESNET, "a").model_copy(update=changes)
    write_as_tarsia(tmp_path / "m.safetensors", {"a": torch.zeros(1)}, card.to_json())
    with pytest.raises(ModelFileError, match=message):
        load_model(tmp_path / "m.safetensors")


# Resume points

TREE = {
    "model": {"a/b": torch.arange(3), "a": {"b": torch.ones(2, dtype=torch.bfloat16)}},
    "state": {0: {"step": torch.tensor(5.0)}, 1: torch.zeros(0, 3), 12: [torch.tensor([True, False]), 3, (4, 5)]},
    "none": None,
    "numbers": [1, -2.5, 1e-300, math.nan, math.inf, 2**60],
    "truths": [True, False],
    "text": 'Größe "x"\n',
    "empty": {},
}


def assert_same(found, expected):
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype and torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected) and [type(key) for key in found] == [type(key) for key in expected]
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert type(found) is type(expected)
        assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_a_nested_tree_comes_back_as_it_was(tmp_path):
    save_state(tmp_path / "state.safetensors", TREE)
    assert_same(load_state(tmp_path / "state.safetensors"), TREE)


def test_an_optimizer_and_the_random_state_come_back(tmp_path):
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    net(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    tree = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
    save_state(tmp_path / "state.safetensors", tree)
    drawn, found = torch.rand(3), load_state(tmp_path / "state.safetensors")
    torch.set_rng_state(found["random"])
    assert torch.equal(torch.rand(3), drawn)
    again = torch.optim.AdamW(net.parameters(), fused=True)
    again.load_state_dict(found["optimizer"])
    assert_same(again.state_dict()["state"], tree["optimizer"]["state"])
    optimizer.step()
    again.step()


def test_the_same_tensor_twice_is_kept_twice(tmp_path):
    tensor = torch.arange(4.0)
    save_state(tmp_path / "s.safetensors", {"one": tensor, "two": tensor, "part": tensor[1:3]})
    assert_same(load_state(tmp_path / "s.safetensors"), {"one": tensor, "two": tensor, "part": tensor[1:3]})


def test_a_damaged_point_falls_back_to_the_one_before(tmp_path, capsys):
    path, previous = tmp_path / "state.safetensors", tmp_path / "state.previous.safetensors"
    for step in (1, 2, 3):
        save_state(path, {"step": step, "weights": torch.full((9,), float(step))})
    assert load_state(path)["step"] == 3 and load_state(previous)["step"] == 2
    path.write_bytes(path.read_bytes()[:-5])
    assert load_state(path)["step"] == 2
    assert "trying the resume point before it" in capsys.readouterr().err
    assert load_state(path)["step"] == 2, "again, without the newest"
    save_state(path, {"step": 4})
    assert load_state(path)["step"] == 4 and load_state(previous)["step"] == 2, "the damaged one did not replace it"
    for one in (path, previous):
        one.write_bytes(b"x" * 50)
    with pytest.raises(TrainingError, match=r"no sound resume point .*state\.safetensors: .*state\.previous"):
        load_state(path)


def test_no_point_at_all_says_so(tmp_path):
    with pytest.raises(TrainingError, match="none was written yet"):
        load_state(tmp_path / "state.safetensors")


@pytest.fixture
def no_file_beyond_64_kib():
    """The kernel refuses to let files grow, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_error_and_leaves_what_was_there(tmp_path, model_file, no_file_beyond_64_kib):
    state, content = tmp_path / "state.safetensors", model_file.read_bytes()
    for step in (1, 2):
        save_state(state, {"step": step})
    model, card = load_model(model_file)
    with pytest.raises(OutputError, match=r"cannot write .*m\.safetensors: file size limit"):
        save_model(model_file, model, card)
    with pytest.raises(OutputError, match=r"cannot write .*state\.safetensors: file size limit"):
        save_state(state, {"weights": torch.zeros(10**5)})
    assert model_file.read_bytes() == content
    assert load_state(state) == {"step": 2}
    assert load_state(tmp_path / "state.previous.safetensors") == {"step": 1}
    assert not list(tmp_path.glob(".*")), "no part files"


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EIO"])
def test_safetensors_own_words_for_a_full_disk_are_understood(tmp_path, monkeypatch, number):
    import errno
    import os

    from safetensors import SafetensorError

    code = getattr(errno, number)

    def fail(*_, **__):
        raise SafetensorError(f"Error while serializing: I/O error: {os.strerror(code)} (os error {code})")

    monkeypatch.setattr(weights, "save_file", fail)
    with pytest.raises(OutputError, match=r"cannot write .*the disk"):
        save_state(tmp_path / "s.safetensors", {"step": 1})
    assert not list(tmp_path.iterdir())


# Starting from another model


def start_from(model_file, architecture: str, options: dict, *names: str):
    model = models.create(architecture, len(names), seed=5, options=options)
    return model, carry_over(model, card_of(architecture, options, *names), model_file)


def test_the_same_classes_carry_everything_over(model_file):
    model, words = start_from(model_file, "fcn", RESNET, "road", "sky")
    theirs = load_model(model_file)[0].state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in model.state_dict().items())
    assert words == f"started from {model_file}: all weights, classes kept: road, sky; new: none"


def test_other_classes_keep_the_rows_of_the_same_names(model_file):
    fresh = models.create("fcn", 3, seed=5, options=RESNET).state_dict()
    model, words = start_from(model_file, "fcn", RESNET, "sky", "tree", "road")
    theirs, mine = load_model(model_file)[0].state_dict(), model.state_dict()
    for key in mine:
        if key.startswith("classifiers."):
            assert torch.equal(mine[key][[0, 2]], theirs[key][[1, 0]]) and torch.equal(mine[key][1], fresh[key][1])
        else:
            assert torch.equal(mine[key], theirs[key]), key
    assert words.endswith("classes kept: sky, road; new: tree")


def test_the_same_names_in_another_order_are_moved(model_file):
    model, _ = start_from(model_file, "fcn", RESNET, "sky", "road")
    theirs, mine = load_model(model_file)[0].state_dict(), model.state_dict()
    assert torch.equal(mine["classifiers.0.weight"], theirs["classifiers.0.weight"].flip(0))


def test_no_class_in_common_keeps_the_rest(model_file):
    model, words = start_from(model_file, "fcn", RESNET, "a", "b", "c")
    assert words.endswith("classes kept: none; new: a, b, c")
    theirs = load_model(model_file)[0].state_dict()
    assert torch.equal(model.state_dict()["encoder.net.bn1.weight"], theirs["encoder.net.bn1.weight"])
    fresh = models.create("fcn", 3, seed=5, options=RESNET).state_dict()["classifiers.0.weight"]
    assert torch.equal(model.state_dict()["classifiers.0.weight"], fresh)


def test_a_run_folder_stands_for_its_model(model_file):
    model_file.rename(model_file.parent / "model.safetensors")
    assert "all weights" in start_from(model_file.parent, "fcn", RESNET, "road", "sky")[1]


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("unet", RESNET, r"m\.safetensors is a fcn, the recipe says unet"),
        ("fcn", {"encoder": "test_convnext"}, r"does not fit the recipe's model: .*encoder\..* and \d+ more"),
        ("fcn", RESNET | {"finest": 32}, r"classifiers\.1\.bias: unexpected; .*classifiers\.2\.weight: unexpected"),
    ],
)
def test_another_architecture_or_other_options_are_refused_with_the_keys(model_file, architecture, options, message):
    with pytest.raises(ModelFileError, match=rf"train\.start_from: .*{message}"):
        start_from(model_file, architecture, options, "road", "sky", "tree")


def test_fewer_levels_than_the_recipe_s_are_refused(tmp_path):
    coarse = RESNET | {"finest": 32}
    save_model(tmp_path / "m.safetensors", models.create("fcn", 2, options=coarse), card_of("fcn", coarse, "a", "b"))
    with pytest.raises(ModelFileError, match=r"classifiers\.1\.bias: missing"):
        start_from(tmp_path / "m.safetensors", "fcn", RESNET, "a", "b")


def test_a_refusal_leaves_the_model_as_it_was(model_file):
    model = models.create("fcn", 2, seed=5, options=RESNET | {"finest": 32})
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ModelFileError):
        carry_over(model, card_of("fcn", RESNET | {"finest": 32}, "road", "sky"), model_file)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
