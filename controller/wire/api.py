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
    force: bool = False


class ShareBody(VerbBody, forbid_unknown_fields=True, kw_only=True):
    """A share set by hand, such as `25%`."""

    share: Annotated[str, Meta(max_length=20)]


class ReArmBody(VerbBody, forbid_unknown_fields=True):
    """A rolled-back rollout becomes a draft again; `lift` names application versions to leave quarantine."""

    lift: Annotated[list[Annotated[str, Meta(max_length=200)]], Meta(max_length=50)] = []


class LabelBody(msgspec.Struct, forbid_unknown_fields=True):
    """Whether a rollback was right; the last round's unless another is named."""

    true: bool
    round: int | None = None
    reason: Reason = ""


class StageView(msgspec.Struct):
    """A stage; `approval_within_ms` where entering it needs an approval."""

    share_percent: float
    bake_ms: int
    approval_within_ms: int | None = None
    approval_otherwise: str = ""


class GuardView(msgspec.Struct):
    """A guard as it was written."""

    name: str
    metric: str
    action: str
    at_least_percent: float | None
    margin_percent: float | None
    floor_percent: float | None
    deadline_ms: int


class LackView(msgspec.Struct):
    """Something that a stage lacks to pass."""

    name: str
    text: str


class FindingView(msgspec.Struct):
    """One thing the judge found, in words and in whole numbers."""

    guard: str
    rule: str
    stream: str
    effect: str
    sentence: str
    failed_milli_units: int
    total_milli_units: int
    score_micronats: int
    line_micronats: int
    instance: str = ""
    shared: bool = False


class AlertView(msgspec.Struct):
    """Something that a person should look at; open while `until_ms` is empty."""

    rollout: str
    name: str
    message: str
    since_ms: int
    until_ms: int | None = None


class QuarantineView(msgspec.Struct):
    """An application version that failed."""

    flag: str
    app_version: str
    rollout: str
    round: int
    since_ms: int
    message: str


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
    """Where one stream of a guard's evidence stands against its line."""

    guard: str
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
    lacking: list[LackView]
    findings: list[FindingView]
    evidence: list[StreamView]
    notes: list[str]
    state_digest: str


class EventHealth(msgspec.Struct):
    """Counts of one event type on one arm.

    Attributes:
        unknown: attempts without an outcome: still under way, or lost with a process that died without a word.
    """

    event_type: str
    arm: str
    variant: str
    attempts: int
    delivered: int
    failed: int
    abandoned: int
    interrupted: int
    success_percent: float | None
    unknown: int = 0


class UsersView(msgspec.Struct):
    """Distinct users of the present evidence epoch, about: counted in a sample of one in `one_in`."""

    canary: int
    control: int
    one_in: int


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
    channel: str
    mode: str
    round: int
    guards: list[GuardView]
    floor_percent: float | None
    created_ms: int
    started_ms: int | None
    started_by: str
    stage_started_ms: int | None
    bake_left_ms: int | None
    measure_left_ms: int | None
    next_share_percent: float | None
    approval: str
    approval_until_ms: int | None
    evaluated_ms: int | None
    cool_until_ms: int | None
    detected_ms: int | None
    decided_ms: int | None
    verified_ms: int | None
    ended_ms: int | None
    revision: int | None
    users: UsersView | None = None
    analysis: AnalysisView | None = None
    verification: VerificationView | None = None
    alerts: list[AlertView] = []
    quarantined: list[str] = []
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
    """One client process."""

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
    attempted: int = 0
    delivered: int = 0
    failed: int = 0
    abandoned: int = 0
    interrupted: int = 0
    pending: int = 0
    unknown: int = 0
    unreconciled: int = 0


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
    """A page of the ledger; its rounds carry the constants in their canonical form."""

    rollout: str
    rounds: list[RoundView]
    slots: list[SlotView]
    next_seq: int | None
    manifest: Manifest | None = None


class DetectionView(msgspec.Struct):
    """How a canary of one success rate would fare in a stage: until it is acted against, in simulated repetitions."""

    success_percent: float
    share_percent: float
    repetitions: int
    found: int
    seconds_median: float | None
    seconds_p95: float | None
    failed_events_median: float | None


class StageForecastView(msgspec.Struct):
    """How long a healthy canary would stay in a stage; `judgeable` where most repetitions pass within its patience."""

    share_percent: float
    bake_s: float
    repetitions: int
    passed: int
    seconds_median: float | None
    seconds_p90: float | None
    judgeable: bool


class ForecastView(msgspec.Struct):
    """What a plan would do at some traffic.

    Attributes:
        false_days, false_rollbacks: simulated days of a canary as good as its control, and how many were rolled back.
        alpha_percent: what the judge promises at most, per 24 hours.
    """

    rollout: str
    meaning: str
    events_per_minute: float
    events_per_unit: float
    control_success_percent: float
    floor_percent: float
    alpha_percent: float
    false_days: int
    false_rollbacks: int
    detections: list[DetectionView]
    stages: list[StageForecastView]
    warnings: list[str]


class BacktestView(msgspec.Struct):
    """Another policy over the stored evidence of one round.

    Attributes:
        acted_ms, would_ms: when the rollout was taken back, and when the other policy would have; None: not at all.
        would_action: rollback or pause.
        failed_events: what failed on the canary between the two, where both are known; saved if the policy is earlier.
        passed_ms: when each stage would have been proven; None: never while it lasted.
        times, recorded, backtested: evidence over time, the highest of all streams in per cent of its line.
    """

    rollout: str
    round: int
    started_ms: int
    ended_ms: int | None
    ended_as: str
    acted_ms: int | None
    would_ms: int | None
    would_action: str
    sentence: str
    verdict: str
    failed_events: int | None
    passed_ms: list[int | None]
    times: list[int]
    recorded: list[float]
    backtested: list[float]


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


class ErrorsView(msgspec.Struct):
    """How often the judge was wrong, by what people said of its rollbacks."""

    rollbacks: int
    false_rollbacks: int
    unlabelled: int
    rollout_days: float
    false_per_100_days: float | None


class SeriesView(msgspec.Struct):
    """A chart: times in seconds, and one list of values per line."""

    times: list[int]
    series: list[dict[str, Any]]
    line: float | None = None
    bands: list[dict[str, Any]] = []
    markers: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []


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


class Page(msgspec.Struct):
    """A list with the cursor of its next page."""

    items: list[Any]
    next: int | None = None
