"""Two replicas on one PostgreSQL: every client learns of a change, whichever made it, and none is kept blind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from openfeature.evaluation_context import EvaluationContext

from controller.client import CanaryProvider
from controller.client.pace import steady
from tests.builders import FLAG, ROLLOUT
from tests.flow.lines import Line
from tests.flow.site import Site, until
from tests.js.node import Node

ALL_ON_CANARY = [{"share": "99%", "bake": "1h"}, {"share": "100%", "bake": "1h"}]


class Shifted:
    """The machine's running time, moved on by what a test says."""

    def __init__(self) -> None:
        self.by = 0.0

    def __call__(self) -> float:
        return steady() + self.by


@pytest.fixture
def line(postgresql_url: str) -> Iterator[Line]:
    with Line(urlsplit(postgresql_url).port or 5432) as found:
        yield found


@pytest.fixture
def here(postgresql_url: str, new_site: Callable[[str], Site]) -> Site:
    site = new_site(postgresql_url)
    site.begin(stages=ALL_ON_CANARY)
    return site


@pytest.fixture
def there(here: Site, line: Line, postgresql_url: str, new_site: Callable[[str], Site]) -> Site:  # noqa: ARG001 - the first
    """The other replica, whose line to the database can be cut."""
    parts = urlsplit(postgresql_url)
    user = f"{parts.username}@" if parts.username else ""
    return new_site(urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{line.port}")))


@pytest.fixture
def provider_of() -> Iterator[Callable[..., CanaryProvider]]:
    made: list[CanaryProvider] = []

    def connect(site: Site, **but: object) -> CanaryProvider:
        made.append(CanaryProvider(site.url, site.sdk_token(), **but))  # type: ignore[arg-type]
        made[-1].initialize(EvaluationContext())
        return made[-1]

    yield connect
    for provider in made:
        provider.shutdown()


def served(provider: CanaryProvider) -> str | None:
    return provider.resolve_boolean_details(FLAG, False, EvaluationContext("anna")).variant


def ofrep(site: Site, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    body = {"context": {"targetingKey": "anna"}}
    answer = httpx.post(f"{site.url}/ofrep/v1/evaluate/flags/{FLAG}", json=body, headers=headers)
    return str(answer.raise_for_status().json()["variant"])


def test_a_rollback_on_one_replica_reaches_the_clients_of_the_other(
    here: Site, there: Site, provider_of: Callable[..., CanaryProvider]
) -> None:
    token = str(here.post("/api/v1/tokens", {"role": "evaluator"})["token"])
    near, far = provider_of(here), provider_of(there)
    with Node("web.mjs", there.url, token) as page:
        page.ask(act="start", context={"targetingKey": "anna"})
        until(lambda: 304 in page.ask(act="heard")["statuses"], "the page's stream is open")
        assert served(near) == served(far) == ofrep(there, token) == "unified"
        here.post(f"/api/v1/rollouts/{ROLLOUT}/rollback", {"reason": "test"})
        until(lambda: served(near) == served(far) == "legacy", "both providers are back")
        until(lambda: ofrep(there, token) == "legacy", "the other replica answers with it")

        def shown() -> str:
            return str(page.ask(act="evaluate", kind="boolean", flag=FLAG, fallback=True)["variant"])

        until(lambda: shown() == "legacy", "the page was told")


def test_a_stream_that_one_replica_named_opens_at_the_other(here: Site, there: Site) -> None:
    """A balancer sends the request and its stream where it likes."""
    token = here.post("/api/v1/tokens", {"role": "evaluator"})["token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{here.url}/ofrep/v1/evaluate/flags", json={"context": {"targetingKey": "a"}}, headers=headers)
    path = answer.json()["eventStreams"][0]["endpoint"]["requestUri"]
    with httpx.stream("GET", f"{there.url}{path}") as stream:
        assert stream.status_code == 200
        assert next(stream.iter_lines()).startswith("retry: ")
    assert httpx.get(f"{there.url}/ofrep/v1/events?channel=1.{'0' * 40}").status_code == 403


def test_a_replica_that_has_lost_its_database_keeps_no_client_on_the_canary(
    here: Site, there: Site, line: Line, provider_of: Callable[..., CanaryProvider]
) -> None:
    clock = Shifted()
    provider, token = provider_of(there, clock=clock), there.sdk_token()
    assert served(provider) == "unified"
    line.cut()
    here.post(f"/api/v1/rollouts/{ROLLOUT}/rollback", {"reason": "nobody tells the other replica"})
    headers = {"Authorization": f"Bearer {token}"}

    def refused() -> bool:
        with httpx.stream("GET", f"{there.url}/sdk/v1/stream", headers=headers) as stream:
            return stream.status_code == 503

    until(refused, "the blind replica lets no client in")
    assert httpx.get(f"{there.url}/sdk/v1/snapshot", headers=headers).status_code == 503
    assert served(provider) == "unified"  # its lease has not run out
    clock.by = 121
    assert served(provider) == "legacy"
    line.mend()
    revision = here.rollout()["revision"]
    until(lambda: provider.snapshot and provider.snapshot.revision >= revision, "it hears of the rollback")
    assert served(provider) == "legacy"
