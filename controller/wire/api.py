"""The forms of the REST API under /api/v1: what the server answers and the command line reads."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from controller.wire.manifests import Manifest
from controller.wire.targeting import ConditionForm, TargetingForm

Reason = Annotated[str, Meta(max_length=500)]


class FlagBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new flag."""

    key: str
    variants: dict[str, Any]
    control: str
    served: str = ""
    description: Annotated[str, Meta(max_length=500)] = ""
    enabled: bool = True
    targeting: TargetingForm = msgspec.field(default_factory=TargetingForm)
    prerequisites: Annotated[list[Any], Meta(description="Refused: see docs/flags.md.")] = []


class FlagPatch(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a flag, at the version it was read at."""

    version: int
    enabled: bool | None = None
    served: str | None = None
    description: Annotated[str, Meta(max_length=500)] | None = None
    reason: Reason = ""
    targeting: TargetingForm | None = None


class FlagView(msgspec.Struct):
    """A flag; `withdrawn` are variants that a rollback took from everybody, rules and lists notwithstanding."""

    key: str
    variants: dict[str, Any]
    control: str
    served: str
    enabled: bool
    description: str
    version: int
    updated_ms: int
    rollout: str | None = None
    targeting: TargetingForm = msgspec.field(default_factory=TargetingForm)
    withdrawn: list[str] = []


class SegmentBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new segment."""

    key: str
    when: ConditionForm
    description: Annotated[str, Meta(max_length=500)] = ""


class SegmentPatch(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a segment, at the version it was read at."""

    version: int
    when: ConditionForm | None = None
    description: Annotated[str, Meta(max_length=500)] | None = None
    reason: Reason = ""


class SegmentView(msgspec.Struct):
    """A segment, and the flags that name it."""

    key: str
    when: ConditionForm
    description: str
    version: int
    updated_ms: int
    flags: list[str] = []


class VerbBody(msgspec.Struct, forbid_unknown_fields=True):
    """One of the operator's verbs on a rollout, at the version it was read at (None: whatever it is now)."""

    version: int | None = None
    reason: Reason = ""


class StageView(msgspec.Struct):
    """A stage."""

    share_percent: float
    bake_ms: int


class VerificationView(msgspec.Struct):
    """How far a rollback has got."""

    complete: bool
    sentence: str
    confirmed: int
    expired: int
    unverifiable: int
    missing: list[dict[str, str]]
    open_runs: int
    first_applied_ms: int | None
    last_applied_ms: int | None
    last_exposure_ms: int | None


class StreamView(msgspec.Struct):
    """Where one stream of evidence stands against its line."""

    stream: str
    score_micronats: int
    line_micronats: int
    failed_milli_units: int
    total_milli_units: int
    percent_of_line: float


class AnalysisView(msgspec.Struct):
    """The judge's word on one slot."""

    seq: int
    at_ms: int
    epoch: int
    verdict: str
    action: str
    message: str
    lacking: list[str]
    evidence: list[StreamView]
    state_digest: str


class EventHealth(msgspec.Struct):
    """Counts of one event type on one arm."""

    event_type: str
    arm: str
    variant: str
    attempts: int
    delivered: int
    failed: int
    abandoned: int
    interrupted: int
    success_percent: float | None


class RolloutView(msgspec.Struct):
    """A rollout, with all that its page shows."""

    key: str
    flag: str
    control: str
    canary: str
    phase: str
    stage: int
    stages: list[StageView]
    share_percent: float
    epoch: int
    version: int
    unit: str
    events: list[str]
    owner: str
    note: str
    floor_percent: float | None
    created_ms: int
    started_ms: int | None
    stage_started_ms: int | None
    bake_left_ms: int | None
    detected_ms: int | None
    decided_ms: int | None
    verified_ms: int | None
    ended_ms: int | None
    revision: int | None
    analysis: AnalysisView | None = None
    verification: VerificationView | None = None
    health: list[EventHealth] = []
    message: str = ""


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


class InstanceView(msgspec.Struct):
    """One client process.

    `clock_offset_ms` is its wall clock minus ours, `trips` how often its own breaker went back to the control, `behind`
    that it is live and has not applied the newest revision.
    """

    id: str
    state: str
    reports: bool
    revision: int
    last_contact_ms: int
    app_version: str
    region: str
    sdk: str
    dropped: int
    open_runs: dict[str, int]
    since_applied: dict[str, int] = {}
    applied_ms: int | None = None
    first_seen_ms: int = 0
    clock_offset_ms: int | None = None
    trips: int = 0
    behind: bool = False


class AuditView(msgspec.Struct):
    """Who changed what, when and why."""

    id: int
    at_ms: int
    actor: str
    action: str
    subject: str
    reason: str
    before: Any
    after: Any
    request_id: str


class TokenBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new token."""

    role: str
    name: Annotated[str, Meta(max_length=100)] = ""


class TokenView(msgspec.Struct):
    """A token; its secret is shown once, when it is made."""

    prefix: str
    role: str
    name: str
    created_ms: int
    token: str | None = None


class SlotView(msgspec.Struct):
    """One slot of the ledger with its analysis: everything that replay needs."""

    seq: int
    closed_ms: int
    epoch: int
    stage: int
    weight: int
    rows: list[tuple[int, str, str, int, int]]
    open: dict[str, int]
    verdict: str
    action: str
    message: str
    state_digest: str
    constants_digest: str
    circumstances: dict[str, Any]


class LedgerView(msgspec.Struct):
    """A page of the ledger, with what was frozen at start."""

    rollout: str
    constants: str
    slots: list[SlotView]
    next_seq: int | None
    manifest: Manifest | None = None


class SeriesView(msgspec.Struct):
    """A chart: times in seconds, and one list of values per line."""

    times: list[int]
    series: list[dict[str, Any]]
    line: float | None = None
    bands: list[dict[str, Any]] = []
    markers: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []


class Page(msgspec.Struct):
    """A list with the cursor of its next page."""

    items: list[Any]
    next: int | None = None
