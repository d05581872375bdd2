"""What clients talk to: GET /sdk/v1/snapshot and POST /sdk/v1/reports; the stream is served beside Flask."""

from __future__ import annotations

from flask import Blueprint, Response, request

from controller.domain.errors import Invalid, Refusal
from controller.domain.principals import Need
from controller.storage.batches import Batch
from controller.tracing import span
from controller.usecases.reports import prepare
from controller.web.access import needs, services
from controller.web.contacts import contact_of
from controller.web.http import answer, body, tagged
from controller.wire.reports import MOST_BYTES, Report

blueprint = Blueprint("sdk", __name__)


@blueprint.get("/sdk/v1/snapshot")
@needs(Need.REPORT)
def get_snapshot() -> Response:
    """All flags at the newest revision; 304 while the client holds it."""
    here = services()
    current = here.flags.fresh()
    headers = {name.lower(): value for name, value in request.headers}
    here.contacts.noted(contact_of(headers, current.revision, here.clock()))
    response = Response(current.body, mimetype="application/json")
    response.headers["Canary-Revision"] = str(current.revision)
    if here.headcount.latest:
        response.headers["Canary-Instances"] = str(here.headcount.latest)
    return tagged(response, current.etag)


@blueprint.post("/sdk/v1/reports")
@needs(Need.REPORT)
def take_report() -> Response:
    """A batch of outcomes; answered once it is committed, and counted once however often it is sent."""
    here = services()
    try:
        with span("ingest", request.headers.get("traceparent")):
            return answer(here.writer.submit(_checked(body(Report, MOST_BYTES))))
    except Refusal as refusal:
        here.refused(refusal.code)
        raise


def _checked(report: Report) -> Batch:
    """The report made ready; one that names what this process does not know may have come from a newer snapshot."""
    here = services()
    now_ms, known = here.clock(), here.flags.fresh()
    try:
        return prepare(report, now_ms, known.variants, known.rollouts, here.detail)
    except Invalid:
        here.flags.changed()
        newest = here.flags.fresh()
        if newest is known:
            raise
        return prepare(report, now_ms, newest.variants, newest.rollouts, here.detail)
