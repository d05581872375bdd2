"""A rollout with all that its page shows: share, stage, evidence, verdict, verification and the health of both arms."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from controller.domain.bucketing import WHOLE
from controller.domain.instances import Verification
from controller.domain.judge.findings import Evidence
from controller.domain.rollouts import Phase, Rollout
from controller.storage import ledger, rollouts
from controller.usecases.views.health import health
from controller.usecases.views.paging import slice_page
from controller.wire.api import (
    AnalysisView,
    Page,
    RolloutView,
    StageView,
    StreamView,
    VerificationView,
)


def rollout_view(
    connection: Connection, rollout: Rollout, now_ms: int, *, with_health: bool = True, message: str = ""
) -> RolloutView:
    """One rollout; `message` is what its last act came to."""
    analysis = ledger.latest_analysis(connection, rollout.key)
    verification = rollouts.verification(connection, rollout.key)
    return RolloutView(
        key=rollout.key,
        flag=rollout.flag_key,
        control=rollout.control,
        canary=rollout.canary,
        phase=rollout.phase.value,
        stage=rollout.stage,
        stages=[StageView(percent(stage.weight), stage.bake_ms) for stage in rollout.plan.stages],
        share_percent=percent(share_of(rollout)),
        epoch=rollout.epoch,
        version=rollout.version,
        unit=rollout.plan.unit.value,
        events=list(rollout.plan.events),
        owner=rollout.plan.owner,
        note=rollout.plan.note,
        floor_percent=None if rollout.floor_permille is None else rollout.floor_permille / 10,
        created_ms=rollout.created_ms,
        started_ms=rollout.started_ms,
        stage_started_ms=rollout.stage_started_ms,
        bake_left_ms=bake_left_ms(rollout, now_ms),
        detected_ms=rollout.detected_ms,
        decided_ms=rollout.decided_ms,
        verified_ms=rollout.verified_ms,
        ended_ms=rollout.ended_ms,
        revision=rollout.revision,
        analysis=None if analysis is None else analysis_view(analysis),
        verification=None if verification is None else verification_view(verification),
        health=health(connection, rollout, now_ms) if with_health else [],
        message=message,
    )


def rollout_page(connection: Connection, now_ms: int, after: int, limit: int) -> Page:
    """Rollouts, the newest first, without their health, which costs a sum over windows each."""
    return slice_page(
        rollouts.every(connection),
        after,
        limit,
        lambda rollout: rollout_view(connection, rollout, now_ms, with_health=False),
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


def analysis_view(row: dict[str, Any]) -> AnalysisView:
    """A stored analysis."""
    return AnalysisView(
        seq=row["seq"],
        at_ms=row["closed_ms"],
        epoch=row["epoch"],
        verdict=row["verdict"],
        action=row["action"],
        message=row["message"],
        lacking=row["lacking"],
        evidence=[_stream_view(name, Evidence(**stored)) for name, stored in row["evidence"].items()],
        state_digest=row["state_digest"],
    )


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


def _stream_view(name: str, evidence: Evidence) -> StreamView:
    return StreamView(
        stream=name,
        score_micronats=evidence.score,
        line_micronats=evidence.line,
        failed_milli_units=evidence.failed,
        total_milli_units=evidence.total,
        percent_of_line=evidence.permille_of_line / 10,
    )
