"""/api/v1/retention: how long things are kept, for every flag (`*`) and for single ones."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.principals import Need
from controller.domain.retention import EVERY_FLAG, Kind
from controller.storage import flags, retention
from controller.usecases import retention as commands
from controller.usecases.views.retention import policy_view, policy_views
from controller.web.access import needs, principal, services
from controller.web.http import request_id
from controller.web.operation import operation
from controller.wire.api.common import Page
from controller.wire.api.retention import PolicyPatch, PolicyView

blueprint = Blueprint("retention", __name__)


@blueprint.get("/api/v1/retention")
@needs(Need.READ)
@operation()
def list_policies() -> Page[PolicyView]:
    """What holds for every flag and for each."""
    with services().database.read() as connection:
        return Page(policy_views(connection))


@blueprint.get("/api/v1/retention/*")
@needs(Need.READ)
@operation()
def get_common() -> PolicyView:
    """What holds where a flag says nothing."""
    return _shown(EVERY_FLAG)


@blueprint.get("/api/v1/retention/<key:key>")
@needs(Need.READ)
@operation()
def get_policy(key: str) -> PolicyView:
    """What holds for one flag."""
    return _shown(key)


@blueprint.patch("/api/v1/retention/*")
@needs(Need.ADMINISTER)
@operation()
def change_common(body: PolicyPatch) -> PolicyView:
    """Change what holds where a flag says nothing."""
    return _changed(EVERY_FLAG, body)


@blueprint.patch("/api/v1/retention/<key:key>")
@needs(Need.OPERATE)
@operation()
def change_policy(key: str, body: PolicyPatch) -> PolicyView:
    """Change what holds for one flag."""
    return _changed(key, body)


def _shown(key: str) -> PolicyView:
    with services().database.read() as connection:
        if key != EVERY_FLAG:
            flags.get(connection, key)
        return policy_view(retention.policies(connection), key)


def _changed(key: str, form: PolicyPatch) -> PolicyView:
    here, who = services(), principal()
    commands.change(
        here.database,
        key,
        form.version,
        keep={kind: getattr(form, kind.value) for kind in Kind},
        detail=form.detail,
        actor=who.name,
        now_ms=here.clock(),
        reason=form.reason,
        request_id=request_id(),
        scope=who.scope,
    )
    return _shown(key)
