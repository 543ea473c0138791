"""The plan of a prediction: named as it is found, the same names however it is cut into blocks, and flat in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tarsia.output.plan import BEFORE, DONE, Plan
from tarsia.output.sources import Failed, Source, find


def sources(*names: str) -> Iterator[Source]:
    return (Source(Path("/photos", name), name) for name in names)


def named(*names: str, block: int) -> dict[str, str]:
    failed: Failed = []
    plan = Plan(sources(*names), ("label",), failed, block)
    found = {source.relative: source.name for source in plan}
    return found | {str(path.relative_to("/photos")): message for path, message in failed}


def test_of_names_that_meet_in_different_blocks_the_first_is_the_shorter() -> None:
    names = ("x.jpg", "a/x.jpg", "x.png", "X.webp", "y.jpg", "y_overlay.jpg", "a/x.jpg.png")
    together = named(*names, block=9)
    assert together["x.jpg"] == "x.jpg" and together["x.png"] == "x.png" and together["a/x.jpg"] == "a/x"
    apart = named(*names, block=1)
    assert (apart["x.jpg"], apart["x.png"], apart["X.webp"]) == ("x", "x.png", "X.webp")
    for found in (together, apart, named(*names, block=2)):
        assert len({name.casefold() for name in found.values()}) == len(names)


def test_a_result_that_is_there_closes_the_folder_of_its_name() -> None:
    found = named("z.jpg", "z.png/inner.jpg", "z.png/deep/inner.jpg", "b.jpg", block=1)
    assert found["z.jpg"] == "z" and found["b.jpg"] == "b"
    assert {found[f"z.png/{name}"] for name in ("inner.jpg", "deep/inner.jpg")} == {
        "a result of another picture is where the folder of its results would be"
    }
    assert named("z.jpg", "z.png/inner.jpg", block=2) == {"z.jpg": "z.jpg", "z.png/inner.jpg": "z.png/inner"}


def test_a_plan_is_gone_through_while_it_grows() -> None:
    told: list[Path] = []
    plan = Plan(sources("a.jpg", "b.jpg", "a.jpg", "c" * 300 + ".jpg", "d.jpg"), ("label",), [], block=2)
    plan.tell = lambda path, message: told.append(path)
    whole = iter(plan)
    first = next(whole)
    assert (first.name, first.place, plan.count, plan.complete) == ("a", 0, 2, False)
    assert [source.name for source in whole] == ["b", "d"] and plan.complete and len(told) == 1
    for source, state in zip(plan, (DONE, BEFORE, DONE), strict=True):
        plan.mark(source, state)
    done = plan.of(DONE, lambda source: source.name)
    assert done == ["a", "d"] and done[1] == done[-1] == "d" and done[:1] == ["a"] and len(done) == 2
    with pytest.raises(IndexError):
        done[2]
    assert [source.name for source in plan.known()] == ["a", "b", "d"]


def test_memory_does_not_follow_the_number_of_pictures(tmp_path: Path) -> None:
    """Of a list, of which a picture that is not there is as good as another; the most is held within a block."""
    (tmp_path / "list.txt").write_text("".join(f"/photos/{index:06d}.jpg\n" for index in range(1200)))
    found = find([f"@{tmp_path / 'list.txt'}"], tmp_path / "out", True, [], lambda *_: False)
    plan, peaks = Plan(found, ("label",), [], block=200), []
    tracemalloc.start()
    try:
        while True:
            tracemalloc.reset_peak()
            more = plan.more()
            peaks.append(tracemalloc.get_traced_memory()[1])
            if not more:
                break
        assert plan.count == 1200 and len(peaks) == 7
    finally:
        tracemalloc.stop()
    assert (peaks[5] - peaks[1]) / 800 < 100, "bytes a picture; their names alone have 60"
