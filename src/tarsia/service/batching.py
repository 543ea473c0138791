"""A model's queue: bounded, pictures of equal size together, none run that nobody waits for."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from tarsia.engines import memory
from tarsia.pictures.ranges import together
from tarsia.pictures.reader import Picture, masked, read, unsure
from tarsia.prediction.predictor import Predictor
from tarsia.service import logs, problems
from tarsia.service.limits import Limits
from tarsia.service.metrics import Metrics
from tarsia.service.problems import Problem
from tarsia.service.requests import Upload
from tarsia.service.responses import Answer, Ask, Seen, encode

_RESTING_SECONDS = 2.0  # without a picture
_ON_GPU = 8  # pictures together, unless the limits say how many


@dataclass(eq=False)
class Job:
    """A picture on its way through the queue; cancel `future` and it is not run."""

    upload: Upload
    ask: Ask
    future: Future[Answer] = field(default_factory=Future)
    entered: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class _Decoded:
    job: Job
    picture: Picture
    seconds: float

    @property
    def image_HW3(self) -> np.ndarray:
        return self.picture.values_HWC


class Batcher:
    """Pictures in, answers out, by `predictor`, which may be replaced at any time: a batch keeps the one it began with.

    `submit` may be called from any thread; threads of its own start with the first picture.
    """

    def __init__(self, name: str, predictor: Predictor, limits: Limits, metrics: Metrics) -> None:
        self.name, self.predictor = name, predictor
        self._limits, self._metrics = limits, metrics
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._network = threading.Semaphore(predictor.engine.streams)
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._seconds_a_picture = 0.1  # lately
        self._worked, self._at_work = False, 0  # since the last rest; threads that have a batch

    def check_room(self) -> None:
        """Problem 503 where the queue is full, with when it should have room again."""
        with self._changed:
            # Their uploads count no longer, and are not to be held until the network is free.
            self._waiting = deque(job for job in self._waiting if not job.future.cancelled())
            if len(self._waiting) >= self._limits.queue:
                seconds = len(self._waiting) * self._seconds_a_picture
                raise problems.busy("queue", "too many pictures wait for this model: try again", seconds)

    def submit(self, job: Job) -> Future[Answer]:
        """Put `job` at the end of the queue; Problem 503 where that is full.

        ImageError, TooLargeError among them, for a picture that the network must not see, by its header.
        """
        if job.upload.size is not None:
            self.predictor.check_size(job.upload.size, self._limits.pixels)
        with self._changed:
            self.check_room()
            if self._closed:
                raise problems.busy("stopping", "the service is stopping: try again", 2)
            if not self._threads:
                # One more than the network takes: while others wait for it or have it, one decodes and encodes.
                names = [f"{self.name}-{number}" for number in range(self.predictor.engine.streams + 1)]
                self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
                for thread in self._threads:
                    thread.start()
            self._waiting.append(job)
            self._metrics.queued.labels(self.name).set(len(self._waiting))
            self._changed.notify_all()  # the one that is woken alone might wait for another size
        return job.future

    def open(self) -> None:
        """Take pictures again after `close`."""
        with self._changed:
            self._closed = False

    def close(self) -> None:
        """No more pictures; those that wait are still done, and the threads end."""
        with self._changed:
            self._closed, self._threads = True, []
            self._changed.notify_all()

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            if not batch:
                self._rest()
                continue
            self._run(batch)
            with self._changed:
                self._at_work -= 1

    def _rest(self) -> None:
        """Nothing came for a while: what is kept for the next picture goes back to the system."""
        with self._network:
            self.predictor.engine.give_back()
        memory.trim()

    def _take(self) -> list[Job] | None:
        """The next picture, with those of its size that wait or come within `batch_seconds`.

        An empty list when first nothing came for a while, None when closed.
        """
        with self._changed:
            first = None
            while first is None:
                while not self._waiting:
                    if self._closed:
                        return None
                    woken = self._changed.wait(_RESTING_SECONDS if self._worked else None)
                    if not woken and self._worked and not self._waiting and not self._at_work:
                        self._worked = False
                        return []
                first = self._next(lambda job: True)
            batch, until = [first], time.monotonic() + self._limits.batch_seconds
            size = first.upload.size
            most = min(self._most(), self._limits.batch_pixels // self.predictor.pixels_seen(size)) if size else 1
            while len(batch) < most:
                found = self._next(lambda job: job.upload.size == size)
                left = until - time.monotonic()
                if found:
                    batch.append(found)
                elif left <= 0 or self._closed or not self._changed.wait(left):
                    break
            self._metrics.queued.labels(self.name).set(len(self._waiting))
            self._worked = True
            self._at_work += 1
            return batch

    def _most(self) -> int:
        # Four pictures of 352x480 at once cost a CPU 17 % more each than alone: they no longer fit into its cache.
        return self._limits.batch or (_ON_GPU if self.predictor.engine.device.startswith("cuda") else 1)

    def _next(self, fits: Callable[[Job], bool]) -> Job | None:
        """Take the first of those that wait and fit out of the queue, dropping those whose client left."""
        self._waiting = deque(job for job in self._waiting if not job.future.cancelled())
        for job in self._waiting:
            if fits(job):
                self._waiting.remove(job)
                return job if job.future.set_running_or_notify_cancel() else None
        return None

    def _run(self, batch: list[Job]) -> None:
        predictor = self.predictor
        decoded = [one for one in (self._decode(predictor, job) for job in batch) if one is not None]
        decoded.sort(key=lambda one: one.image_HW3.shape)  # a turned picture has another shape than its header said
        for _, group in itertools.groupby(decoded, key=lambda one: one.image_HW3.shape):
            self._segment(predictor, list(group))

    def _decode(self, predictor: Predictor, job: Job) -> _Decoded | None:
        started = time.perf_counter()
        try:
            picture = read(job.upload.picture, predictor.card.spec, self._limits.pixels)
            # Again: the model may be a newer one than when the picture came, and some headers say nothing of the size.
            height, width = picture.values_HWC.shape[:2]
            predictor.check_size((height, width), self._limits.pixels)
        except Exception as error:
            self._fail(job, error)
            return None
        return _Decoded(job, picture, time.perf_counter() - started)

    def _segment(self, predictor: Predictor, group: list[_Decoded]) -> None:
        # One picture is not copied: it may be a large one.
        images_BHW3 = np.stack([one.image_HW3 for one in group]) if len(group) > 1 else group[0].image_HW3[None]
        confidence_BHW = None
        seeing = predictor.at_levels(together(one.picture.levels for one in group))
        try:
            with self._network:
                started = time.perf_counter()
                if any(one.job.ask.needs_confidence for one in group):
                    label_BHW, confidence_BHW = seeing.labels_and_confidence(images_BHW3)
                else:
                    label_BHW = seeing.labels(images_BHW3)
                taken = time.perf_counter() - started
        except Exception as error:
            for one in group:
                if len(group) == 1:
                    self._fail(one.job, error)
                else:  # none should fail for its neighbour's sake, as for want of memory
                    self._segment(predictor, [one])
            return
        self._seconds_a_picture += 0.2 * (taken / len(group) - self._seconds_a_picture)
        self._metrics.batches.labels(self.name).observe(len(group))
        for number, one in enumerate(group):
            seconds = {"decode": one.seconds, "queue": started - one.job.entered - one.seconds, "network": taken}
            confidence_HW = None if confidence_BHW is None else confidence_BHW[number]
            image_HW3, valid_HW, remarks = one.picture[:3]
            labelled = image_HW3, masked(label_BHW[number], valid_HW), unsure(confidence_HW, valid_HW)
            self._answer(one.job, Seen(self.name, predictor.classes, *labelled, seconds, list(remarks)))

    def _answer(self, job: Job, seen: Seen) -> None:
        try:
            answer = encode(seen, job.ask)
        except Exception as error:
            self._fail(job, error)
            return
        self._metrics.pictures.labels(self.name).inc()
        for stage, seconds in answer.seconds.items():
            self._metrics.stages.labels(self.name, stage).observe(seconds)
        job.future.set_result(answer)

    def _fail(self, job: Job, error: Exception) -> None:
        problem = problems.of(error)
        if problem.status >= 500 and not isinstance(error, Problem):
            logs.say("failed", logs.logging.ERROR, error, request_id=job.ask.request_id, model=self.name)
        job.future.set_exception(problem)
