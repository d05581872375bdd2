"""Logs and metrics of the server."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_MOST_EVENT_TYPES = 200


def configure_logging(form: str) -> None:
    """Structured logs on standard error, as text for people or as JSON for machines."""
    renderer = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


class Metrics:
    """What this process counts itself; the state of rollouts is read from the database when scraped."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outcomes = Counter(
            "canary_outcomes", "Outcomes by class.", ["flag", "variant", "event_type", "outcome"], registry=registry
        )
        self.batches = Counter("canary_ingest_batches", "Reports by result.", ["result"], registry=registry)
        self.evaluation = Histogram(
            "canary_evaluation_duration_seconds",
            "Time to evaluate one rollout.",
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )
        self.evaluated = Gauge(
            "canary_evaluation_last_timestamp_seconds", "When this process last evaluated.", registry=registry
        )
        self.errors = Counter("canary_judge_errors", "Evaluations that ended in an error.", registry=registry)
        self.leader = Gauge("canary_leader", "1 while this process holds the leader lease.", registry=registry)
        self.streams = Gauge("canary_stream_clients", "Open event streams.", registry=registry)
        self.notifications = Counter(
            "canary_notifications",
            "Attempts to deliver a notice, by how they ended.",
            ["channel", "result"],
            registry=registry,
        )
        self._event_types: set[str] = set()

    def count_outcomes(self, flag: str, variant: str, event_type: str, counts: Mapping[str, int]) -> None:
        """Add outcomes; beyond 200 event types the rest share one label, so that nobody floods a scrape."""
        label = self._label(event_type)
        for outcome, count in counts.items():
            if count:
                self.outcomes.labels(flag, variant, label, outcome).inc(count)

    def _label(self, event_type: str) -> str:
        if event_type not in self._event_types:
            if len(self._event_types) >= _MOST_EVENT_TYPES:
                return "other"
            self._event_types.add(event_type)
        return event_type
