"""The queue: bounded, batches of equal size, nothing run that nobody waits for, one failure is one failure."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future

import numpy as np
import pytest
from PIL import Image

from small_service import Gated, decoded, encoded, engine, pixels, until
from tarsia.errors import ModelFileError, TooLargeError
from tarsia.pictures.reader import read
from tarsia.prediction.predictor import Predictor
from tarsia.service import batching
from tarsia.service.batching import Batcher, Job
from tarsia.service.limits import Limits
from tarsia.service.metrics import Metrics
from tarsia.service.problems import Problem
from tarsia.service.requests import opened
from tarsia.service.responses import Answer, Ask, Format

LIMITS = Limits(queue=6, batch=4, batch_seconds=0.05)


@pytest.fixture
def gated() -> Gated:
    made = Gated()
    made.shut()
    return made


@pytest.fixture
def batcher(gated: Gated) -> Iterator[Batcher]:
    made = Batcher("small", Predictor(gated), LIMITS, Metrics())
    yield made
    gated.gate.set()
    made.close()


def job(height: int = 24, width: int = 32, seed: int = 0, ask: Ask = Ask()) -> Job:
    return Job(opened(encoded(pixels(height, width, seed)), "image/png", LIMITS), ask)


def busy(batcher: Batcher, gated: Gated) -> list[Job]:
    """Both workers at work: one in the network, one that waits for it."""
    jobs = [job(8, 8), job(8, 16)]
    for one in jobs:
        batcher.submit(one)
        until(one.future.running)
    gated.began.acquire()
    return jobs


@pytest.mark.parametrize("streams", [1, 3])
def test_as_many_pictures_are_computed_at_once_as_there_are_streams(streams: int) -> None:
    gated = Gated(streams)
    gated.shut()
    batcher = Batcher("small", Predictor(gated), Limits(), Metrics())
    jobs = [job(seed=number) for number in range(6)]
    for one in jobs:
        batcher.submit(one)
    for _ in range(streams):
        assert gated.began.acquire(timeout=20)
    assert not gated.began.acquire(timeout=0.1)  # the next waits
    gated.gate.set()
    expected = Predictor(engine())
    for number, one in enumerate(jobs):
        assert np.array_equal(decoded(one.future.result(20).content), expected(pixels(seed=number)).label_HW)
    batcher.close()


def test_pictures_of_one_size_go_together_and_each_gets_its_own_answer(batcher: Batcher, gated: Gated) -> None:
    first = busy(batcher, gated)
    sizes = [(24, 32), (40, 24), (24, 32), (24, 32), (40, 24), (24, 32)]
    jobs = [job(*size, seed=number) for number, size in enumerate(sizes)]
    for one in jobs:
        batcher.submit(one)
    gated.gate.set()
    for one in first:
        one.future.result(20)
    expected = Predictor(engine())
    for number, (size, one) in enumerate(zip(sizes, jobs, strict=True)):
        label_HW = decoded(one.future.result(20).content)
        assert np.array_equal(label_HW, expected(pixels(*size, seed=number)).label_HW)
    assert sorted(shape for shape in gated.batches if shape[1] != 8) == [(2, 40, 24, 3), (4, 24, 32, 3)]


def test_no_more_than_the_limits_go_together(batcher: Batcher, gated: Gated) -> None:
    batcher._limits = Limits(queue=9, batch=3, batch_pixels=24 * 32 * 2, batch_seconds=0.02)
    busy(batcher, gated)
    jobs = [job() for _ in range(4)] + [job(16, 24) for _ in range(5)]
    for one in jobs:
        batcher.submit(one)
    gated.gate.set()
    for one in jobs:
        one.future.result(20)
    assert sorted(shape[0] for shape in gated.batches if shape[1] == 24) == [2, 2]
    assert sorted(shape[0] for shape in gated.batches if shape[1] == 16) == [2, 3]


def test_what_goes_together_is_counted_as_the_network_sees_it(batcher: Batcher, gated: Gated) -> None:
    batcher._limits = Limits(queue=9, batch=4, batch_pixels=2 * 8 * 96, batch_seconds=0.02)
    busy(batcher, gated)
    jobs = [job(1, 90) for _ in range(4)]  # 8 x 96 each to a network of stride 8
    for one in jobs:
        batcher.submit(one)
    gated.gate.set()
    for one in jobs:
        one.future.result(20)
    assert [shape[0] for shape in gated.batches if shape[2] == 96] == [2, 2]


def test_a_model_that_was_replaced_has_limits_of_its_own(batcher: Batcher, gated: Gated) -> None:
    batcher._limits = Limits(queue=9, pixels=24 * 32)
    busy(batcher, gated)
    waiting = job()
    batcher.submit(waiting)
    batcher.predictor = Predictor(engine(input={"stride": 32}))
    gated.gate.set()
    with pytest.raises(Problem, match="1,024 pixels to this model") as refused:
        waiting.future.result(20)
    assert refused.value.status == 413
    with pytest.raises(TooLargeError):
        batcher.submit(job())


def test_on_a_cpu_each_goes_alone_and_on_a_gpu_eight_together(gated: Gated) -> None:
    for device, most in (("cpu", 1), ("cuda:1", 8)):
        gated.shut()
        gated.device = device
        batcher = Batcher("small", Predictor(gated), Limits(), Metrics())
        busy(batcher, gated)
        jobs = [batcher.submit(job()) for _ in range(9)]
        gated.gate.set()
        for one in jobs:
            one.result(20)
        assert max(shape[0] for shape in gated.batches) == most
        batcher.close()


def test_a_picture_alone_does_not_wait_for_others() -> None:
    batcher = Batcher("small", Predictor(engine()), Limits(batch=4, batch_seconds=0.003), Metrics())
    batcher.submit(job()).result(20)
    answer = batcher.submit(job()).result(20)
    assert set(answer.seconds) == {"decode", "queue", "network", "encode"}
    batcher.close()


def test_a_full_queue_refuses_at_once(batcher: Batcher, gated: Gated) -> None:
    busy(batcher, gated)
    jobs = [job() for _ in range(LIMITS.queue)]
    for one in jobs:
        batcher.submit(one)
    with pytest.raises(Problem, match="too many pictures wait") as refused:
        batcher.submit(job())  # while the gate is shut
    assert refused.value.status == 503 and int(refused.value.headers["Retry-After"]) >= 1
    jobs[3].future.cancel()
    batcher.submit(job())  # the place of one whose client left is free
    with pytest.raises(Problem):
        batcher.check_room()


def test_what_nobody_waits_for_is_not_run(batcher: Batcher, gated: Gated) -> None:
    busy(batcher, gated)
    kept, left = job(24, 32), job(40, 40)
    for one in (left, kept):
        batcher.submit(one)
    assert left.future.cancel()
    gated.gate.set()
    kept.future.result(20)
    batcher.submit(job(16, 16)).result(20)
    assert not [shape for shape in gated.batches if shape[1:3] == (40, 40)]
    with pytest.raises(CancelledError):
        left.future.result(0)


def test_what_those_who_left_had_sent_is_not_held(batcher: Batcher, gated: Gated) -> None:
    """Their uploads are no longer counted: with the next request they go, however long the network is busy."""
    busy(batcher, gated)
    left, kept = job(40, 40), job()
    for one in (left, kept):
        batcher.submit(one)
    left.future.cancel()
    batcher.check_room()
    assert list(batcher._waiting) == [kept]


def test_who_leaves_at_the_last_moment_is_not_run_either(batcher: Batcher, gated: Gated) -> None:
    """After the look for those who left, and before the picture is taken."""

    class Leaving(Future[Answer]):
        def set_running_or_notify_cancel(self) -> bool:
            self.cancel()
            return super().set_running_or_notify_cancel()

    busy(batcher, gated)
    left, kept = job(40, 40), job(24, 32)
    left.future = Leaving()
    for one in (left, kept):
        batcher.submit(one)
    gated.gate.set()
    assert kept.future.result(20).media_type == "image/png"
    assert left.future.cancelled() and not [shape for shape in gated.batches if shape[1:3] == (40, 40)]
    for seed in range(3):  # every thread is still there
        assert batcher.submit(job(16, 16, seed)).result(20)


def test_models_decode_at_once_and_each_picture_has_its_own_remarks(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=20)
    monkeypatch.setattr(batching, "read", lambda *given: (both.wait(), read(*given))[1])
    frames = [Image.fromarray(pixels(seed=seed)) for seed in range(2)]
    several = encoded(pixels(), "GIF", save_all=True, append_images=frames)
    jobs = [Job(opened(several, "image/gif", LIMITS), Ask("json")), job(ask=Ask("json"))]
    batchers = [Batcher(name, Predictor(engine()), LIMITS, Metrics()) for name in ("one", "other")]
    found = [one.submit(asked) for one, asked in zip(batchers, jobs, strict=True)]
    remarks = [json.loads(one.result(20).content)["remarks"] for one in found]
    assert "only the first is used" in remarks[0][0] and remarks[1] == []
    for one in batchers:
        one.close()


@pytest.mark.parametrize("formats", [("png", "json"), ("json", "png"), ("png", "png", "json", "overlay")])
def test_pictures_together_are_asked_different_things(
    batcher: Batcher, gated: Gated, formats: tuple[Format, ...]
) -> None:
    """Whichever comes first: one may need confidence and another not."""
    busy(batcher, gated)
    jobs = [job(seed=number, ask=Ask(one)) for number, one in enumerate(formats)]
    jobs += [job(seed=9, ask=Ask("png", min_confidence=0.99))]
    for one in jobs[: batcher._limits.queue]:
        batcher.submit(one)
    gated.gate.set()
    for number, (format, one) in enumerate(zip(formats, jobs, strict=False)):
        answer, expected = one.future.result(20), Predictor(engine())(pixels(seed=number), confidence=True)
        if format == "json":
            found = json.loads(answer.content)
            np.testing.assert_array_equal(decoded(base64.b64decode(found["label"])), expected.label_HW)
            grey_HW = np.rint(expected.confidence_HW * 255)
            np.testing.assert_allclose(decoded(base64.b64decode(found["confidence"])), grey_HW, atol=1)
        elif format == "png":
            np.testing.assert_array_equal(decoded(answer.content), expected.label_HW)
    assert (decoded(jobs[-1].future.result(20).content) == 255).any()
    assert max(shape[0] for shape in gated.batches) > 1, "they went together"


def test_one_bad_picture_does_not_fail_its_neighbours(batcher: Batcher, gated: Gated) -> None:
    busy(batcher, gated)
    cut = job()
    cut.upload = cut.upload._replace(picture=cut.upload.picture[:-200])
    jobs = [job(seed=1), cut, job(seed=2)]
    for one in jobs:
        batcher.submit(one)
    gated.gate.set()
    with pytest.raises(Problem, match="damaged or cut off") as refused:
        cut.future.result(20)
    assert refused.value.status == 422
    for seed, one in ((1, jobs[0]), (2, jobs[2])):
        assert np.array_equal(decoded(one.future.result(20).content), Predictor(engine())(pixels(seed=seed)).label_HW)


@pytest.mark.parametrize(
    ("error", "status"), [(MemoryError(), 413), (ModelFileError("/secret/model.onnx: fails"), 500)], ids=str
)
def test_a_failing_network_is_a_problem_of_each_alone(
    batcher: Batcher, gated: Gated, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    """A batch too large for the memory is tried one by one; only what fails alone has failed."""
    busy(batcher, gated)
    right = gated.run

    def run(images_BHW3: np.ndarray) -> np.ndarray:
        if len(images_BHW3) > 1 or (images_BHW3[0, 0, 0] == 255).all():
            raise error
        return right(images_BHW3)

    monkeypatch.setattr(gated, "run", run)
    image_HW3 = pixels()
    image_HW3[0, 0] = 255
    jobs = [job(seed=1), Job(opened(encoded(image_HW3), "image/png", LIMITS), Ask()), job(seed=2)]
    for one in jobs:
        batcher.submit(one)
    gated.gate.set()
    with pytest.raises(Problem) as refused:
        jobs[1].future.result(20)
    assert refused.value.status == status and "secret" not in str(refused.value)
    for one in (jobs[0], jobs[2]):
        assert one.future.result(20).media_type == "image/png"


def test_turned_pictures_are_upright_in_a_batch_too(batcher: Batcher, gated: Gated) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    image_HW3 = pixels(24, 32)
    busy(batcher, gated)
    turned = Job(opened(encoded(image_HW3, exif=exif), "image/png", LIMITS), Ask())
    plain = job()
    for one in (turned, plain):
        batcher.submit(one)
    gated.gate.set()
    assert decoded(turned.future.result(20).content).shape == (32, 24)
    expected = Predictor(engine())(np.rot90(image_HW3, -1).copy()).label_HW
    assert np.array_equal(decoded(turned.future.result(20).content), expected)
    assert np.array_equal(decoded(plain.future.result(20).content), Predictor(engine())(image_HW3).label_HW)


def test_closing_does_what_waits_and_takes_no_more(batcher: Batcher, gated: Gated) -> None:
    jobs = busy(batcher, gated)
    jobs += [job(), job(40, 40)]
    for one in jobs[2:]:
        batcher.submit(one)
    threads = batcher._threads
    batcher.close()
    with pytest.raises(Problem, match="stopping"):
        batcher.submit(job())
    gated.gate.set()
    for one in jobs:
        assert one.future.result(20)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    batcher.open()
    assert batcher.submit(job()).result(20)


def test_a_batch_keeps_the_model_it_began_with(batcher: Batcher, gated: Gated) -> None:
    (first, second), names = busy(batcher, gated), {"names": ["x", "y", "z"], "colors": [[9, 9, 9]] * 3}
    batcher.predictor = Predictor(engine(classes=names))
    gated.gate.set()
    for one in (first, second):
        one.future.result(20)
    after = batcher.submit(job(ask=Ask("json")))
    assert b'"name": "x"' in after.result(20).content


def test_many_threads_at_once(gated: Gated) -> None:
    """Whatever comes when: every answer is that of its picture."""
    gated.gate.set()
    batcher = Batcher("small", Predictor(gated), Limits(queue=200, batch=4), Metrics())
    expected = {seed: Predictor(engine())(pixels(8 * (1 + seed % 3), 16, seed)).label_HW for seed in range(20)}
    wrong: list[int] = []

    def ask(seed: int) -> None:
        for _ in range(4):
            answer = batcher.submit(job(8 * (1 + seed % 3), 16, seed)).result(30)
            if not np.array_equal(decoded(answer.content), expected[seed]):
                wrong.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    batcher.close()
    assert not wrong and max(shape[0] for shape in gated.batches) > 1


def test_memory_is_given_back_when_no_picture_comes(
    batcher: Batcher, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once after work, and not while pictures wait."""
    monkeypatch.setattr(batching, "_RESTING_SECONDS", 0.05)
    rests: list[int] = []
    monkeypatch.setattr(gated, "give_back", lambda: rests.append(len(gated.batches)))
    jobs = [*busy(batcher, gated), job(), job(16, 16)]
    for one in jobs[2:]:
        batcher.submit(one)
    time.sleep(0.3)
    assert not rests
    gated.gate.set()
    for one in jobs:
        one.future.result(20)
    until(lambda: rests)
    time.sleep(0.3)
    done = len(gated.batches)
    assert rests == [done], "of two threads one, and once"
    batcher.submit(job()).result(20)
    until(lambda: len(rests) == 2)
