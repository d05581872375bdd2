"""/api/v1/rollouts/{key}/decisions, /analyses, /ledger and /rounds, alerts, and how often the judge was wrong."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.domain.principals import Need
from controller.storage import rollouts
from controller.usecases.views.alerts import alert_history, open_alerts, quarantine_views
from controller.usecases.views.history import analysis_page, decision_page, errors_view, ledger_view, round_views
from controller.web.access import needs, services
from controller.web.http import answer, limit, number
from controller.wire.api.common import Page

blueprint = Blueprint("decisions", __name__)


@blueprint.get("/api/v1/rollouts/<key:key>/decisions")
@needs(Need.READ)
def list_decisions(key: str) -> Response:
    """What was done to a rollout and why, in order."""
    with services().database.read() as connection:
        rollout = rollouts.get(connection, key)
        return answer(decision_page(connection, rollout.key, number("after", 0), limit()))


@blueprint.get("/api/v1/rollouts/<key:key>/analyses")
@needs(Need.READ)
def list_analyses(key: str) -> Response:
    """The judge's word on each slot, in order."""
    with services().database.read() as connection:
        rollout = rollouts.get(connection, key)
        return answer(analysis_page(connection, rollout.key, number("after", 0), limit()))


@blueprint.get("/api/v1/rollouts/<key:key>/ledger")
@needs(Need.READ)
def get_ledger(key: str) -> Response:
    """The evidence slot by slot with its analyses and the judge's constants."""
    with services().database.read() as connection:
        rollout = rollouts.get(connection, key)
        return answer(ledger_view(connection, rollout, number("after", 0), limit()))


@blueprint.get("/api/v1/rollouts/<key:key>/rounds")
@needs(Need.READ)
def list_rounds(key: str) -> Response:
    """Each start of a rollout, and how it ended."""
    with services().database.read() as connection:
        rollout = rollouts.get(connection, key)
        return answer(Page(round_views(connection, rollout.key)))


@blueprint.get("/api/v1/rollouts/<key:key>/alerts")
@needs(Need.READ)
def list_alerts_of(key: str) -> Response:
    """The alerts of a rollout, open and past, the newest first."""
    with services().database.read() as connection:
        rollout = rollouts.get(connection, key)
        return answer(Page(alert_history(connection, rollout.key, limit())))


@blueprint.get("/api/v1/alerts")
@needs(Need.READ)
def list_alerts() -> Response:
    """All open alerts, the newest first."""
    with services().database.read() as connection:
        return answer(Page(open_alerts(connection)))


@blueprint.get("/api/v1/quarantines")
@needs(Need.READ)
def list_quarantines() -> Response:
    """Application versions that failed and serve the control."""
    with services().database.read() as connection:
        return answer(Page(quarantine_views(connection)))


@blueprint.get("/api/v1/judge")
@needs(Need.READ)
def judge_errors() -> Response:
    """How often the judge was wrong, by the labels of people."""
    here = services()
    with here.database.read() as connection:
        return answer(errors_view(connection, here.clock()))
