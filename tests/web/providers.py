"""A real OpenID provider in a process of its own, and somebody's browser at it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from controller.settings import OidcSettings
from tests.js.node import Node

#: Where the provider sends browsers back to.
ADDRESS = "http://localhost"
SECRET = "a secret between the two"
_FOLDER = Path(__file__).parents[1] / "provider"
_FORM = re.compile(r'action="([^"]+)"')


@contextmanager
def provided() -> Iterator[Provider]:
    """One provider, for as long as it is needed."""
    with Node("server.mjs", f"{ADDRESS}/login/oidc/callback", folder=_FOLDER) as node:
        yield Provider(node)


class Provider:
    """The provider, and somebody's browser at it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.issuer = node.ask()

    def knows(self, **people: dict[str, Any]) -> None:
        """Replace who it knows."""
        self._node.ask(people=people)

    def settings(self, *roles: tuple[str, str], secret: str = SECRET) -> OidcSettings:
        """How the controller knows it."""
        return OidcSettings(self.issuer, "canary", secret, roles=roles)

    def vouch(self, asked: str, subject: str) -> str:
        """Sign in there and agree; returns where it sends the browser back to."""
        with httpx.Client(base_url=self.issuer, trust_env=False) as browser:
            answer = browser.get(asked)
            for _ in range(10):
                while answer.is_redirect:
                    if answer.headers["Location"].startswith(ADDRESS):
                        return answer.headers["Location"]
                    answer = browser.get(answer.headers["Location"])
                prompt = "login" if 'name="login"' in answer.text else "consent"
                fields = {"prompt": prompt, "login": subject, "password": "any"}
                answer = browser.post(_FORM.findall(answer.text)[0], data=fields)
        raise AssertionError(answer.text)
