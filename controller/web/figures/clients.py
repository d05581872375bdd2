"""The client processes: who is there, who is behind, who was lost, and what they say they have lost themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric
from sqlalchemy import Connection

from controller.domain.instances import Instance, InstanceState, behind
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.storage import snapshots
from controller.web.figures.families import counters, gauge, gauges

#: A revision that was published so long ago should have been applied.
LAGGING_MS = 60_000
#: An instance whose lease ran out is counted among the lost for so long.
LOST_MS = 600_000
_LOSSES = ("dropped", "unadmitted", "unproved")


class Losses:
    """Adds up what instances say they have counted since their own start, so that it only grows while they come and go.

    What was there at the first look is where counting begins. Each replica adds up for itself from the same rows:
    take the maximum, not the sum.
    """

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, int]] | None = None
        self._totals = dict.fromkeys((*_LOSSES, "trips"), 0)

    def families(self, clients: Sequence[Instance]) -> Iterator[Metric]:
        """The totals after a look at all instances."""
        said = {one.id: {name: getattr(one, name) for name in self._totals} for one in clients}
        if self._seen is not None:
            for instance, counts in said.items():
                before = self._seen.get(instance, {})
                for name, count in counts.items():
                    self._totals[name] += max(0, count - before.get(name, 0))
        self._seen = said
        values = {(name,): float(self._totals[name]) for name in _LOSSES}
        yield counters("canary_client_losses", "What clients had to leave out.", ["kind"], values)
        text = "How often clients' own breakers went back to the control."
        yield counters("canary_breaker_trips", text, [], {(): self._totals["trips"]})


def families(connection: Connection, clients: Sequence[Instance], now_ms: int, lease_ms: int) -> Iterator[Metric]:
    """The families of all instances; `lease_ms` is the contact lease that they are held to."""
    revision = snapshots.latest_revision(connection)
    yield gauge("canary_snapshot_revision", "Newest published revision.", revision)
    yield _states(clients, now_ms)
    text = "Live instances that have not applied the newest revision."
    yield gauge("canary_instances_behind", text, behind(clients, revision, now_ms, lease_ms))
    due = snapshots.revision_at(connection, now_ms - LAGGING_MS)
    text = "Live instances that have not applied what was published a minute ago."
    yield gauge("canary_instances_lagging", text, behind(clients, due, now_ms, lease_ms))
    yield from _lost(clients, now_ms, lease_ms)


def _states(clients: Sequence[Instance], now_ms: int) -> Metric:
    counts = {"live": 0, "expired": 0, "unverifiable": 0}
    for one in clients:
        state = one.state(now_ms, DEFAULT_LEASE_MS)
        if state is InstanceState.LIVE:
            counts["live" if one.reports else "unverifiable"] += 1
        elif state is InstanceState.EXPIRED:
            counts["expired"] += 1
    text = "Client instances by state."
    return gauges("canary_instances", text, ["state"], {(state,): n for state, n in counts.items()})


def _lost(clients: Sequence[Instance], now_ms: int, lease_ms: int) -> Iterator[Metric]:
    """Of those heard of lately, the ones whose contact lease ran out, and what became of their attempts."""
    recent = [one for one in clients if one.reports and now_ms - one.last_contact_ms < LOST_MS + lease_ms]
    expired = [one for one in recent if one.state(now_ms, lease_ms) is InstanceState.EXPIRED]
    yield gauge("canary_recent_instances", "Reporting instances heard of in the last minutes.", len(recent))
    yield gauge("canary_recent_instances_expired", "Those of them whose contact lease ran out.", len(expired))
    yield gauge("canary_recent_attempts", "What they say they have attempted.", sum(one.attempted for one in recent))
    unknown = sum(one.unknown(now_ms, lease_ms) for one in recent)
    yield gauge("canary_recent_attempts_unknown", "Attempts whose outcome nobody will ever know.", unknown)
