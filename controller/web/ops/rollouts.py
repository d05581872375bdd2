"""A rollout's page, live; and the place from which any rollout can be taken back at once."""

from __future__ import annotations

from flask import Response, make_response, render_template, request

from controller.domain.principals import Need
from controller.storage import rollouts
from controller.usecases.views.detail import detail
from controller.usecases.views.rollouts import rollout_views
from controller.web.access import needs, services
from controller.web.ops.acts import confirmation
from controller.web.ops.site import blueprint, fragment, is_part, live, page
from controller.web.ops.verbs import DONE, VERBS, offered

_STOPPABLE = ("progressing", "paused")


@blueprint.get("/rollouts/<key:key>")
@needs(Need.READ)
def show_rollout(key: str) -> str:
    """One rollout with its whole history."""
    return page("rollout.html", key=key, body=_rollout(key), said=DONE.get(request.args.get("done", ""), ""))


@blueprint.get("/fragments/rollouts/<key:key>")
@needs(Need.READ)
def fragment_rollout(key: str) -> Response:
    """The live part of a rollout's page."""
    return fragment(lambda: _rollout(key))


@blueprint.get("/rollback")
@needs(Need.READ)
def choose_rollback() -> Response:
    """What can be taken back now: the button on every page leads here; where it is one rollout, to its confirmation."""
    here = services()
    with here.database.read() as connection:
        views = rollout_views(connection, rollouts.unfinished(connection), here.clock())
    live_ones = [view for view in views if view.phase in _STOPPABLE]
    busy = [view for view in views if view.phase == "rolling_back"]
    if len(live_ones) == 1 and not busy:
        return confirmation(VERBS["rollback"], live_ones[0].key)
    values = {"found": live_ones, "busy": busy}
    return make_response(render_template("_rollback.html", **values) if is_part() else page("rollback.html", **values))


def _rollout(key: str) -> str:
    here = services()
    with here.database.read() as connection:
        found = detail(connection, key, here.clock())
    return live("_rollout.html", f"/fragments/rollouts/{key}", page=found, verbs=offered(found.view))
