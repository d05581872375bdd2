"""/api/v1/tokens: for admins."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.domain.principals import Need
from controller.storage import tokens as rows
from controller.storage.tokens import StoredToken
from controller.usecases import tokens
from controller.web.access import needs, principal, services
from controller.web.http import answer, body
from controller.wire.api.common import Page
from controller.wire.api.people import TokenBody, TokenView

blueprint = Blueprint("tokens", __name__)


@blueprint.get("/api/v1/tokens")
@needs(Need.ADMINISTER)
def list_tokens() -> Response:
    """All tokens, without their secrets."""
    with services().database.read() as connection:
        return answer(Page([_view(token) for token in rows.every(connection)]))


@blueprint.post("/api/v1/tokens")
@needs(Need.ADMINISTER)
def create_token() -> Response:
    """A new token; the answer is the only place where its secret is ever shown."""
    form, here = body(TokenBody), services()
    new = tokens.create(here.database, form.role, form.name, actor=principal().name, now_ms=here.clock())
    return answer(_view(new.stored, new.secret), 201)


@blueprint.delete("/api/v1/tokens/<key:prefix>")
@needs(Need.ADMINISTER)
def revoke_token(prefix: str) -> Response:
    """End a token; processes that have just seen it believe it for a few seconds more."""
    here = services()
    tokens.revoke(here.database, prefix, actor=principal().name, now_ms=here.clock())
    return Response(status=204)


def _view(token: StoredToken, secret: str | None = None) -> TokenView:
    return TokenView(token.prefix, token.role.value, token.name, token.created_ms, secret)
