"""The page of notifications: channels, subscriptions, deliveries and what people do with them."""

import re
from html import unescape

import pytest
from flask import Flask
from sqlalchemy import select

from controller.storage.tables import audit, deliveries
from tests.web.callers import FLAG, MANIFEST, Caller, Door
from tests.web.letters import all_dead
from tests.web.pages import HOSTILE, page_of, read, send

HERE = "/notifications"
SECRET_URL = "https://hooks.example.com/services/T0SECRETPATH?key=hunter2hunter2"
CHANNEL = {"name": "ops", "kind": "webhook", "address": SECRET_URL, "quiet": "30m", "reason": "people sleep"}
SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGVzZSB0ZXN0cw=="


@pytest.fixture
def channel(admin: Caller) -> str:
    """A webhook with a signing secret of somebody's own."""
    assert send(admin, f"{HERE}/channels", **CHANNEL, secret=SECRET).status_code == 303
    return "ops"


def test_an_empty_page_says_what_to_do_to_whoever_may_do_it(viewer: Caller, operator: Caller, admin: Caller) -> None:
    page = page_of(admin, HERE)
    assert "No channel yet: nobody hears of a rollback who does not look. Add one below" in page.text
    assert "open" in page.all("details", id="add-channel")[0]
    assert "An admin adds them" in page_of(operator, HERE).text
    for words in ("No subscription.", "Nothing has been sent yet."):
        assert words in page_of(viewer, HERE).text
    assert page_of(viewer, HERE).all("form", action=f"{HERE}/channels") == []
    assert HERE in page_of(viewer).links


def test_a_channel_is_added_and_its_signing_secret_shown_once(admin: Caller) -> None:
    made = read(send(admin, f"{HERE}/channels", **CHANNEL))
    secret = str(made.all("input", id="secret")[0]["value"])
    assert secret.startswith("whsec_")
    page = page_of(admin, HERE)
    assert "ops on webhook Sends to https://hooks.example.com/... ; repeats are kept quiet for 30m." in page.text
    assert "stored in the clear" in page.text
    for path in (HERE, "/audit", f"{HERE}/channels/ops/remove"):
        for hidden in (secret, "T0SECRETPATH", "hunter2hunter2"):
            assert hidden not in admin.get(path).text


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"kind": "pigeon"}, 422, "kind"),
        ({"address": "hooks.example.com"}, 422, "address"),
        ({"name": "a b"}, 422, "name"),
        ({"quiet": "soon"}, 422, "quiet"),
        ({"secret": "short"}, 422, "secret"),
        ({"reason": ""}, 422, "say why"),
    ],
)
def test_a_channel_that_does_not_fit_is_refused_and_kept_but_for_its_secrets(
    admin: Caller, fields: dict[str, str], status: int, words: str
) -> None:
    answer = send(admin, f"{HERE}/channels", **{**CHANNEL, "description": "on call", **fields})
    page = read(answer, status)
    assert words in page.text
    assert page.field("description") == "on call"
    assert "open" in page.all("details", id="add-channel")[0]
    assert "hunter2hunter2" not in answer.text


def test_a_channel_is_changed_at_the_version_that_the_page_showed(admin: Caller, channel: str) -> None:
    address = f"{HERE}/channels/{channel}"
    fields = {"version": "1", "address": "", "quiet": "1h", "description": "night shift", "reason": "too loud"}
    assert send(admin, address, **fields).status_code == 303
    text = page_of(admin, HERE).text
    assert "night shift Sends to https://hooks.example.com/... ; repeats are kept quiet for 1h." in text
    lost = read(send(admin, address, **{**fields, "description": "day shift"}), 409)
    assert "Somebody else changed this" in lost.text
    assert "day shift" in [found.get("value") for found in lost.all("input", name="description")]
    assert "unknown" not in read(send(admin, f"{HERE}/channels/nobody", **fields), 404).text
    assert "there is no channel 'nobody'" in read(send(admin, f"{HERE}/channels/nobody", **fields), 404).text


