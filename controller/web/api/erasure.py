"""/api/v1/erasures: what is stored of single users of the measured applications, deleted."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.principals import Need
from controller.usecases import erasure
from controller.web.access import needs, principal, services
from controller.web.http import request_id
from controller.web.operation import operation
from controller.wire.api.erasure import ErasedView, Erasure

blueprint = Blueprint("erasure", __name__)


@blueprint.post("/api/v1/erasures")
@needs(Need.ADMINISTER)
@operation()
def erase(body: Erasure) -> ErasedView:
    """Erase users' data; says how many rows went."""
    here = services()
    found = erasure.erase(
        here.database,
        sorted(set(body.pseudonyms)),
        actor=principal().name,
        now_ms=here.clock(),
        reason=body.reason,
        request_id=request_id(),
    )
    return ErasedView(found.raw, found.samples, found.gauges)
