"""The event streams of a running controller."""

from __future__ import annotations

import pytest

from tests.flow.site import Site

SDK = "/sdk/v1/stream"


@pytest.fixture
def here(sqlite_url, new_site) -> Site:
    return new_site(sqlite_url)


def headers(site: Site, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {site.sdk_token()}", **more}


def instances(site: Site) -> dict[str, bool]:
    items = site.http.get("/api/v1/instances").raise_for_status().json()["items"]
    return {item["id"]: item["reports"] for item in items}


@pytest.mark.parametrize("reports", ["0", "1"])
def test_whoever_opens_a_stream_is_known_from_then_on(here, reports):
    named = {"Canary-Instance": "edge-1", "Canary-Reports": reports}
    with here.http.stream("GET", SDK, headers=headers(here, **named)) as stream:
        assert stream.status_code == 200
        assert instances(here) == {"edge-1": reports == "1"}


def test_an_instance_name_that_is_too_long_is_refused_by_field(here):
    answer = here.http.get(SDK, headers=headers(here, **{"Canary-Instance": "x" * 129, "Canary-Reports": "1"}))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert "128" in answer.json()["detail"]
    assert instances(here) == {}


def test_a_stream_needs_a_token_of_the_right_role(here):
    assert here.http.get(SDK, headers={"Authorization": "Bearer nonsense"}).status_code == 401
    viewer = here.post("/api/v1/tokens", {"role": "viewer"})["token"]
    assert here.http.get(SDK, headers={"Authorization": f"Bearer {viewer}"}).status_code == 403