def test_a_channel_is_switched_off_and_on_and_removed(admin: Caller, channel: str) -> None:
    for verb, words in (("disable", "ops off webhook"), ("enable", "ops on webhook"), ("remove", "No channel yet")):
        address = f"{HERE}/channels/{channel}/{verb}"
        version = str(page_of(admin, address).field("version"))
        read(send(admin, address, version=version, reason=""), 422)
        assert send(admin, address, version=version, reason="quiet night").status_code == 303
        assert words in page_of(admin, HERE).text
    assert admin.get(f"{HERE}/channels/ops/explode").status_code == 404
    assert send(admin, f"{HERE}/channels/ops/explode", reason="x").status_code == 404


def test_what_was_changed_meanwhile_is_not_removed(admin: Caller, channel: str) -> None:
    address = f"{HERE}/channels/{channel}/remove"
    version = str(page_of(admin, address).field("version"))
    send(admin, f"{HERE}/channels/{channel}/disable", reason="quiet night")
    assert "Somebody else changed this" in read(send(admin, address, version=version, reason="left"), 409).text


def test_a_test_is_sent_and_is_among_the_deliveries(operator: Caller, admin: Caller, channel: str) -> None:
    address = f"{HERE}/channels/{channel}/test"
    assert address in page_of(operator, HERE).links
    assert "Send a test?" in page_of(operator, address).text
    assert send(operator, address, reason="new webhook").status_code == 303
    text = page_of(operator, HERE).text
    assert "[default] A test of the channel ops (by operator of the tests)" in text
    assert "ops waiting" in text
    send(admin, f"{HERE}/channels/{channel}/disable", reason="quiet night")
    assert address not in page_of(operator, HERE).links
    assert "is switched off" in read(send(operator, address, reason="again"), 409).text


def test_a_channel_is_subscribed_and_the_subscription_removed(operator: Caller, channel: str) -> None:
    operator.post("/api/v1/flags", FLAG)
    fields = {"channel": channel, "flag": "emitter", "kinds": "rollout.rollback, alert.raised", "reason": "on call"}
    assert send(operator, f"{HERE}/subscriptions", **fields).status_code == 303
    page = page_of(operator, HERE)
    assert "ops emitter alert.raised, rollout.rollback" in page.text
    assert "/flags/emitter" in page.links
    remove = next(link for link in page.links if link.endswith("/remove") and "subscriptions" in link)
    assert "ops hears alert.raised, rollout.rollback of emitter" in page_of(operator, remove).text
    read(send(operator, remove, reason=""), 422)
    assert send(operator, remove, reason="too loud").status_code == 303
    assert "No subscription." in page_of(operator, HERE).text
    assert operator.get(remove).status_code == 404


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"channel": "nobody"}, 404, "there is no channel"),
        ({"flag": "nothing"}, 404, "nothing"),
        ({"kinds": "rolout.*"}, 422, "fits no kind"),
        ({"reason": ""}, 422, "say why"),
    ],
)
def test_a_subscription_that_does_not_fit_is_refused_and_kept(
    operator: Caller, channel: str, fields: dict[str, str], status: int, words: str
) -> None:
    given = {"channel": channel, "flag": "", "kinds": "rollout.*", "reason": "on call", **fields}
    page = read(send(operator, f"{HERE}/subscriptions", **given), status)
    assert words in page.text
    assert page.field("kinds") == given["kinds"]


def test_an_operator_of_some_flags_sees_and_uses_no_others(app: Flask, admin: Caller, channel: str) -> None:
    admin.post("/api/v1/flags", FLAG)
    admin.post("/api/v1/flags", {**FLAG, "key": "chat.typing"})
    made = admin.post("/api/v1/tokens", {"role": "operator", "name": "chat on call", "flags": ["chat.*"]})
    scoped = Caller(app, made.json["token"])
    for flag in ("", "emitter"):
        send(admin, f"{HERE}/subscriptions", channel=channel, flag=flag, reason="x")
    page = page_of(scoped, HERE)
    assert not [link for link in page.links if "/subscriptions/" in link]
    assert (page.all("option", value="chat.typing") != [], page.all("option", value="emitter")) == (True, [])
    for flag in ("", "emitter"):
        refused = read(send(scoped, f"{HERE}/subscriptions", channel=channel, flag=flag, reason="x"), 403)
        assert "flag" in refused.text
    assert send(scoped, f"{HERE}/subscriptions", channel=channel, flag="chat.typing", reason="x").status_code == 303
    assert len([link for link in page_of(scoped, HERE).links if "/subscriptions/" in link]) == 1


