"""/api/v1/rollouts/{key}/decisions, /analyses and /ledger: what was found and decided, and all that a replay needs."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.domain.principals import Need
from controller.storage import rollouts
from controller.usecases.views.history import analysis_page, decision_page, ledger_view
from controller.web.access import needs, services
from controller.web.http import answer, limit, number

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
