"""A browser without scripts: it keeps cookies, says where a form comes from, and fills in forms."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from flask import Flask
from werkzeug.test import Client, TestResponse

from controller.domain.orders import Order
from controller.domain.people import Person
from controller.domain.principals import Role
from controller.domain.scopes import EVERYWHERE, Scope
from controller.storage.database import Database
from controller.usecases import sessions, users

PASSWORD = "a horse, a battery and a staple"
_FIELD = re.compile(r'<input type="hidden" name="csrf_token" value="([0-9a-f]{64})">')
HTML = {"Accept": "text/html,application/xhtml+xml"}


class Browser:
    """Somebody with a browser."""

    def __init__(self, app: Flask, address: str = "http://localhost") -> None:
        self.client: Client = app.test_client()
        self._address = address

    def get(self, path: str, **headers: str) -> TestResponse:
        """Open a page."""
        return self.client.get(path, base_url=self._address, headers={**HTML, **headers}, buffered=True)

    def submit(self, path: str, origin: str | None = None, **fields: str) -> TestResponse:
        """Submit a form that stands on a page of this server, or of another origin."""
        headers = {**HTML, "Origin": self._address if origin is None else origin}
        headers["Sec-Fetch-Site"] = "same-origin" if origin is None else "cross-site"
        return self.client.post(path, base_url=self._address, headers=headers, data=fields, buffered=True)

    def sign_in(self, name: str, password: str = PASSWORD, **more: str) -> TestResponse:
        """Sign in with a password."""
        return self.submit("/login", name=name, password=password, **more)

    def call(self, method: str, path: str, **more: Any) -> TestResponse:
        """What a script on a page asks for; without the token of the page."""
        return self.client.open(path, method=method, base_url=self._address, buffered=True, **more)


def csrf_of(html: str) -> str:
    """The token in a page's form."""
    found = _FIELD.search(unescape(html))
    assert found, html
    return found[1]


def a_user(
    database: Database, name: str, role: Role = Role.OPERATOR, now_ms: int = 0, scope: Scope = EVERYWHERE
) -> Person:
    """Somebody who has chosen a password."""
    person, link = users.create(database, Person(name, role, scope), Order("test", now_ms))
    sessions.accept(database, link, "", PASSWORD, now_ms)
    return person
