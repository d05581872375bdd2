"""Logs and metrics of the server."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from controller.tracing import add_trace, exemplar

#: Different label sets of one counter; what comes beyond them shares one of its own.
MOST_OUTCOME_LABELS, MOST_FLAG_LABELS, MOST_CHANNEL_LABELS = 2_000, 200, 100
_OTHER = "other"
#: Where one-time links lead; what follows is the secret.
_SETUP = "/setup/"
_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SLOW = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)


def configure_logging(form: str) -> None:
    """Structured logs on standard error, as text for people or as JSON for machines; those of libraries as well."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def told_path(path: str) -> str:
    """A request's path as a log may have it: without the secret of a one-time link."""
    return f"{_SETUP}..." if path.startswith(_SETUP) else path


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Measure a piece of work, however it ends; its trace is kept beside the figure."""
    began_s = time.monotonic()
    try:
        yield
    finally:
        histogram.observe(time.monotonic() - began_s, exemplar())


class Labels:
    """Lets through the first so many label sets; whatever comes later is `other`: nobody floods a scrape.

    Args:
        most: label sets of all; most_of_one: of one first label, so that one that is flooded leaves room for others.
    """

    def __init__(self, most: int, most_of_one: int | None = None) -> None:
        self._most = most
        self._most_of_one = most if most_of_one is None else most_of_one
        self._known: set[tuple[str, ...]] = set()
        self._of_one: dict[str, int] = {}

    def __call__(self, first: str, *more: str) -> tuple[str, ...]:
        """These labels; the first one with `other` for the rest; or `other` for all."""
        labels = (first, *more)
        if labels in self._known:
            return labels
        others = (_OTHER,) * len(more)
        if self._of_one.get(first, 0) >= self._most_of_one:
            return (first, *others)
        if len(self._known) >= self._most:
            return (_OTHER, *others)
        self._known.add(labels)
        self._of_one[first] = self._of_one.get(first, 0) + 1
        return labels


class Metrics:
    """What this process counts itself; what is read from the database when scraped is in `controller/web/figures`.

    Each process has its own: replicas are scraped one by one, and what they count adds up. docs/metrics.md lists all.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outcomes = Counter(
            "canary_outcomes", "Outcomes by class.", ["flag", "variant", "event_type", "outcome"], registry=registry
        )
        self.batches = Counter("canary_ingest_batches", "Reports by result.", ["result"], registry=registry)
        self.rows = Counter("canary_ingest_rows", "Rows of the reports that were written.", registry=registry)
        self.acknowledged = Histogram(
            "canary_ingest_duration_seconds",
            "Time from a checked report to its commit.",
            registry=registry,
            buckets=_QUICK,
        )
        self.lag = Histogram(
            "canary_report_lag_seconds", "How old events are when they arrive.", registry=registry, buckets=_SLOW
        )
        self.evaluation = Histogram(
            "canary_evaluation_duration_seconds",
            "Time to evaluate one group of rollouts.",
            registry=registry,
            buckets=_QUICK,
        )
        self.tick = Histogram(
            "canary_tick_duration_seconds", "Time of a whole tick.", registry=registry, buckets=(*_QUICK, 10, 20)
        )
        self.lateness = Histogram(
            "canary_tick_lateness_seconds", "How late a tick begins.", registry=registry, buckets=(*_QUICK, 10, 20, 30)
        )
        self.evaluated = Gauge(
            "canary_evaluation_last_timestamp_seconds", "When this process last evaluated.", registry=registry
        )
        self.errors = Counter("canary_judge_errors", "Evaluations that ended in an error.", registry=registry)
        self.leader = Gauge("canary_leader", "1 while this process holds the leader lease.", registry=registry)
        self.notifications = Counter(
            "canary_notifications", "Attempts to deliver a notice.", ["channel", "result"], registry=registry
        )
        self._outcome_labels = Labels(MOST_OUTCOME_LABELS, MOST_FLAG_LABELS)
        self._counted: dict[tuple[str, ...], dict[str, Counter]] = {}
        self._channel_labels = Labels(MOST_CHANNEL_LABELS)

    def count_outcomes(self, flag: str, variant: str, event_type: str, counts: Mapping[str, int]) -> None:
        """Add outcomes; beyond 200 variants and event types of a flag the rest share one label set, 2,000 of all."""
        labels = self._outcome_labels(flag, variant, event_type)
        counted = self._counted.get(labels)
        if counted is None:  # all classes at once: a count that begins at one has no increase that Prometheus could see
            counted = self._counted[labels] = {name: self.outcomes.labels(*labels, name) for name in counts}
        for outcome, count in counts.items():
            if count:
                counted[outcome].inc(count, exemplar())

    def count_notification(self, channel: str, result: str) -> None:
        """Count an attempt: delivered, failed or dead."""
        self.notifications.labels(*self._channel_labels(channel), result).inc()
