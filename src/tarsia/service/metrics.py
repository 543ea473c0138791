"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one service, in a registry of their own: several services may live in one process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("tarsia_requests", "Answers", ["route", "method", "status"], registry=registry)
        self.seconds = Histogram(
            "tarsia_request_seconds", "From request to answer", ["route"], buckets=_SECONDS, registry=registry
        )
        self.stages = Histogram(
            "tarsia_stage_seconds", "Of a picture", ["model", "stage"], buckets=_SECONDS, registry=registry
        )
        self.pictures = Counter("tarsia_pictures", "Pictures segmented", ["model"], registry=registry)
        self.batches = Histogram(
            "tarsia_batch_size", "Pictures in one run of the network", ["model"], buckets=_BATCHES, registry=registry
        )
        self.queued = Gauge("tarsia_queue_length", "Pictures that wait", ["model"], registry=registry)
        self.refused = Counter("tarsia_refused", "Requests refused, by what for", ["reason"], registry=registry)
        self.left = Counter("tarsia_left", "Requests whose client left before the answer", registry=registry)
        self.reloads = Counter("tarsia_reloads", "Model files that changed", ["model", "result"], registry=registry)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)
