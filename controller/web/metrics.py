"""What Prometheus reads of this controller when it scrapes: the database's state, and this process's own parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from controller.clock import Clock
from controller.domain.errors import Unavailable
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.storage import instances, rollouts
from controller.storage.database import Database
from controller.storage.writer import WriterStats
from controller.web.figures import clients, promises
from controller.web.figures import rollouts as rollout_figures
from controller.web.figures.events import Events
from controller.web.figures.families import counters, gauge, gauges
from controller.web.stream import StreamStats

#: Finished rollouts beyond the newest ones are left out of a scrape; unfinished ones never are.
MOST_ROLLOUTS = 200


class StateCollector(Collector):
    """Reads the state when scraped: the same from every replica, so take the maximum, not the sum.

    A database that is away leaves all of it out but `canary_database_up`.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._losses = clients.Losses()
        self._events = Events()

    def describe(self) -> list[Metric]:
        """Nothing in advance: registering must not need the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of the present state."""
        try:
            with self._database.read() as connection:
                families = list(self._families(connection, self._clock()))
        except Unavailable:
            families = []
        yield gauge("canary_database_up", "1 while this process reaches its database.", bool(families))
        yield from families

    def _families(self, connection: Connection, now_ms: int) -> Iterator[Metric]:
        known = rollouts.every(connection)
        lease_ms = max((r.plan.lease_ms for r in known if r.phase.published), default=DEFAULT_LEASE_MS)
        shown = [r for at, r in enumerate(known) if at < MOST_ROLLOUTS or not r.phase.final]
        found = instances.every(connection)
        yield from rollout_figures.families(connection, shown, found, now_ms)
        yield from self._events.families(connection, shown, now_ms)
        yield from clients.families(connection, found, now_ms, lease_ms)
        yield from self._losses.families(found)
        yield from promises.families(connection, now_ms)


class ProcessParts(Collector):
    """The figures that parts of this process keep by themselves: the ingest writer, the streams, the publisher."""

    def __init__(
        self, written: Callable[[], WriterStats], streamed: Callable[[], StreamStats], revision: Callable[[], int]
    ) -> None:
        self._written = written
        self._streamed = streamed
        self._revision = revision

    def describe(self) -> list[Metric]:
        """Nothing in advance: the parts are not there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of this moment."""
        stats, streams = self._written(), self._streamed()
        yield gauge("canary_ingest_waiting", "Reports that wait for their commit.", stats.waiting)
        yield counters("canary_ingest_commits", "Transactions that held reports.", [], {(): stats.commits})
        text = "Evidence rows of rollouts that take none, which were dropped."
        yield counters("canary_ingest_strays", text, [], {(): stats.strays})
        open_ = {(topic,): float(n) for topic, n in streams.clients.items()}
        yield gauges("canary_stream_clients", "Open event streams by topic.", ["topic"], open_)
        yield counters("canary_stream_messages", "Messages sent to streams.", [], {(): streams.delivered})
        ended = {("slow",): float(streams.dropped), ("refused",): float(streams.refused)}
        yield counters("canary_stream_losses", "Streams dropped or refused.", ["why"], ended)
        yield gauge("canary_published_revision", "Newest revision this process has published.", self._revision())
