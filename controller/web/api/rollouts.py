"""/api/v1/rollouts: apply a manifest, the operator's verbs, and the chart of a rollout."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request

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
from controller.web.access import needs, principal, services
from controller.web.http import answer, body, limit, number, request_id
from controller.wire.api.rollouts import LabelBody, ReArmBody, ShareBody, VerbBody
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
def list_rollouts() -> Response:
    """All rollouts, the newest first."""
    here = services()
    with here.database.read() as connection:
        return answer(rollout_page(connection, here.clock(), number("after", 0), limit(default=50, most=200)))


@blueprint.post("/api/v1/rollouts")
@needs(Need.OPERATE)
def apply_manifest() -> Response:
    """A draft from a manifest (201 when it is new), or a change of one that has not been started."""
    manifest, here = body(Manifest), services()
    rollout = rollouts.apply(here.database, manifest, _order())
    here.changed()
    return _rollout(rollout.key, 201 if rollout.version == 1 else 200)


@blueprint.get("/api/v1/rollouts/<key:key>")
@needs(Need.READ)
def get_rollout(key: str) -> Response:
    """One rollout, with the health of both arms."""
    return _rollout(key)


@blueprint.post(f"/api/v1/rollouts/<key:key>/<any({', '.join(VERBS)}):verb>")
@needs(Need.OPERATE)
def act(key: str, verb: str) -> Response:
    """One of the operator's verbs; the answer's `message` says what it came to."""
    form, here = body(VerbBody), services()
    message = VERBS[verb](here.database, key, _order(form.reason, form.version, force=form.force))
    here.changed()
    return _rollout(key, message=message)


@blueprint.post("/api/v1/rollouts/<key:key>/set-share")
@needs(Need.OPERATE)
def set_share(key: str) -> Response:
    """The canary's share, set by hand: a new evidence epoch begins."""
    form, here = body(ShareBody), services()
    order = _order(form.reason, form.version, force=form.force)
    rollout = rollouts.set_share(here.database, key, parts_of(form.share, "share"), order)
    here.changed()
    return _rollout(key, message=f"share set to {percent_text(rollout.weight)}: its evidence begins now")


@blueprint.post("/api/v1/rollouts/<key:key>/re-arm")
@needs(Need.OPERATE)
def re_arm(key: str) -> Response:
    """A rolled-back rollout becomes a draft again; the same users will see it."""
    form, here = body(ReArmBody), services()
    _, left = rollouts.re_arm(here.database, key, form.lift, _order(form.reason, form.version))
    here.changed()
    held = f"; still in quarantine: {', '.join(left)}" if left else ""
    return _rollout(key, message=f"armed again as a draft{held}")


@blueprint.post("/api/v1/rollouts/<key:key>/label")
@needs(Need.OPERATE)
def label(key: str) -> Response:
    """Whether a rollback was right: false ones are counted per 100 rollout-days."""
    form, here = body(LabelBody), services()
    found = rollouts.label(here.database, key, right=form.right, number=form.round, order=_order(form.reason))
    here.changed()
    said = "true" if form.right else "false"
    return _rollout(key, message=f"the rollback of round {found.round} is labelled {said}")


@blueprint.get("/api/v1/rollouts/<key:key>/series")
@needs(Need.READ)
def get_series(key: str) -> Response:
    """The success of every event (`?event=` of one) on both arms over time."""
    here = services()
    with here.database.read() as connection:
        rollout = rows.get(connection, key)
        return answer(series_view(connection, rollout, here.clock(), request.args.get("event")))


@blueprint.get("/api/v1/rollouts/<key:key>/explain")
@needs(Need.READ)
def explain(key: str) -> Response:
    """Why it stands where it stands, and what would settle it."""
    here = services()
    with here.database.read() as connection:
        return answer(explain_view(connection, rows.get(connection, key), here.clock()))


@blueprint.get("/api/v1/rollouts/<key:key>/impact")
@needs(Need.READ)
def impact(key: str) -> Response:
    """What failed on the canary, and for how many users, from `?from_ms=` (the start) to `?to_ms=` (now)."""
    here = services()
    with here.database.read() as connection:
        rollout = rows.get(connection, key)
        until_ms = number("to_ms", here.clock())
        return answer(impact_view(connection, rollout, number("from_ms", rollout.started_ms or until_ms), until_ms))


def _order(reason: str = "", version: int | None = None, *, force: bool = False) -> Order:
    return Order(principal().name, services().clock(), reason, version, request_id(), force)


def _rollout(key: str, status: int = 200, message: str = "") -> Response:
    here = services()
    with here.database.read() as connection:
        return answer(rollout_view(connection, rows.get(connection, key), here.clock(), message=message), status)
