"""What a scrape of the state costs, in a small, a middling and a large installation: `python -m benchmarks.scrape`."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from controller.clock import system_clock
from controller.storage import schema
from controller.storage.database import Database
from controller.usecases.evaluation import evaluate
from controller.web.metrics import StateCollector
from tests.builders import a_lease, a_second_rollout, an_instance

SIZES = ((2, 10), (50, 200), (200, 1_000))
TIMES = 9


def measure(rollouts: int, instances: int) -> tuple[float, float, int, int]:
    """Median and worst milliseconds of a scrape, its series and its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'canary.db'}")
        schema.upgrade(database)
        now_ms = system_clock()
        for number in range(rollouts):
            a_second_rollout(database, f"rollout-{number}", now_ms)
        keys = [f"rollout-{number}" for number in range(rollouts)]
        evaluate(database, keys, a_lease(database, now_ms=now_ms), now_ms)
        for number in range(instances):
            an_instance(database, f"instance-{number}", now_ms, attempted=100, delivered=99)
        registry = CollectorRegistry()
        registry.register(StateCollector(database, system_clock))
        took, text = [], b""
        for _ in range(TIMES):
            began = time.process_time()
            text = generate_latest(registry)
            took.append(1000 * (time.process_time() - began))
        database.close()
    return statistics.median(took), max(took), text.count(b"\n") - text.count(b"#"), len(text)


if __name__ == "__main__":
    print("| live rollouts | instances | CPU ms, median | worst | series | kB |\n|---|---|---|---|---|---|")
    for size in SIZES:
        median, worst, series, octets = measure(*size)
        print(f"| {size[0]} | {size[1]:,} | {median:.0f} | {worst:.0f} | {series:,} | {octets / 1000:.0f} |")
