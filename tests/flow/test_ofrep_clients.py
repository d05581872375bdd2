"""The OpenFeature clients that people use, against a running controller over OFREP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from controller.domain.evaluation import evaluate
from controller.wire.snapshots import from_wire
from tests.flow.site import Site, until
from tests.js.node import Node

USERS = [f"user-{number}" for number in range(200)]
GERMAN = {"attribute": "country", "equals": "DE"}
FLAGS: list[dict[str, Any]] = [
    {"key": "yes", "variants": {"off": False, "on": True}, "control": "off", "served": "on"},
    {"key": "text", "variants": {"a": "A", "b": "B"}, "control": "a", "served": "b"},
    {"key": "whole", "variants": {"a": 1, "b": 2}, "control": "a", "served": "b"},
    {"key": "part", "variants": {"a": 1, "b": 2.5}, "control": "a"},
    {"key": "look", "variants": {"a": {"color": ["red"]}, "b": {}}, "control": "a"},
    {"key": "killed", "variants": {"off": False, "on": True}, "control": "off", "served": "on", "enabled": False},
    {
        "key": "ruled",
        "variants": {"off": False, "on": True},
        "control": "off",
        "targeting": {
            "deny": ["dora"],
            "rules": [{"name": "germans", "when": GERMAN, "serve": "on"}, {"serve": "on", "share": "50%"}],
        },
    },
]


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("ofrep")
    site = Site(f"sqlite:///{folder / 'canary.db'}", folder)
    site.start()
    for flag in FLAGS:
        site.post("/api/v1/flags", flag)
    yield site
    site.close()


@pytest.fixture(scope="module")
def token(here: Site) -> str:
    return str(here.post("/api/v1/tokens", {"role": "evaluator", "name": "pages"})["token"])


def expected(here: Site, flag: str, user: str, **attributes: Any) -> tuple[Any, str]:
    snapshot = from_wire(here.http.get("/sdk/v1/snapshot").content)
    answer = evaluate(snapshot.flags[flag], user, attributes, segments=snapshot.segments)
    return answer.value, answer.variant


# --- Python ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def python(here: Site, token: str) -> Iterator[Callable[..., Any]]:
    def connect(secret: str = token, url: str = here.url) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        api.set_provider_and_wait(OFREPProvider(url, headers_factory=lambda: headers))
        return api.get_client()

    yield connect
    api.clear_providers()


def test_python_gets_every_type(python) -> None:
    client = python()
    anna = EvaluationContext("anna")
    assert client.get_boolean_details("yes", False, anna).value is True
    assert client.get_string_details("text", "", anna).variant == "b"
    assert client.get_integer_value("whole", 0, anna) == 2
    assert client.get_float_value("part", 0.0, anna) == 1.0
    assert client.get_object_value("look", {}, anna) == {"color": ["red"]}
    killed = client.get_boolean_details("killed", True, anna)
    assert (killed.value, killed.reason, killed.error_code) == (False, "DISABLED", None)


def test_python_gets_the_variants_that_everybody_gets(here: Site, python) -> None:
    client = python()
    for user in USERS:
        found = client.get_boolean_details("ruled", False, EvaluationContext(user, {"country": "FR"}))
        assert (found.value, found.variant) == expected(here, "ruled", user, country="FR")
        assert (found.reason, found.flag_metadata["rule"]) == ("SPLIT", "#2")
    german = client.get_boolean_details("ruled", False, EvaluationContext("x", {"country": "DE"}))
    assert (german.value, german.reason) == (True, "TARGETING_MATCH")
    assert client.get_boolean_value("ruled", True, EvaluationContext("dora", {"country": "DE"})) is False


def test_python_tells_errors_apart(python) -> None:
    client = python()
    anna = EvaluationContext("anna")
    assert client.get_boolean_details("absent", True, anna).error_code is ErrorCode.FLAG_NOT_FOUND
    assert client.get_boolean_details("text", True, anna).error_code is ErrorCode.TYPE_MISMATCH
    assert client.get_boolean_details("yes", False).error_code is ErrorCode.TARGETING_KEY_MISSING
    assert client.get_boolean_details("yes", False, EvaluationContext("")).error_code is ErrorCode.TARGETING_KEY_MISSING
    odd = EvaluationContext("anna", {"targetingKey": 7})  # the client lets attributes overwrite the key
    assert client.get_boolean_details("yes", False, odd).error_code is ErrorCode.INVALID_CONTEXT
    refused = python("wrong").get_boolean_details("yes", False, anna)
    assert (refused.value, refused.error_code, refused.error_message) == (False, ErrorCode.GENERAL, "unauthorized")


# --- JavaScript, as a back end --------------------------------------------------------------------------------------


def test_a_javascript_back_end_gets_every_type_and_the_same_variants(here: Site, token: str) -> None:
    with Node("server.mjs", here.url, token) as node:

        def get(kind: str, flag: str, fallback: Any, user: str = "anna", **attributes: Any) -> Any:
            context = {"targetingKey": user, **attributes}
            return node.ask(kind=kind, flag=flag, fallback=fallback, context=context)

        assert get("boolean", "yes", False)["value"] is True
        assert get("string", "text", "")["variant"] == "b"
        assert get("number", "part", 0)["value"] == 1
        assert get("object", "look", {})["value"] == {"color": ["red"]}
        killed = get("boolean", "killed", True)
        assert (killed["value"], killed["reason"]) == (False, "DISABLED")
        for user in USERS[:50]:
            found = get("boolean", "ruled", False, user, country="FR")
            assert (found["value"], found["variant"]) == expected(here, "ruled", user, country="FR")
        assert get("boolean", "absent", True)["errorCode"] == "FLAG_NOT_FOUND"
        assert get("boolean", "a/b", True)["errorCode"] == "FLAG_NOT_FOUND"
        assert get("boolean", "text", True)["errorCode"] == "TYPE_MISMATCH"
        missing = node.ask(kind="boolean", flag="yes", fallback=False, context={})
        assert missing["errorCode"] == "TARGETING_KEY_MISSING"


# --- JavaScript, as a page ------------------------------------------------------------------------------------------


def heard(node: Node) -> Any:
    return node.ask(act="heard")


def value(node: Node, flag: str) -> Any:
    return node.ask(act="evaluate", kind="boolean", flag=flag, fallback=None or False)


def a_flag(here: Site, key: str) -> str:
    here.post("/api/v1/flags", {"key": key, "variants": {"off": False, "on": True}, "control": "off", "served": "on"})
    return key


def patch(here: Site, key: str, **change: Any) -> None:
    version = here.http.get(f"/api/v1/flags/{key}").json()["version"]
    assert here.http.patch(f"/api/v1/flags/{key}", json={"version": version, **change}).is_success


def test_a_page_hears_of_a_kill_switch_by_the_stream_and_names_the_flag(here: Site, token: str) -> None:
    key = a_flag(here, "page-kill")
    with Node("web.mjs", here.url, token) as node:
        assert node.ask(act="start", context={"targetingKey": "anna"}) == "ready"
        assert value(node, key)["value"] is True
        until(lambda: 304 in heard(node)["statuses"], "the stream opened and asked once more")
        patch(here, key, enabled=False)
        until(lambda: value(node, key)["value"] is False, "the kill switch arrived")
        assert value(node, key)["reason"] == "DISABLED"
        changed = [flags for event, flags in heard(node)["events"] if event == "PROVIDER_CONFIGURATION_CHANGED"]
        assert changed == [[key]]


def test_a_page_gets_the_answers_of_its_context_not_of_the_one_before(here: Site, token: str) -> None:
    with Node("web.mjs", here.url, token) as node:
        node.ask(act="start", context={"targetingKey": "anna", "country": "DE"})
        assert value(node, "ruled")["value"] is True
        node.ask(act="become", context={"targetingKey": "dora", "country": "DE"})
        assert value(node, "ruled")["value"] is False
        node.ask(act="become", context={"targetingKey": "dora", "country": "FR"})
        assert value(node, "ruled")["reason"] == "TARGETING_MATCH"


def test_a_page_without_streams_polls_and_is_told_when_nothing_changed(here: Site, token: str) -> None:
    key = a_flag(here, "page-poll")
    with Node("web.mjs", here.url, token) as node:
        node.ask(act="start", context={"targetingKey": "a"}, pollInterval=50, changeDetection="polling")
        until(lambda: 304 in heard(node)["statuses"], "nothing had changed")
        patch(here, key, served="off")
        until(lambda: value(node, key)["value"] is False, "the change was polled")


def test_a_page_with_a_bad_token_or_none_is_told_so_and_stops(here: Site) -> None:
    for secret, words in (("wrong", "unauthorized"), ("", "unauthorized")):
        with Node("web.mjs", here.url, secret) as node:
            assert words in node.ask(act="start", context={"targetingKey": "a"}).lower() or (
                heard(node)["status"] == "FATAL"
            )
            assert heard(node)["statuses"] == [401]
    viewer = str(here.post("/api/v1/tokens", {"role": "viewer"})["token"])
    with Node("web.mjs", here.url, viewer) as node:
        node.ask(act="start", context={"targetingKey": "a"})
        assert (heard(node)["status"], heard(node)["statuses"]) == ("FATAL", [403])


def test_a_page_survives_a_restart_of_the_controller(tmp_path, new_site) -> None:
    site = new_site(f"sqlite:///{tmp_path / 'restart.db'}")
    key = a_flag(site, "again")
    token = str(site.post("/api/v1/tokens", {"role": "evaluator"})["token"])
    with Node("web.mjs", site.url, token) as node:
        node.ask(act="start", context={"targetingKey": "a"})
        until(lambda: 304 in heard(node)["statuses"], "the stream is open")
        site.stop()
        until(lambda: heard(node)["status"] == "STALE", "the page knows that it hears nothing")
        assert value(node, key)["value"] is True
        site.start()
        patch(site, key, enabled=False)
        until(lambda: value(node, key)["value"] is False, "the kill switch arrived after the restart")
