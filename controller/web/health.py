"""Whether the process works (/healthz), whether it may be sent work (/readyz), and its figures (/metrics)."""

from __future__ import annotations

from flask import Blueprint, Response, request
from prometheus_client.exposition import choose_encoder
from sqlalchemy import text

from controller.domain.errors import Unavailable
from controller.domain.principals import Need
from controller.storage import schema, snapshots
from controller.web.access import needs, open_to_all, services
from controller.web.http import answer

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@open_to_all
def check_health() -> Response:
    """200 while the process answers and reaches its database; 503 otherwise."""
    with services().database.read() as connection:
        connection.execute(text("SELECT 1"))
    return answer({"status": "ok"})


@blueprint.get("/readyz")
@open_to_all
def check_readiness() -> Response:
    """200 once the schema is there, a snapshot is published and reports are taken; 503 says what is missing."""
    try:
        missing = _missing()
    except Unavailable as error:
        missing = [error.detail]
    return answer({"ready": not missing, "missing": missing}, 503 if missing else 200)


@blueprint.get("/metrics")
@needs(Need.READ)
def show_metrics() -> Response:
    """The figures for Prometheus."""
    encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encoder(services().registry), content_type=content_type)


def _missing() -> list[str]:
    here = services()
    if schema.current_revision(here.database) is None:
        return ["the database has no schema: run `canary db upgrade`"]
    with here.database.read() as connection:
        published = snapshots.latest_revision(connection) > 0
    missing = [] if published else ["no snapshot has been published yet"]
    writes = here.writer.running or not here.takes_reports
    return missing if writes else [*missing, "the ingest writer does not run"]
