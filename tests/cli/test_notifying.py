"""`canary notify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.cli import notifying
from controller.wire.api.notifications import BegunTest, ChannelView, DeliveryView, SubscriptionView
from tests.cli.conftest import Run
from tests.cli.forms import NOW, listed
from tests.cli.stub import StubController

HERE = "/api/v1/notifications"


def channel(**changed: Any) -> ChannelView:
    facts = {"name": "ops", "kind": "webhook", "address": "https://h/...", "sealed": True, "enabled": True}
    return ChannelView(**{**facts, "quiet": "30m", "description": "", "version": 3, "updated_ms": NOW, **changed})


def delivery(state: str, error: str = "", **changed: Any) -> DeliveryView:
    facts: dict[str, Any] = {"id": 9, "notice": 4, "channel": "ops", "kind": "notify.test", "subject": "channel/ops"}
    facts |= {"title": "[prod] A test", "attempts": 1, "created_ms": NOW, "due_ms": NOW, "settled_ms": None}
    return DeliveryView(**{**facts, "state": state, "error": error, **changed})


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "_LOOK_EVERY_S", 0.01)


def test_an_address_is_read_from_a_file_and_the_secret_is_shown_once(
    run: Run, stub: StubController, tmp_path: Path
) -> None:
    (tmp_path / "address").write_text("https://h/secret\n", encoding="utf-8")
    stub.on("POST", f"{HERE}/channels", channel(secret="whsec_x"))
    done = run("notify", "add", "ops", "--kind", "webhook", "--address-file", str(tmp_path / "address"))
    assert done.exit_code == 0, done.output
    (body,) = stub.bodies("POST")
    assert (body["name"], body["kind"], body["address"], body["quiet"]) == ("ops", "webhook", "https://h/secret", "30m")
    assert done.stdout == "whsec_x\n"
    assert "secret: shown this once" in done.stderr
    assert "in the clear" not in done.stderr


def test_an_address_is_asked_for_without_showing_it(run: Run, stub: StubController) -> None:
    stub.on("POST", f"{HERE}/channels", channel(kind="apprise", sealed=False))
    done = run("notify", "add", "ops", "--kind", "apprise", stdin="slack://a/b/c\n")
    assert stub.bodies("POST")[0]["address"] == "slack://a/b/c"
    assert "slack://a/b/c" not in done.output
    assert "CANARY_SECRET_KEY" in done.stderr


def test_channels_are_listed_with_what_waits_and_what_is_dead(run: Run, stub: StubController) -> None:
    stub.on("GET", f"{HERE}/channels", listed(channel(waiting=2, dead=5), channel(name="chat", enabled=False)))
    done = run("notify", "channels")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[1:] == ["ops webhook https://h/... on 30m 2 5", "chat webhook https://h/... off 30m 0 0"]


def test_a_channel_is_switched_off_at_the_version_it_is_at(run: Run, stub: StubController) -> None:
    stub.on("GET", f"{HERE}/channels/ops", channel())
    stub.on("PATCH", f"{HERE}/channels/ops", channel(enabled=False))
    assert "channel ops: off" in run("notify", "set", "ops", "--off").stdout
    (body,) = stub.bodies("PATCH")
    assert (body["version"], body["enabled"], body["address"]) == (3, False, None)
    assert run("notify", "set", "ops").exit_code == 2


def test_a_subscription_says_what_it_is_to(run: Run, stub: StubController) -> None:
    stub.on("POST", f"{HERE}/subscriptions", SubscriptionView(1, "ops", "chat", ["alert.*"], NOW))
    done = run("notify", "subscribe", "ops", "--flag", "chat", "--kind", "alert.*", "--reason", "on call")
    assert done.stdout == "ops hears alert.* of chat\n"
    assert stub.bodies("POST") == [{"channel": "ops", "flag": "chat", "kinds": ["alert.*"], "reason": "on call"}]


def test_whoever_ends_something_says_why(run: Run, stub: StubController) -> None:
    stub.on("DELETE", f"{HERE}/subscriptions/4", b"")
    stub.on("DELETE", f"{HERE}/channels/ops", b"")
    assert run("notify", "unsubscribe", "4", "--reason", "too loud & long").exit_code == 0
    assert run("notify", "remove", "ops", "--reason", "left").exit_code == 0
    assert [asked.query for asked in stub.asked] == [{"reason": "too loud & long"}, {"reason": "left"}]


def test_dead_letters_are_asked_for_and_shown_with_their_errors(run: Run, stub: StubController) -> None:
    stub.on("GET", f"{HERE}/deliveries", listed(delivery("dead", "answered 404", attempts=3)))
    done = run("notify", "deliveries", "--dead", "--channel", "ops")
    assert stub.asked[0].query["state"] == "dead"
    assert stub.asked[0].query["channel"] == "ops"
    assert "dead after 3: answered 404" in done.stdout


def test_a_test_that_arrives_says_so(run: Run, stub: StubController) -> None:
    stub.on("POST", f"{HERE}/channels/ops/test", BegunTest(9))
    stub.on("GET", f"{HERE}/deliveries/9", delivery("waiting"), delivery("sending"), delivery("delivered"))
    done = run("notify", "test", "ops")
    assert (done.exit_code, done.stdout) == (0, "channel ops: the test arrived\n")


def test_a_test_that_fails_says_why_at_once(run: Run, stub: StubController) -> None:
    stub.on("POST", f"{HERE}/channels/ops/test", BegunTest(9))
    stub.on("GET", f"{HERE}/deliveries/9", delivery("sending"), delivery("waiting", "answered 401 Unauthorized"))
    done = run("notify", "test", "ops", "--wait", "600")
    assert done.exit_code == 1
    assert "answered 401 Unauthorized" in done.stderr


def test_a_test_that_nobody_sends_says_where_to_look(run: Run, stub: StubController) -> None:
    stub.on("POST", f"{HERE}/channels/ops/test", BegunTest(9))
    stub.on("GET", f"{HERE}/deliveries/9", delivery("waiting"))
    done = run("notify", "test", "ops", "--wait", "1")
    assert done.exit_code == 1
    assert "does a controller lead" in done.stderr
