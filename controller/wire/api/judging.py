"""What the judge saw, said and did: decisions, alerts, ledgers, explanations."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.wire.api.rollouts import FindingView, LackView, StreamView
from controller.wire.manifests import Manifest


class QuarantineView(msgspec.Struct):
    """An application version that failed."""

    flag: str
    app_version: str
    rollout: str
    round: int
    since_ms: int
    message: str


class DecisionView(msgspec.Struct):
    """An act on a rollout and why."""

    id: int
    rollout: str
    at_ms: int
    actor: str
    action: str
    from_phase: str
    to_phase: str
    share_percent: float
    seq: int | None
    reason: str
    message: str
    arithmetic: dict[str, Any]


class SlotView(msgspec.Struct):
    """One slot of the ledger with its analysis: everything that replay needs."""

    seq: int
    closed_ms: int
    epoch: int
    stage: int
    weight: int
    rows: list[tuple[int, str, str, int, int]]
    gauges: dict[str, Any]
    circumstances: dict[str, Any]
    verdict: str
    action: str
    message: str
    findings: list[dict[str, Any]]
    lacking: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    notes: list[str]
    slot_digest: str
    state_digest: str
    constants_digest: str


class RoundView(msgspec.Struct):
    """One round of a rollout: what it was judged by, where its evidence begins, how it ended and was labelled."""

    round: int
    first_seq: int
    first_epoch: int
    constants: str
    mode: str
    started_by: str
    started_ms: int
    ended_ms: int | None = None
    ended_as: str = ""
    ended_by: str = ""
    detected_ms: int | None = None
    decided_ms: int | None = None
    verified_ms: int | None = None
    shared: bool = False
    label: bool | None = None
    labelled_by: str = ""
    label_reason: str = ""
    control_failed: int = 0
    control_total: int = 0


class LedgerView(msgspec.Struct):
    """A page of the ledger; its rounds carry the constants in their canonical form.

    Attributes:
        judged_seq, memory: the newest slot that the judge remembers, and the digest of what it remembers: a ledger that
            ends before it has lost slots.
        purged_through, purged_ms: slots up to this one were deleted by retention, and when.
    """

    rollout: str
    rounds: list[RoundView]
    slots: list[SlotView]
    next_seq: int | None
    manifest: Manifest | None = None
    judged_seq: int = 0
    memory: str = ""
    purged_through: int = 0
    purged_ms: int | None = None


class ErrorsView(msgspec.Struct):
    """How often the judge was wrong, by what people said of its rollbacks."""

    rollbacks: int
    false_rollbacks: int
    unlabelled: int
    rollout_days: float
    false_per_100_days: float | None


class OutlookView(msgspec.Struct):
    """What would settle a stage either way, at the canary's traffic of the last hour.

    Attributes:
        failures: further failed units, if all failed, that would convict; `failing_stream` is where.
        successes: further units without a failure that would prove the stage; None: none would, with those that failed.
        waits_for: the stream that needs them, or `comparison` (with the control, over all event types).
        expected_ms: when those will have come; None where there is no traffic.
    """

    failures: int
    failing_stream: str
    successes: int | None
    waits_for: str
    expected_ms: int | None
    sentence: str


class EvidenceLine(msgspec.Struct):
    """A stream's evidence over time, in per cent of its line; 100 convicts."""

    guard: str
    stream: str
    percent: list[float | None]


class ExplainView(msgspec.Struct):
    """Why a rollout stands where it stands."""

    rollout: str
    at_ms: int
    verdict: str
    action: str
    sentence: str
    arithmetic: dict[str, Any]
    lacking: list[LackView]
    findings: list[FindingView]
    evidence: list[StreamView]
    notes: list[str]
    outlook: OutlookView | None
    times: list[int]
    lines: list[EvidenceLine]


class SeriesView(msgspec.Struct):
    """A chart: times in seconds, and one list of values per line."""

    times: list[int]
    series: list[dict[str, Any]]
    line: float | None = None
    bands: list[dict[str, Any]] = []
    markers: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []


class ImpactEvent(msgspec.Struct):
    """What became of one event type on the canary."""

    event_type: str
    delivered: int
    failed: int
    abandoned: int
    interrupted: int


class ImpactView(msgspec.Struct):
    """Whom a canary harmed in a period: from windows, and (as long as raw outcomes are kept) by user."""

    from_ms: int
    to_ms: int
    delivered: int
    failed: int
    failed_users: int
    events: list[ImpactEvent]
