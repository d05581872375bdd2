"""/api/v1/tokens: for admins."""

from __future__ import annotations

from flask import Blueprint

from controller.domain.durations import duration_ms
from controller.domain.principals import Need
from controller.domain.scopes import scope_of
from controller.usecases import tokens
from controller.usecases.views.tokens import token_page, token_view
from controller.web.access import needs, principal, services
from controller.web.http import request_id
from controller.web.operation import operation
from controller.wire.api.common import Page, PageQuery
from controller.wire.api.people import RotateBody, TokenBody, TokenView

blueprint = Blueprint("tokens", __name__)


@blueprint.get("/api/v1/tokens")
@needs(Need.ADMINISTER)
@operation()
def list_tokens(query: PageQuery) -> Page[TokenView]:
    """All tokens, without their secrets; the oldest first."""
    with services().database.read() as connection:
        return token_page(connection, query.after, query.limit)


@blueprint.post("/api/v1/tokens")
@needs(Need.ADMINISTER)
@operation(201, secret=True)
def create_token(body: TokenBody) -> TokenView:
    """A new token; the answer is the only place where its secret is ever shown."""
    here = services()
    new = tokens.create(
        here.database,
        body.role,
        body.name,
        actor=principal().name,
        now_ms=here.clock(),
        scope=scope_of(body.flags),
        lasts_ms=duration_ms(body.lasts, "lasts") if body.lasts else None,
        request_id=request_id(),
    )
    return token_view(new.stored, new.secret)


@blueprint.post("/api/v1/tokens/<key:prefix>/rotate")
@needs(Need.ADMINISTER)
@operation(201, secret=True)
def rotate_token(prefix: str, body: RotateBody) -> TokenView:
    """A token in the place of another, which goes on working for the overlap; the answer shows the new secret once."""
    here, who = services(), principal().name
    overlap_ms = duration_ms(body.overlap, "overlap")
    new = tokens.rotate(here.database, prefix, overlap_ms, actor=who, now_ms=here.clock(), request_id=request_id())
    return token_view(new.stored, new.secret)


@blueprint.delete("/api/v1/tokens/<key:prefix>")
@needs(Need.ADMINISTER)
@operation()
def revoke_token(prefix: str) -> None:
    """End a token; processes that have just seen it believe it for a few seconds more."""
    here = services()
    tokens.revoke(here.database, prefix, actor=principal().name, now_ms=here.clock(), request_id=request_id())
