"""The figures behind a rollout's charts, for the page's script."""

from __future__ import annotations

from flask import Response, request

from controller.domain.principals import Need
from controller.storage import rollouts
from controller.usecases.views.explaining import evidence_lines
from controller.usecases.views.series import latency_view, series_view
from controller.web.access import needs, services
from controller.web.http import answer
from controller.web.ops.site import blueprint
from controller.wire.api.judging import SeriesView

#: Lines of evidence on one chart: the highest ones; the table has them all.
_MOST_LINES = 6
#: Points of a small chart: of more, each would be a few events and the line a saw.
_MOST_POINTS = 80
_CONVICTS = 100.0


@blueprint.get("/rollouts/<key:key>/charts/success")
@needs(Need.READ)
def chart_success(key: str) -> Response:
    """The success of one event (`?event=`) on both arms."""
    here = services()
    with here.database.read() as connection:
        rollout, event = rollouts.get(connection, key), request.args.get("event", "")
        return answer(series_view(connection, rollout, here.clock(), event, most_points=_MOST_POINTS))


@blueprint.get("/rollouts/<key:key>/charts/latency")
@needs(Need.READ)
def chart_latency(key: str) -> Response:
    """The mean time to delivery on both arms."""
    here = services()
    with here.database.read() as connection:
        return answer(latency_view(connection, rollouts.get(connection, key), here.clock(), most_points=_MOST_POINTS))


@blueprint.get("/rollouts/<key:key>/charts/evidence")
@needs(Need.READ)
def chart_evidence(key: str) -> Response:
    """The evidence against the canary in per cent of its line, of the streams with the most of it."""
    with services().database.read() as connection:
        times, lines = evidence_lines(connection, rollouts.get(connection, key))
    lines.sort(key=lambda one: -max((value for value in one.percent if value is not None), default=0.0))
    series = [
        {"label": f"{one.guard}: {one.stream}", "values": one.percent, "kind": "canary"} for one in lines[:_MOST_LINES]
    ]
    return answer(SeriesView(times=times, series=series, line=_CONVICTS))
