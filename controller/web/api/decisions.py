"""/api/v1/rollouts/{key}/decisions, /analyses, /ledger and /rounds, alerts, and how often the judge was wrong."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.principals import Need
from controller.storage import rollouts
from controller.usecases.views.alerts import alert_history, open_alerts, quarantine_views
from controller.usecases.views.history import analysis_page, decision_page, errors_view, ledger_view, round_views
from controller.web.access import needs, services
from controller.web.operation import operation
from controller.wire.api.common import Page, PageQuery
from controller.wire.api.judging import DecisionView, ErrorsView, LedgerView, QuarantineView, RoundView
from controller.wire.api.queries import DecisionQuery, LimitQuery
from controller.wire.api.rollouts import AlertView, AnalysisView

blueprint = Blueprint("decisions", __name__)


@blueprint.get("/api/v1/rollouts/<key:key>/decisions")
@needs(Need.READ)
@operation()
def list_decisions(key: str, query: DecisionQuery) -> Page[DecisionView]:
    """What was done to a rollout and why, in order."""
    with services().database.read() as connection:
        rollout = rollouts.get(connection, key)
        return decision_page(connection, rollout.key, query.after, query.limit, query.action)


@blueprint.get("/api/v1/rollouts/<key:key>/analyses")
@needs(Need.READ)
@operation()
def list_analyses(key: str, query: PageQuery) -> Page[AnalysisView]:
    """The judge's word on each slot, in order."""
    with services().database.read() as connection:
        rollout = rollouts.get(connection, key)
        return analysis_page(connection, rollout.key, query.after, query.limit)


@blueprint.get("/api/v1/rollouts/<key:key>/ledger")
@needs(Need.READ)
@operation(also=(409,))
def get_ledger(key: str, query: PageQuery) -> LedgerView:
    """The evidence slot by slot with its analyses and the judge's constants."""
    with services().database.read() as connection:
        rollout = rollouts.get(connection, key)
        return ledger_view(connection, rollout, query.after, query.limit)


@blueprint.get("/api/v1/rollouts/<key:key>/rounds")
@needs(Need.READ)
@operation()
def list_rounds(key: str) -> Page[RoundView]:
    """Each start of a rollout, and how it ended."""
    with services().database.read() as connection:
        rollout = rollouts.get(connection, key)
        return Page(round_views(connection, rollout.key))


@blueprint.get("/api/v1/rollouts/<key:key>/alerts")
@needs(Need.READ)
@operation()
def list_alerts_of(key: str, query: LimitQuery) -> Page[AlertView]:
    """The alerts of a rollout, open and past, the newest first."""
    with services().database.read() as connection:
        rollout = rollouts.get(connection, key)
        return Page(alert_history(connection, rollout.key, query.limit))


@blueprint.get("/api/v1/alerts")
@needs(Need.READ)
@operation()
def list_alerts() -> Page[AlertView]:
    """All open alerts, the newest first."""
    with services().database.read() as connection:
        return Page(open_alerts(connection))


@blueprint.get("/api/v1/quarantines")
@needs(Need.READ)
@operation()
def list_quarantines() -> Page[QuarantineView]:
    """Application versions that failed and serve the control."""
    with services().database.read() as connection:
        return Page(quarantine_views(connection))


@blueprint.get("/api/v1/judge")
@needs(Need.READ)
@operation()
def judge_errors() -> ErrorsView:
    """How often the judge was wrong, by the labels of people."""
    here = services()
    with here.database.read() as connection:
        return errors_view(connection, here.clock())
