"""A rollout with all that its page shows: share, stage, evidence, verdict, verification and the health of both arms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from controller.domain.bucketing import WHOLE
from controller.domain.decisions import circumstances_of
from controller.domain.explain import sentence
from controller.domain.freezes import held
from controller.domain.guards import Guard
from controller.domain.instances import Verification
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Effect, Evidence, Finding, Rule
from controller.domain.ledger import Users
from controller.domain.plans import Stage
from controller.domain.rollouts import Phase, Rollout
from controller.storage import rollouts
from controller.usecases.views.gathering import Gathered, constants_of, gather
from controller.usecases.views.health import health
from controller.usecases.views.paging import slice_page
from controller.wire.api.common import Page
from controller.wire.api.rollouts import (
    AlertView,
    AnalysisView,
    FindingView,
    GuardView,
    LackView,
    RolloutView,
    StageView,
    StreamView,
    UsersView,
    VerificationView,
)

_TIMES = (
    "created_ms",
    "started_ms",
    "stage_started_ms",
    "detected_ms",
    "decided_ms",
    "verified_ms",
    "ended_ms",
    "cool_until_ms",
)


def rollout_view(connection: Connection, rollout: Rollout, now_ms: int, *, message: str = "") -> RolloutView:
    """One rollout with its health; `message` is what its last act came to."""
    [view] = rollout_views(connection, [rollout], now_ms)
    view.health = health(connection, rollout, now_ms)
    view.message = message
    return view


def rollout_views(connection: Connection, found: Sequence[Rollout], now_ms: int) -> list[RolloutView]:
    """Several rollouts in a few queries, without their health, which costs a sum over windows each."""
    known = gather(connection, found, now_ms)
    return [_view(known, rollout, now_ms) for rollout in found]


def rollout_page(  # noqa: PLR0913 - a page, and what is wanted
    connection: Connection, now_ms: int, after: int, limit: int, *, phase: str = "", flag: str = "", owner: str = ""
) -> Page[RolloutView]:
    """Rollouts, the newest first, without their health; empty words let all pass."""
    found = [
        one
        for one in rollouts.every(connection)
        if phase in ("", one.phase.value) and flag in ("", one.flag_key) and owner in ("", one.plan.owner)
    ]
    kept = slice_page(found, after, limit, lambda rollout: rollout)
    return Page(rollout_views(connection, kept.items, now_ms), kept.next)


def _view(known: Gathered, rollout: Rollout, now_ms: int) -> RolloutView:
    analysis, verification = known.analyses.get(rollout.key), known.verifications.get(rollout.key)
    counted, open_alerts = known.users.get(rollout.key), known.alerts.get(rollout.key, {})
    following, plan = rollout.next_stage, rollout.plan
    same = ("key", "control", "canary", "stage", "epoch", "version", "round", "started_by", "revision", *_TIMES)
    return RolloutView(
        **{name: getattr(rollout, name) for name in same},
        flag=rollout.flag_key,
        phase=rollout.phase.value,
        stages=[_stage_view(stage) for stage in plan.stages],
        share_percent=percent(share_of(rollout)),
        unit=plan.unit.value,
        events=list(plan.events),
        owner=plan.owner,
        channel=plan.channel,
        note=plan.note,
        mode=plan.mode.value,
        breaker=plan.breaker.value,
        guards=[_guard_view(guard) for guard in plan.guards],
        floor_percent=None if rollout.floor_ppm is None else rollout.floor_ppm / 10_000,
        bake_left_ms=bake_left_ms(rollout, now_ms),
        measure_left_ms=_measure_left_ms(rollout, now_ms),
        next_share_percent=None if following is None else percent(plan.weight_of(following)),
        approval=circumstances_of(rollout, now_ms).agreement.value,
        approval_until_ms=_approval_until_ms(rollout),
        evaluated_ms=known.looked_at.get(rollout.key),
        users=None if counted is None else _users_view(counted),
        analysis=None if analysis is None else _analysis(analysis, known.constants.get(analysis["constants_digest"])),
        verification=None if verification is None else verification_view(verification),
        alerts=[AlertView(rollout.key, one.name, one.message, one.since_ms) for one in open_alerts.values()],
        quarantined=list(known.quarantined.get(rollout.flag_key, ())),
        frozen="" if rollout.phase.final else held(known.freezes, rollout.flag_key).words,
    )


def share_of(rollout: Rollout) -> int:
    """The canary's share of the users in parts of 10,000: everybody, once it is promoted."""
    return WHOLE if rollout.phase is Phase.PROMOTED else rollout.weight


