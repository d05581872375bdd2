"""The controller's REST API as the commands see it: typed answers, or one kind of failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec
import typer

from controller import __version__
from controller.cli.failures import Failed, Unreachable
from controller.settings import client_settings, is_loopback
from controller.wire.api.common import Page
from controller.wire.problems import Problem

T = TypeVar("T")

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_HOW_TO_GET_A_TOKEN = "the token is taken from CANARY_TOKEN; --local makes one on the controller's machine"  # noqa: S105


class Remote:
    """One controller. Use it as a context manager, so that its connections are closed.

    Raises (from all requests):
        Failed: the controller refused, or its answer makes no sense. Unreachable: nothing answers there.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        headers = {"Accept": "application/json", "User-Agent": f"canary/{__version__}"}
        if token:
            headers["Authorization"] = f"Bearer {token.strip()}"
        self._has_token = bool(token)
        address = _address(url)
        # A proxy of the environment is for the world outside, not for this machine.
        proxied = not is_loopback(address.host)
        self._http = httpx.Client(base_url=address, headers=headers, timeout=_TIMEOUT, trust_env=proxied)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, form: type[T], **params: int | str) -> T:
        """Read one thing."""
        return self._ask("GET", path, form, params=params)

    def post(self, path: str, body: object, form: type[T]) -> T:
        """Do something, once: each call carries an idempotency key of its own."""
        return self._ask("POST", path, form, body=body, headers={"Idempotency-Key": uuid4().hex})

    def patch(self, path: str, body: object, form: type[T]) -> T:
        """Change something."""
        return self._ask("PATCH", path, form, body=body)

    def delete(self, path: str) -> None:
        """Remove something."""
        self._send("DELETE", path)

    def document(self, path: str, etag: str = "") -> tuple[bytes, str, dict[str, str]] | None:
        """A document as it is, with its tag and headers (in lower case); None where the held one is up to date."""
        headers = {"If-None-Match": etag} if etag else {}
        answer = self._send("GET", path, headers=headers)
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            return None
        return answer.content, answer.headers.get("ETag", ""), {k.lower(): v for k, v in answer.headers.items()}

    def items(
        self,
        path: str,
        form: type[T],
        most: int | None = None,
        cursor: str = "after",
        wanted: Mapping[str, str] = MappingProxyType({}),
    ) -> list[T]:
        """A list, all pages of it or the first `most`, of what is `wanted`; it goes on by the parameter `cursor`."""
        found: list[T] = []
        for page in self._pages(path, most, cursor, dict(wanted)):
            found += [self._as(item, form, path) for item in page.items]
            if most is not None and len(found) >= most:
                return found[:most]
        return found

    def _pages(self, path: str, most: int | None, cursor: str, wanted: dict[str, int | str]) -> Iterator[Page[Any]]:
        params: dict[str, int | str] = wanted if most is None else {**wanted, "limit": most}
        page = self.get(path, Page, **params)
        yield page
        while page.next is not None:
            page = self.get(path, Page, **params, **{cursor: page.next})
            yield page

    def _ask(
        self,
        method: str,
        path: str,
        form: type[T],
        *,
        body: object = None,
        params: dict[str, int | str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> T:
        answer = self._send(method, path, body=body, params=params, headers=headers)
        try:
            return msgspec.json.decode(answer.content, type=form)
        except msgspec.DecodeError as error:
            raise self._no_sense(path, error) from None

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: dict[str, int | str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        content = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if content is not None else {})}
        try:
            answer = self._http.request(method, path, content=content, params=params, headers=sent)
        except httpx.ConnectError as error:
            raise Unreachable(
                "The controller cannot be reached",
                f"nothing answers at {self.url} ({error}); start it with `canary serve`, or name another one with "
                "--url or CANARY_URL",
            ) from None
        except httpx.TimeoutException:
            raise Unreachable("The controller cannot be reached", f"no answer from {self.url} in time") from None
        except httpx.HTTPError as error:
            raise Unreachable("The controller cannot be reached", f"{self.url} broke off: {error}") from None
        if not answer.is_success and answer.status_code != httpx.codes.NOT_MODIFIED:
            raise self._refused(answer)
        return answer

    def _as(self, item: object, form: type[T], path: str) -> T:
        try:
            return msgspec.convert(item, form)
        except msgspec.ValidationError as error:
            raise self._no_sense(path, error) from None

    def _no_sense(self, path: str, error: Exception) -> Failed:
        return Failed(
            "The answer makes no sense", f"{self.url}{path}: {error}; is a canary controller of this release there?"
        )

    def _refused(self, answer: httpx.Response) -> Failed:
        try:
            problem = msgspec.json.decode(answer.content, type=Problem)
        except msgspec.DecodeError:
            said = " ".join(answer.text.split())[:200] or answer.reason_phrase
            return Failed(f"{self.url} answered {answer.status_code}", said, status=answer.status_code)
        detail = problem.detail
        if answer.status_code == 401 and not self._has_token:
            detail = "; ".join(part for part in (detail, _HOW_TO_GET_A_TOKEN) if part)
        return Failed(problem.title, detail, field=problem.field, code=problem.code, status=answer.status_code)


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in ("http", "https") or not address.host:
        raise Failed(
            "The controller's address cannot be used", f"{url!r} has not the form http://HOST:PORT", field="url"
        )
    return address


def remote(context: typer.Context) -> Remote:
    """The controller that the command line or the environment names."""
    return Remote(*client_settings(url=context.obj))


def flag_path(key: str) -> str:
    """Where a flag is."""
    return f"/api/v1/flags/{quote(key, safe='')}"


def token_path(prefix: str) -> str:
    """Where a token is."""
    return f"/api/v1/tokens/{quote(prefix, safe='')}"


def rollout_path(key: str, what: str = "") -> str:
    """Where a rollout, or something of it, is."""
    return f"/api/v1/rollouts/{quote(key, safe='')}" + (f"/{what}" if what else "")
