"""Tokens as they are shown: never their secrets, but for once."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.storage import tokens
from controller.storage.tokens import StoredToken
from controller.usecases.views.paging import slice_page
from controller.wire.api.common import Page
from controller.wire.api.people import TokenView


def token_page(connection: Connection, after: int = 0, limit: int = 100) -> Page[TokenView]:
    """Tokens, the oldest first."""
    return slice_page(tokens.every(connection), after, limit, token_view)


def token_view(token: StoredToken, secret: str | None = None) -> TokenView:
    """One token; `secret` only as it is made."""
    return TokenView(
        prefix=token.prefix,
        role=token.role.value,
        name=token.name,
        created_ms=token.created_ms,
        token=secret,
        flags=list(token.scope.flags or ()),
        expires_ms=token.expires_ms,
        last_used_ms=token.last_used_ms,
        created_by=token.created_by,
    )