def test_a_dead_letter_says_why_and_is_retried(operator: Caller, channel: str, door: Door) -> None:
    send(operator, f"{HERE}/channels/{channel}/test", reason="new webhook")
    (dead,) = all_dead(door, "HTTP 410: gone")
    page = page_of(operator, HERE)
    assert "Dead letters" in page.text
    assert "ops dead letter 3 HTTP 410: gone" in page.text
    retry = f"{HERE}/deliveries/{dead.id}/retry"
    assert retry in page.links
    assert send(operator, retry, reason="mended").status_code == 303
    assert "Dead letters" not in page_of(operator, HERE).text
    assert "only a dead one is tried again" in read(send(operator, retry, reason="mended"), 409).text
    with door.database.read() as connection:
        assert connection.execute(select(deliveries.c.state)).scalars().all() == ["waiting"]
        last = connection.execute(select(audit).order_by(audit.c.id.desc())).first()
    assert last is not None
    assert (last.action, last.actor, last.reason) == ("channel.retried", "operator of the tests", "mended")


def test_only_letters_about_ones_own_flags_are_offered_for_another_try(
    app: Flask, admin: Caller, channel: str, door: Door
) -> None:
    send(admin, f"{HERE}/subscriptions", channel=channel, flag="", kinds="*", reason="on call")
    admin.post("/api/v1/flags", {**FLAG, "key": "chat.typing"})
    admin.post("/api/v1/flags", FLAG)
    admin.post("/api/v1/rollouts", MANIFEST)
    all_dead(door)
    made = admin.post("/api/v1/tokens", {"role": "operator", "name": "chat on call", "flags": ["chat.*"]})
    scoped = Caller(app, made.json["token"])
    offered = [link for link in page_of(scoped, HERE).links if link.endswith("/retry")]
    assert len([link for link in page_of(admin, HERE).links if link.endswith("/retry")]) == 3
    (mine,) = offered
    assert "flag chat.typing" in page_of(scoped, mine).text
    assert send(scoped, mine, reason="mended").status_code == 303


def test_a_viewer_looks_and_is_offered_nothing(
    viewer: Caller, operator: Caller, admin: Caller, channel: str, door: Door
) -> None:
    send(operator, f"{HERE}/subscriptions", channel=channel, reason="on call")
    send(operator, f"{HERE}/channels/{channel}/test", reason="new webhook")
    all_dead(door)
    assert not [link for link in page_of(viewer, HERE).links if link.startswith(f"{HERE}/")]
    assert not [link for link in page_of(operator, HERE).links if link.endswith(("/ops/remove", "/ops/disable"))]
    assert [link for link in page_of(admin, HERE).links if link.endswith("/ops/remove")]


def test_the_deliveries_are_a_live_part(operator: Caller, channel: str) -> None:
    send(operator, f"{HERE}/channels/{channel}/test", reason="new webhook")
    assert "A test of the channel ops" in page_of(operator, "/fragments/notifications").text
    (part,) = page_of(operator, HERE).all("div", id="live")
    assert operator.get(str(part["hx-get"])).status_code == 204


def test_hostile_words_are_only_ever_text(admin: Caller, channel: str, door: Door) -> None:
    send(admin, f"{HERE}/channels/{channel}", version="1", quiet="30m", description=HOSTILE, reason=HOSTILE)
    send(admin, f"{HERE}/channels/{channel}/test", reason="new webhook")
    all_dead(door, HOSTILE)
    answer = admin.get(HERE)
    assert not re.search(r"<img|<script(?! src)", answer.text)
    assert unescape(answer.text).count(HOSTILE) >= 2
