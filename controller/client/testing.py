"""A provider for tests of applications: the real one, without a controller.

    flags = MemoryProvider()
    flags.put("new-search", {"off": False, "on": True}, control="off")
    api.set_provider_and_wait(flags)

What it answers, announces and refuses is what `CanaryProvider` does, since it is that; snapshots come from the test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.track import TrackingEventDetails

from controller.client.canary import CanaryClient
from controller.client.pace import Pace
from controller.client.provider import CanaryProvider
from controller.domain.durations import parts_of
from controller.domain.flags import Value
from controller.domain.metrics import UnitKind
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.domain.snapshots import PublishedFlag, PublishedRollout, Snapshot
from controller.domain.targeting import NO_TARGETING, Targeting
from controller.wire.codec import convert
from controller.wire.snapshots import to_wire
from controller.wire.targeting import TargetingForm, targeting_of

_PACE = Pace(lease_jitter=0.0, return_after=0.0, return_spread=0.0)


class ManualClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """The present second."""
        return self.now


@dataclass(frozen=True, slots=True)
class Tracked:
    """One call of `track`."""

    event: str
    targeting_key: str | None
    value: float | None
    attributes: Mapping[str, Any]


class _Unconnected(CanaryClient):
    """A client that follows nobody."""

    def _follow(self) -> None:
        self._ticked()


class MemoryProvider(CanaryProvider):
    """Flags from memory, as `CanaryProvider` serves them; each change is announced as a new revision.

    Attributes:
        clock: moves contact leases; `lapse` and `recover` use it.
        tracked: every call of `track`.
    """

    client_class = _Unconnected

    def __init__(self, environment: str = "test") -> None:
        self.clock = ManualClock()
        super().__init__("http://unconnected.invalid", "unused", reporter=None, clock=self.clock, pace=_PACE)
        self.tracked: list[Tracked] = []
        self._environment = environment
        self._flags: dict[str, PublishedFlag] = {}
        self._revision = 0
        self._publish()

    def put(
        self,
        key: str,
        variants: Mapping[str, Value],
        *,
        control: str,
        served: str = "",
        targeting: Mapping[str, Any] | None = None,
    ) -> None:
        """Add or replace a flag; `targeting` is in the written form (`{"deny": [...], "rules": [...]}`).

        Raises:
            Invalid: it does not fit together; the error names the field.
        """
        version = self._flags[key].version + 1 if key in self._flags else 1
        decided = _targeting(targeting)
        self._flags[key] = PublishedFlag(key, dict(variants), control, served or control, True, version, None, decided)
        self._publish()

    def serve(self, key: str, variant: str) -> None:
        """Serve this variant to everybody; a live rollout is over."""
        self._change(key, served=variant, rollout=None)

    def split(self, key: str, canary: str, share: str) -> None:
        """Begin or move a rollout: this share of the users (`"50%"`) gets the canary, the others the control."""
        rollout = PublishedRollout(
            key=f"{key}-rollout",
            control=self._flags[key].control,
            canary=canary,
            weight=parts_of(share, "share"),
            salt="0123456789abcdef",
            epoch=self._revision + 1,
            unit=UnitKind.USER_10M,
            events=(),
            lease_ms=DEFAULT_LEASE_MS,
        )
        self._change(key, rollout=rollout)

    def kill(self, key: str) -> None:
        """Press the kill switch."""
        self._change(key, enabled=False)

    def remove(self, key: str) -> None:
        """Forget a flag."""
        del self._flags[key]
        self._publish()

    def lapse(self) -> None:
        """The controller has not been heard for longer than the contact lease."""
        self.clock.now += DEFAULT_LEASE_MS / 1000 + 1
        self._tell_from = 0.0
        self.ticked()

    def recover(self) -> None:
        """The controller is heard again."""
        self._publish()
        self.ticked()

    @property
    def exposures(self) -> Counter[tuple[str, str]]:
        """How often each variant of each flag was answered, since the flags were changed last."""
        found: Counter[tuple[str, str]] = Counter()
        for answer in self.client.holder.answers:
            found[answer.flag, answer.variant] += answer.count
        return +found

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Keep the call in `tracked`."""
        key = evaluation_context.targeting_key if evaluation_context is not None else None
        details = tracking_event_details or TrackingEventDetails()
        self.tracked.append(Tracked(tracking_event_name, key, details.value, dict(details.attributes)))

    def _change(self, key: str, **fields: Any) -> None:
        before = self._flags[key]
        self._flags[key] = replace(before, version=before.version + 1, **fields)
        self._publish()

    def _publish(self) -> None:
        self._revision += 1
        body = to_wire(Snapshot(self._environment, self._revision, self._flags))
        if not self.client.holder.receive(body, self.clock.now):
            raise ValueError("these flags do not fit together; the log says why")


def _targeting(form: Mapping[str, Any] | None) -> Targeting:
    return targeting_of(convert(dict(form), TargetingForm)) if form else NO_TARGETING
