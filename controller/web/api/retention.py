"""/api/v1/retention: how long things are kept, for every flag (`*`) and for single ones."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.domain.principals import Need
from controller.domain.retention import EVERY_FLAG, Kind
from controller.storage import flags, retention
from controller.usecases import retention as commands
from controller.usecases.views.retention import policy_view, policy_views
from controller.web.access import needs, principal, services
from controller.web.http import answer, body, request_id
from controller.wire.api.common import Page
from controller.wire.api.retention import PolicyPatch

blueprint = Blueprint("retention", __name__)


@blueprint.get("/api/v1/retention")
@needs(Need.READ)
def list_policies() -> Response:
    """What holds for every flag and for each."""
    with services().database.read() as connection:
        return answer(Page(policy_views(connection)))


@blueprint.get("/api/v1/retention/*")
@needs(Need.READ)
def get_common() -> Response:
    """What holds where a flag says nothing."""
    return _shown(EVERY_FLAG)


@blueprint.get("/api/v1/retention/<key:key>")
@needs(Need.READ)
def get_policy(key: str) -> Response:
    """What holds for one flag."""
    return _shown(key)


@blueprint.patch("/api/v1/retention/*")
@needs(Need.ADMINISTER)
def change_common() -> Response:
    """Change what holds where a flag says nothing."""
    return _changed(EVERY_FLAG)


@blueprint.patch("/api/v1/retention/<key:key>")
@needs(Need.OPERATE)
def change_policy(key: str) -> Response:
    """Change what holds for one flag."""
    return _changed(key)


def _shown(key: str) -> Response:
    with services().database.read() as connection:
        if key != EVERY_FLAG:
            flags.get(connection, key)
        return answer(policy_view(retention.policies(connection), key))


def _changed(key: str) -> Response:
    form, here = body(PolicyPatch), services()
    commands.change(
        here.database,
        key,
        form.version,
        keep={kind: getattr(form, kind.value) for kind in Kind},
        detail=form.detail,
        actor=principal().name,
        now_ms=here.clock(),
        reason=form.reason,
        request_id=request_id(),
    )
    return _shown(key)