def bake_left_ms(rollout: Rollout, now_ms: int) -> int | None:
    """How long the present stage must still hold; while paused it does not get shorter. None when nothing bakes."""
    if not rollout.phase.live or rollout.stage_started_ms is None:
        return None
    until_ms = now_ms if rollout.paused_ms is None else rollout.paused_ms
    return max(0, rollout.present_stage.bake_ms - (until_ms - rollout.stage_started_ms))


def analysis_view(connection: Connection, row: dict[str, Any]) -> AnalysisView:
    """A stored analysis."""
    return _analysis(row, constants_of(connection, row["constants_digest"]) if row["findings"] else None)


def verification_view(found: Verification) -> VerificationView:
    """How far a rollback has got."""
    return VerificationView(
        complete=found.complete,
        sentence=found.sentence,
        confirmed=found.confirmed,
        expired=found.expired,
        unverifiable=found.unverifiable,
        missing=[{"instance": missing.instance, "why": missing.why} for missing in found.missing],
        open_runs=found.open_runs,
        first_applied_ms=found.first_applied_ms,
        last_applied_ms=found.last_applied_ms,
        last_exposure_ms=found.last_exposure_ms,
    )


def percent(weight: int) -> float:
    """Parts of 10,000 as per cent."""
    return 100 * weight / WHOLE


def stream_view(evidence: Evidence) -> StreamView:
    """Where a stream stands."""
    return StreamView(
        guard=evidence.guard,
        stream=evidence.stream,
        score_micronats=evidence.score,
        line_micronats=evidence.line,
        failed_milli_units=evidence.failed,
        total_milli_units=evidence.total,
        percent_of_line=evidence.permille_of_line / 10,
    )


def _analysis(row: dict[str, Any], frozen: Constants | None) -> AnalysisView:
    found = [Finding(**_with_kinds(stored)) for stored in row["findings"]]
    return AnalysisView(
        seq=row["seq"],
        at_ms=row["closed_ms"],
        epoch=row["epoch"],
        verdict=row["verdict"],
        action=row["action"],
        message=row["message"],
        lacking=[LackView(**stored) for stored in row["lacking"]],
        findings=[_finding_view(frozen, finding, row["message"]) for finding in found],
        evidence=[stream_view(Evidence(**stored)) for stored in row["evidence"]],
        notes=row["notes"],
        state_digest=row["state_digest"],
    )


def _finding_view(frozen: Constants | None, finding: Finding, message: str) -> FindingView:
    return FindingView(
        guard=finding.guard,
        rule=finding.rule.value,
        stream=finding.stream,
        effect=finding.effect.value,
        sentence=message if frozen is None else sentence(frozen, finding),
        failed_milli_units=finding.failed,
        total_milli_units=finding.total,
        score_micronats=finding.score,
        line_micronats=finding.line,
        instance=finding.instance,
        shared=finding.shared,
    )


def _with_kinds(stored: dict[str, Any]) -> dict[str, Any]:
    return {**stored, "rule": Rule(stored["rule"]), "effect": Effect(stored["effect"])}


def _stage_view(stage: Stage) -> StageView:
    if stage.approval is None:
        return StageView(percent(stage.weight), stage.bake_ms)
    return StageView(percent(stage.weight), stage.bake_ms, stage.approval.within_ms, stage.approval.otherwise.value)


def _guard_view(guard: Guard) -> GuardView:
    rates = (guard.at_least_ppm, guard.margin_ppm, guard.floor_ppm)
    at_least, margin, floor = (None if rate is None else rate / 10_000 for rate in rates)
    return GuardView(guard.name, guard.metric.value, guard.action.value, at_least, margin, floor, guard.deadline_ms)


def _users_view(found: Users) -> UsersView:
    return UsersView(found.canary << found.level, found.control << found.level, 1 << found.level)


def _measure_left_ms(rollout: Rollout, now_ms: int) -> int | None:
    if rollout.phase is not Phase.MEASURING or rollout.started_ms is None:
        return None
    return max(0, rollout.plan.measure_ms - (now_ms - rollout.started_ms))


def _approval_until_ms(rollout: Rollout) -> int | None:
    if rollout.approval is None or rollout.approval_asked_ms is None:
        return None
    return rollout.approval_asked_ms + rollout.approval.within_ms
