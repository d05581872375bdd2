"""Rollouts as the REST interface shows them, and what people may ask of them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from controller.wire.api.common import Reason


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

    right: bool
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


class AlertView(msgspec.Struct):
    """Something that a person should look at; open while `until_ms` is empty."""

    rollout: str
    name: str
    message: str
    since_ms: int
    until_ms: int | None = None


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
    """A rollout, with all that its page shows; `frozen` is the freeze that holds it, in words."""

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
    breaker: str
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
    frozen: str = ""
