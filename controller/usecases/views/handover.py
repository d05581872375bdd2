"""Handing over: what is under way, what holds it, and what comes next."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.durations import moment_text, percent_text
from controller.domain.freezes import Active, Held, held
from controller.domain.rollouts import Phase, Rollout
from controller.storage import alerts, freezes, ledger, rollouts, snapshots
from controller.usecases.views.alerts import open_alerts
from controller.usecases.views.freezes import freeze_page
from controller.usecases.views.rollouts import bake_left_ms, percent, share_of
from controller.usecases.views.schedules import upcoming
from controller.wire.api.handover import HandoverItem, HandoverView
from controller.wire.api.rollouts import AlertView

_WEEK_MS = 7 * 86_400_000
_MOST_PLANNED = 100


def handover_view(connection: Connection, now_ms: int) -> HandoverView:
    """What whoever takes over has to know, with freezes that are on or begin within a week, and what is planned."""
    active = freezes.active(connection, now_ms)
    soon = [
        view
        for view in freeze_page(connection, now_ms).items
        if view.active_until_ms is not None or (view.next_ms is not None and view.next_ms - now_ms <= _WEEK_MS)
    ]
    return HandoverView(
        environment=snapshots.environment(connection),
        at_ms=now_ms,
        rollouts=[_item(connection, rollout, active, now_ms) for rollout in rollouts.unfinished(connection)],
        freezes=soon,
        planned=upcoming(connection, _MOST_PLANNED),
        alerts=open_alerts(connection),
    )


def _item(connection: Connection, rollout: Rollout, active: list[Active], now_ms: int) -> HandoverItem:
    analysis = ledger.latest_analysis(connection, rollout.key)
    opened = alerts.open_alerts(connection, [rollout.key]).get(rollout.key, {})
    frozen = held(active, rollout.flag_key)
    return HandoverItem(
        rollout=rollout.key,
        flag=rollout.flag_key,
        phase=rollout.phase.value,
        share_percent=percent(share_of(rollout)),
        target_percent=percent(rollout.plan.weight_of(len(rollout.plan.stages) - 1)),
        owner=rollout.plan.owner,
        channel=rollout.plan.channel,
        note=rollout.plan.note,
        verdict=analysis["verdict"] if analysis else "",
        holds=_holds(connection, rollout, frozen.words, analysis["message"] if analysis else ""),
        next=_next(rollout, frozen, now_ms),
        alerts=[AlertView(rollout.key, one.name, one.message, one.since_ms) for one in opened.values()],
        planned=upcoming(connection, _MOST_PLANNED, (rollout.key, rollout.flag_key)),
    )


def _holds(connection: Connection, rollout: Rollout, frozen: str, judged: str) -> str:
    match rollout.phase:
        case Phase.ROLLING_BACK:
            found = rollouts.verification(connection, rollout.key)
            return found.sentence if found else "no client has been asked yet"
        case Phase.MEASURING:
            return frozen or "the control is being measured; nobody sees the canary yet"
    return "; ".join(part for part in (frozen, judged) if part) or "nothing has been judged yet"


def _next(rollout: Rollout, frozen: Held, now_ms: int) -> str:
    match rollout.phase:
        case Phase.ROLLING_BACK:
            return "verified once every live instance has confirmed"
        case Phase.PAUSED:
            return "a person resumes it or rolls it back"
        case Phase.MEASURING:
            left = max(0, rollout.plan.measure_ms - (now_ms - (rollout.started_ms or now_ms)))
            first = percent_text(rollout.plan.weight_of(0))
            return f"{first} {_when(left, frozen, now_ms)}, if the control is above its floor"
    following = rollout.next_stage
    what = "promotion" if following is None else percent_text(rollout.plan.weight_of(following))
    agreed = " and somebody has approved" if rollout.approval and rollout.approved != following else ""
    return f"{what} {_when(bake_left_ms(rollout, now_ms) or 0, frozen, now_ms)}, once it is proven{agreed}"


def _when(left_ms: int, frozen: Held, now_ms: int) -> str:
    earliest_ms = max(now_ms + left_ms, frozen.until_ms or 0)
    return f"at {moment_text(earliest_ms)} at the earliest" if earliest_ms > now_ms else "at any moment"
