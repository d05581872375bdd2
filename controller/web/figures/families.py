"""Short forms of what prometheus-client offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Key = TypeVar("Key", bound=tuple[str, ...])


def gauge(name: str, text: str, value: float) -> Metric:
    """One value."""
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family


def gauges(name: str, text: str, labels: Iterable[str], values: Mapping[Key, float]) -> Metric:
    """A value for each label set."""
    family = GaugeMetricFamily(name, text, labels=list(labels))
    for found, value in values.items():
        family.add_metric(list(found), value)
    return family


def counters(name: str, text: str, labels: Iterable[str], values: Mapping[Key, float]) -> Metric:
    """A count for each label set."""
    family = CounterMetricFamily(name, text, labels=list(labels))
    for found, value in values.items():
        family.add_metric(list(found), value)
    return family
