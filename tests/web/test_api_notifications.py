"""/api/v1/notifications."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from controller.storage.tables import audit, channels
from controller.storage.vault import Vault
from controller.web.app import create_app
from tests.web.callers import FLAG, Caller, Door
from tests.web.letters import all_dead

HERE = "/api/v1/notifications"
SECRET_URL = "https://hooks.example.com/services/T0SECRETPATH?key=hunter2hunter2"
CHANNEL = {"name": "ops", "kind": "webhook", "address": SECRET_URL}
SLACK = {"name": "chat", "kind": "apprise", "address": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general"}


def test_a_channel_shows_its_signing_secret_once_and_its_address_never(admin: Caller, viewer: Caller) -> None:
    made = admin.post(f"{HERE}/channels", CHANNEL)
    assert made.status_code == 201
    assert made.json["secret"].startswith("whsec_")
    assert made.json["address"] == "https://hooks.example.com/..."
    for answer in (viewer.get(f"{HERE}/channels"), viewer.get(f"{HERE}/channels/ops"), viewer.get("/api/v1/audit")):
        assert answer.status_code == 200
        for secret in ("T0SECRETPATH", "hunter2hunter2", made.json["secret"]):
            assert secret not in answer.text


def test_an_apprise_channel_has_no_secret_of_its_own(admin: Caller) -> None:
    made = admin.post(f"{HERE}/channels", SLACK)
    assert (made.status_code, made.json["secret"], made.json["kind"]) == (201, None, "apprise")
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in made.text
    answer = admin.post(f"{HERE}/channels", {**SLACK, "name": "other", "secret": "x" * 30})
    assert (answer.status_code, answer.json["field"]) == (422, "secret")


def test_without_a_key_a_channel_says_that_it_is_stored_in_the_clear(admin: Caller) -> None:
    assert admin.post(f"{HERE}/channels", CHANNEL).json["sealed"] is False


def test_with_a_key_nothing_of_a_secret_is_in_the_database(door: Door, secrets: dict[Any, str]) -> None:
    app = create_app(door.services(vault=Vault(("a key that is long enough for these tests",))))
    made = Caller(app, secrets["admin"]).post(f"{HERE}/channels", CHANNEL)
    assert made.json["sealed"] is True
    with door.database.read() as connection:
        stored = str(connection.execute(select(channels)).all()) + str(connection.execute(select(audit)).all())
    assert "hooks.example.com/..." in stored
    for secret in ("T0SECRETPATH", "hunter2hunter2", made.json["secret"]):
        assert secret not in stored


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"kind": "pigeon"}, "kind"),
        ({"address": "hooks.example.com"}, "address"),
        ({"kind": "apprise", "address": "nonsense://x"}, "address"),
        ({"quiet": "soon"}, "quiet"),
        ({"quiet": "8d"}, "quiet"),
        ({"secret": "short"}, "secret"),
        ({"name": "has space"}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(admin: Caller, changed: dict[str, str], field: str) -> None:
    answer = admin.post(f"{HERE}/channels", {**CHANNEL, **changed})
    assert answer.status_code == 422
    assert field in (answer.json.get("field") or answer.json["detail"])


def test_addresses_are_for_admins_and_everything_else_for_operators(operator: Caller, admin: Caller) -> None:
    assert operator.post(f"{HERE}/channels", CHANNEL).status_code == 403
    admin.post(f"{HERE}/channels", CHANNEL)
    assert operator.patch(f"{HERE}/channels/ops", {"version": 1, "enabled": False}).status_code == 403
    assert operator.call("DELETE", f"{HERE}/channels/ops").status_code == 403
    assert operator.post(f"{HERE}/subscriptions", {"channel": "ops"}).status_code == 201
    assert operator.post(f"{HERE}/channels/ops/test").status_code == 202


def test_a_viewer_only_looks(viewer: Caller, admin: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    assert viewer.post(f"{HERE}/subscriptions", {"channel": "ops"}).status_code == 403
    assert viewer.post(f"{HERE}/channels/ops/test").status_code == 403
    assert viewer.get(f"{HERE}/deliveries").json == {"items": [], "next": None}


def test_a_channel_is_changed_at_the_version_it_was_read_at(admin: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    changed = admin.patch(f"{HERE}/channels/ops", {"version": 1, "quiet": "0s", "address": "http://10.0.0.1/x"})
    assert (changed.json["quiet"], changed.json["address"], changed.json["version"]) == ("0s", "http://10.0.0.1/...", 2)
    assert admin.patch(f"{HERE}/channels/ops", {"version": 1, "enabled": False}).status_code == 409
    assert admin.call("DELETE", f"{HERE}/channels/ops").status_code == 204
    assert admin.get(f"{HERE}/channels/ops").json["code"] == "unknown_channel"


def test_the_same_name_twice_is_refused(admin: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    assert admin.post(f"{HERE}/channels", CHANNEL).json["code"] == "already_exists"


def test_a_subscription_takes_the_place_of_the_one_before(admin: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    first = admin.post(f"{HERE}/subscriptions", {"channel": "ops"})
    assert first.json["kinds"] == ["alert.*", "rollout.*"]
    admin.post(f"{HERE}/subscriptions", {"channel": "ops", "kinds": ["flag.killed"]})
    (only,) = admin.get(f"{HERE}/subscriptions").json["items"]
    assert (only["channel"], only["flag"], only["kinds"]) == ("ops", "", ["flag.killed"])
    assert admin.call("DELETE", f"{HERE}/subscriptions/{only['id']}").status_code == 204
    assert admin.call("DELETE", f"{HERE}/subscriptions/{only['id']}").status_code == 404
    assert admin.call("DELETE", f"{HERE}/subscriptions/{10**30}").status_code == 404


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"channel": "nobody"}, 404, "unknown_channel"),
        ({"flag": "nothing"}, 404, "unknown_flag"),
        ({"kinds": ["rolout.*"]}, 422, "invalid"),
    ],
)
def test_a_subscription_to_nothing_is_refused(admin: Caller, changed: dict[str, Any], status: int, code: str) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    answer = admin.post(f"{HERE}/subscriptions", {"channel": "ops", **changed})
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_a_test_is_a_delivery_to_be_looked_at(admin: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    number = admin.post(f"{HERE}/channels/ops/test").json["delivery"]
    found = admin.get(f"{HERE}/deliveries/{number}").json
    assert (found["state"], found["title"]) == (
        "waiting",
        "[default] A test of the channel ops (by admin of the tests)",
    )
    assert admin.get(f"{HERE}/deliveries?state=waiting&channel=ops").json["items"] == [found]
    assert admin.get(f"{HERE}/deliveries?state=dead").json["items"] == []
    assert admin.get(f"{HERE}/deliveries?state=lost").json["field"] == "state"
    assert admin.post(f"{HERE}/deliveries/{number}/retry").json["code"] == "conflict"
    assert admin.get(f"{HERE}/deliveries/{10**30}").status_code == 404


def test_a_channel_that_is_switched_off_is_not_tested(admin: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    admin.patch(f"{HERE}/channels/ops", {"version": 1, "enabled": False})
    assert admin.post(f"{HERE}/channels/ops/test").status_code == 409


def test_there_is_a_bound_to_the_number_of_channels(admin: Caller) -> None:
    for number in range(50):
        assert admin.post(f"{HERE}/channels", {**CHANNEL, "name": f"c{number}"}).status_code == 201
    assert admin.post(f"{HERE}/channels", CHANNEL).status_code == 409


def test_every_change_of_a_channel_is_in_the_audit_trail(admin: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    admin.post(f"{HERE}/subscriptions", {"channel": "ops"})
    admin.patch(f"{HERE}/channels/ops", {"version": 1, "enabled": False})
    admin.call("DELETE", f"{HERE}/channels/ops")
    found = [one["action"] for one in admin.get("/api/v1/audit").json["items"] if one["subject"] == "channel/ops"]
    assert found == ["channel.removed", "channel.changed", "channel.subscribed", "channel.created"]


@pytest.fixture
def scoped(app: Flask, admin: Caller) -> Caller:
    """An operator of the flags `chat.*` alone."""
    made = admin.post("/api/v1/tokens", {"role": "operator", "name": "chat on call", "flags": ["chat.*"]})
    return Caller(app, made.json["token"])


def test_whoever_may_change_some_flags_subscribes_for_those_alone(admin: Caller, scoped: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    for key in ("emitter", "chat.typing"):
        admin.post("/api/v1/flags", {**FLAG, "key": key})
    assert scoped.post(f"{HERE}/subscriptions", {"channel": "ops", "flag": "chat.typing"}).status_code == 201
    for flag in ("emitter", ""):
        answer = scoped.post(f"{HERE}/subscriptions", {"channel": "ops", "flag": flag})
        assert (answer.status_code, answer.json["code"], answer.json["field"]) == (403, "out_of_scope", "flag")
    heard = [one["flag"] for one in admin.get(f"{HERE}/subscriptions").json["items"]]
    assert heard == ["chat.typing"]


def test_nobody_ends_a_subscription_to_flags_that_are_not_theirs(admin: Caller, scoped: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    for key in ("emitter", "chat.typing"):
        admin.post("/api/v1/flags", {**FLAG, "key": key})
    made = {
        flag: admin.post(f"{HERE}/subscriptions", {"channel": "ops", "flag": flag}).json["id"]
        for flag in ("", "emitter", "chat.typing")
    }
    status = {
        flag: scoped.call("DELETE", f"{HERE}/subscriptions/{number}").status_code for flag, number in made.items()
    }
    assert status == {"": 403, "emitter": 403, "chat.typing": 204}


def test_a_dead_letter_about_anothers_flag_is_not_retried(admin: Caller, scoped: Caller, door: Door) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    admin.post(f"{HERE}/subscriptions", {"channel": "ops", "kinds": ["*"]})
    admin.started()
    admin.post("/api/v1/flags", {**FLAG, "key": "chat.typing"})
    dead = all_dead(door)
    status = {one.subject: scoped.post(f"{HERE}/deliveries/{one.id}/retry").status_code for one in dead}
    assert status == {"flag/emitter": 403, "rollout/unified-emitter": 403, "flag/chat.typing": 200}


def test_a_test_is_anybodys_who_operates(admin: Caller, scoped: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    assert scoped.post(f"{HERE}/channels/ops/test", {"reason": "new webhook"}).status_code == 202


def test_an_audit_entry_says_who_why_and_in_which_request(admin: Caller, operator: Caller, door: Door) -> None:
    admin.post(f"{HERE}/channels", CHANNEL, {"X-Request-Id": "make-it"})
    made = operator.post(f"{HERE}/subscriptions", {"channel": "ops"}, {"X-Request-Id": "hear-it"}).json
    admin.post(f"{HERE}/channels/ops/test", {"reason": "is it there?"}, {"X-Request-Id": "try-it"})
    admin.call("PATCH", f"{HERE}/channels/ops", {"version": 1, "enabled": False}, {"X-Request-Id": "stop-it"})
    ending = f"{HERE}/subscriptions/{made['id']}?reason=too+loud"
    operator.call("DELETE", ending, headers={"X-Request-Id": "mute-it"})
    admin.call("DELETE", f"{HERE}/channels/ops?reason=left", headers={"X-Request-Id": "end-it"})
    with door.database.read() as connection:
        rows = connection.execute(select(audit).where(audit.c.subject == "channel/ops").order_by(audit.c.id)).all()
    assert [(row.action, row.actor, row.reason, row.request_id) for row in rows] == [
        ("channel.created", "admin of the tests", "", "make-it"),
        ("channel.subscribed", "operator of the tests", "", "hear-it"),
        ("channel.tested", "admin of the tests", "is it there?", "try-it"),
        ("channel.changed", "admin of the tests", "", "stop-it"),
        ("channel.unsubscribed", "operator of the tests", "too loud", "mute-it"),
        ("channel.removed", "admin of the tests", "left", "end-it"),
    ]


def test_a_channel_that_was_changed_meanwhile_is_not_removed(admin: Caller) -> None:
    admin.post(f"{HERE}/channels", CHANNEL)
    admin.patch(f"{HERE}/channels/ops", {"version": 1, "quiet": "1h"})
    assert admin.call("DELETE", f"{HERE}/channels/ops?version=1").json["code"] == "changed_meanwhile"
    assert admin.call("DELETE", f"{HERE}/channels/ops?version=2").status_code == 204
