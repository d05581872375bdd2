"""/api/v1/rollouts: apply a manifest, the operator's verbs, and the chart of a rollout."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint

from controller.domain.durations import parts_of, percent_text
from controller.domain.orders import Order
from controller.domain.principals import Need
from controller.storage import rollouts as rows
from controller.storage.database import Database
from controller.usecases import rollouts, starting
from controller.usecases.views.explaining import explain_view
from controller.usecases.views.impact import impact_view
from controller.usecases.views.rollouts import rollout_page, rollout_view
from controller.usecases.views.series import series_view
from controller.web.access import needs, order, services
from controller.web.operation import Reply, operation
from controller.wire.api.common import Page
from controller.wire.api.judging import ExplainView, ImpactView, SeriesView
from controller.wire.api.queries import ImpactQuery, RolloutQuery, SeriesQuery
from controller.wire.api.rollouts import LabelBody, ReArmBody, RolloutView, ShareBody, VerbBody
from controller.wire.manifests import Manifest

blueprint = Blueprint("rollouts", __name__)


def _start(database: Database, key: str, order: Order) -> str:
    return starting.start(database, key, order)[1]


def _pause(database: Database, key: str, order: Order) -> str:
    rollouts.pause(database, key, order)
    return "paused: the share stays as it is, and failures still roll back"


def _resume(database: Database, key: str, order: Order) -> str:
    rollouts.resume(database, key, order)
    return "resumed: the stage goes on where it was paused"


def _advance(database: Database, key: str, order: Order) -> str:
    rollout = rollouts.advance(database, key, order)
    return f"advanced to {percent_text(rollout.weight)}: its evidence begins now"


def _approve(database: Database, key: str, order: Order) -> str:
    rollouts.approve(database, key, order)
    return "approved: the next stage begins as soon as the present one has passed"


def _promote(database: Database, key: str, order: Order) -> str:
    rollout = rollouts.promote(database, key, order)
    return f"promoted: everybody is served {rollout.canary}"


def _rollback(database: Database, key: str, order: Order) -> str:
    rollout = rollouts.rollback(database, key, order)
    return f"rolling back: everybody is served {rollout.control}; verified once every live instance has confirmed"


def _abort(database: Database, key: str, order: Order) -> str:
    rollouts.abort(database, key, order)
    return "aborted: it was given up before anybody saw the canary"


VERBS: dict[str, Callable[[Database, str, Order], str]] = {
    "start": _start,
    "pause": _pause,
    "resume": _resume,
    "advance": _advance,
    "approve": _approve,
    "promote": _promote,
    "rollback": _rollback,
    "abort": _abort,
}


@blueprint.get("/api/v1/rollouts")
@needs(Need.READ)
@operation()
def list_rollouts(query: RolloutQuery) -> Page[RolloutView]:
    """All rollouts, the newest first."""
    here, wanted = services(), {"phase": query.phase, "flag": query.flag, "owner": query.owner}
    with here.database.read() as connection:
        return rollout_page(connection, here.clock(), query.after, query.limit, **wanted)


@blueprint.post("/api/v1/rollouts")
@needs(Need.OPERATE)
@operation(200, 201, gives=RolloutView)
def apply_manifest(body: Manifest) -> Reply:
    """A draft from a manifest (201 when it is new), or a change of one that has not been started."""
    here = services()
    rollout = rollouts.apply(here.database, body, order())
    here.changed()
    return Reply(_rollout(rollout.key), 201 if rollout.version == 1 else 200)


@blueprint.get("/api/v1/rollouts/<key:key>")
@needs(Need.READ)
@operation()
def get_rollout(key: str) -> RolloutView:
    """One rollout, with the health of both arms."""
    return _rollout(key)


@blueprint.get("/api/v1/rollouts/<key:key>/manifest")
@needs(Need.READ)
@operation()
def get_manifest(key: str) -> Manifest:
    """The document that a rollout was made from, with its defaults filled in."""
    with services().database.read() as connection:
        return rows.manifest(rows.get(connection, key))


@blueprint.post(f"/api/v1/rollouts/<key:key>/<any({', '.join(VERBS)}):verb>")
@needs(Need.OPERATE)
@operation()
def act(key: str, verb: str, body: VerbBody) -> RolloutView:
    """One of the operator's verbs; the answer's `message` says what it came to."""
    here = services()
    message = VERBS[verb](here.database, key, order(body.reason, body.version, force=body.force))
    here.changed()
    return _rollout(key, message)


@blueprint.post("/api/v1/rollouts/<key:key>/set-share")
@needs(Need.OPERATE)
@operation()
def set_share(key: str, body: ShareBody) -> RolloutView:
    """The canary's share, set by hand: a new evidence epoch begins."""
    here = services()
    given = order(body.reason, body.version, force=body.force)
    rollout = rollouts.set_share(here.database, key, parts_of(body.share, "share"), given)
    here.changed()
    return _rollout(key, f"share set to {percent_text(rollout.weight)}: its evidence begins now")


@blueprint.post("/api/v1/rollouts/<key:key>/re-arm")
@needs(Need.OPERATE)
@operation()
def re_arm(key: str, body: ReArmBody) -> RolloutView:
    """A rolled-back rollout becomes a draft again; the same users will see it."""
    here = services()
    _, left = rollouts.re_arm(here.database, key, body.lift, order(body.reason, body.version))
    here.changed()
    held = f"; still in quarantine: {', '.join(left)}" if left else ""
    return _rollout(key, f"armed again as a draft{held}")


@blueprint.post("/api/v1/rollouts/<key:key>/label")
@needs(Need.OPERATE)
@operation()
def label(key: str, body: LabelBody) -> RolloutView:
    """Whether a rollback was right: false ones are counted per 100 rollout-days."""
    here = services()
    found = rollouts.label(here.database, key, right=body.right, number=body.round, order=order(body.reason))
    here.changed()
    said = "true" if body.right else "false"
    return _rollout(key, f"the rollback of round {found.round} is labelled {said}")


@blueprint.get("/api/v1/rollouts/<key:key>/series")
@needs(Need.READ)
@operation()
def get_series(key: str, query: SeriesQuery) -> SeriesView:
    """The success of every event (`?event=` of one) on both arms over time."""
    here = services()
    with here.database.read() as connection:
        return series_view(connection, rows.get(connection, key), here.clock(), query.event)


@blueprint.get("/api/v1/rollouts/<key:key>/explain")
@needs(Need.READ)
@operation(also=(409,))
def explain(key: str) -> ExplainView:
    """Why it stands where it stands, and what would settle it."""
    here = services()
    with here.database.read() as connection:
        return explain_view(connection, rows.get(connection, key), here.clock())


@blueprint.get("/api/v1/rollouts/<key:key>/impact")
@needs(Need.READ)
@operation()
def impact(key: str, query: ImpactQuery) -> ImpactView:
    """What failed on the canary, and for how many users, from `?from_ms=` (the start) to `?to_ms=` (now)."""
    here = services()
    with here.database.read() as connection:
        rollout = rows.get(connection, key)
        until_ms = here.clock() if query.to_ms is None else query.to_ms
        from_ms = (rollout.started_ms or until_ms) if query.from_ms is None else query.from_ms
        return impact_view(connection, rollout, from_ms, until_ms)


def _rollout(key: str, message: str = "") -> RolloutView:
    here = services()
    with here.database.read() as connection:
        return rollout_view(connection, rows.get(connection, key), here.clock(), message=message)
