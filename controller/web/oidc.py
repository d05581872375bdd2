"""Signing in by an OpenID provider: the code flow with PKCE, state and nonce, done by authlib."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from flask import Flask, Response, session
from joserfc.errors import JoseError
from requests import RequestException

from controller.domain.errors import Forbidden, SignInRefused
from controller.domain.principals import Role
from controller.settings import OidcSettings
from controller.usecases.sessions import Account

log = structlog.get_logger(__name__)

CALLBACK = "/login/oidc/callback"
_SCOPE = "openid email profile"
_TIMEOUT_S = 10
#: The least role first.
_RANKS = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
#: Where the browser keeps state, nonce and verifier while it is at the provider's; signed, and of no other use.
_COOKIE = "canary_oidc"
_NEXT = "next"
#: What goes wrong at the other end, or on the way there.
_TROUBLE = (AuthlibBaseError, JoseError, RequestException, KeyError, TypeError, ValueError)


class Provider:
    """One OpenID provider; what it can do is read when somebody first goes there."""

    def __init__(self, app: Flask, settings: OidcSettings, address: str, key: bytes, *, secure: bool) -> None:
        self._settings = settings
        self._callback = f"{address}{CALLBACK}"
        app.secret_key = blake2b(key, digest_size=32, person=b"canary-oidc").digest()
        app.config.update(
            SESSION_COOKIE_NAME=f"__Host-{_COOKIE}" if secure else _COOKIE,
            SESSION_COOKIE_SECURE=secure,
            SESSION_COOKIE_HTTPONLY=True,
            SESSION_COOKIE_SAMESITE="Lax",
        )
        self._client = OAuth(app).register(
            "provider",
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": _SCOPE, "code_challenge_method": "S256", "default_timeout": _TIMEOUT_S},
        )

    def leave(self, following: str) -> Response:
        """Send the browser to the provider; `following` is the page to show afterwards.

        Raises:
            SignInRefused: the provider cannot be reached.
        """
        session.clear()
        session[_NEXT] = following
        try:
            response: Response = self._client.authorize_redirect(self._callback)
        except _TROUBLE as error:
            raise _refused(error) from None
        return response

    def come_back(self) -> tuple[Account, str]:
        """Who the provider says they are, and the page to show.

        Raises:
            SignInRefused: it does not vouch for them, or cannot be reached. Forbidden: no group of theirs may come in.
        """
        following = str(session.get(_NEXT, "/"))
        issuer = {"iss": {"essential": True, "values": [self._settings.issuer]}}
        try:
            token = self._client.authorize_access_token(claims_options=issuer)
            claims = {**self._more(token), **dict(token["userinfo"])}
        except _TROUBLE as error:
            raise _refused(error) from None
        finally:
            session.clear()
        return account_of(claims, self._settings), following

    def _more(self, token: Mapping[str, Any]) -> dict[str, Any]:
        """What the provider tells at its user-info endpoint alone; it must speak of the same person."""
        if "userinfo_endpoint" not in self._client.load_server_metadata():
            return {}
        told = dict(self._client.userinfo(token=token))
        if told.get("sub") != token["userinfo"]["sub"]:
            raise ValueError("the user-info endpoint speaks of somebody else")
        return told


def account_of(claims: Mapping[str, Any], settings: OidcSettings) -> Account:
    """Somebody's account, from what the provider says of them.

    Known by a verified address, else by the user name, the address or the subject.

    Raises:
        Forbidden: none of their groups may come in.
    """
    email, verified = str(claims.get("email") or ""), claims.get("email_verified") is True
    name = email if email and verified else str(claims.get("preferred_username") or email or claims["sub"])
    subject = f"{settings.issuer} {claims['sub']}"
    return Account(subject[:400], name.lower(), verified and bool(email), _role(claims, settings))


def _role(claims: Mapping[str, Any], settings: OidcSettings) -> Role | None:
    if not settings.roles:
        return None
    told = claims.get(settings.groups) or ()
    groups = {told} if isinstance(told, str) else {str(group) for group in told}
    found = [Role(role) for group, role in settings.roles if group == "*" or group in groups]
    if not found:
        raise Forbidden("none of your groups at the provider may sign in here; an admin sets CANARY_OIDC_ROLES")
    return max(found, key=_RANKS.index)


def _refused(error: Exception) -> SignInRefused:
    log.warning("signing in by OpenID failed", error=f"{type(error).__name__}: {error}")
    return SignInRefused("the provider did not vouch for you, or cannot be reached; the log says more. Try again")
