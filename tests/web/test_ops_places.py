"""The quieter pages: audit, instances, freezes, schedules, handover and access."""

import re
from html import unescape

import pytest
from sqlalchemy import Connection, update

from controller.storage.tables import audit
from tests.web.callers import Caller, Door, report
from tests.web.pages import HOSTILE, page_of, read, send


def test_the_audit_trail_says_who_what_why_and_what_it_was_before(operator: Caller) -> None:
    operator.started()
    operator.post("/api/v1/rollouts/unified-emitter/pause", {"reason": "odd latencies"})
    page = page_of(operator, "/audit")
    assert "rollout.pause unified-emitter by operator of the tests" in page.text
    assert "odd latencies" in page.text
    assert "phase progressing paused" in page.text
    assert {"/rollouts/unified-emitter", "/flags/emitter"} <= page.links


def test_older_entries_are_a_page_away(operator: Caller) -> None:
    operator.started()
    for _ in range(30):
        operator.post("/api/v1/rollouts/unified-emitter/pause")
        operator.post("/api/v1/rollouts/unified-emitter/resume")
    older = next(link for link in page_of(operator, "/audit").links if "before=" in link)
    assert "flag.created" in page_of(operator, older).text


def test_the_instances_are_told_as_they_last_reported(operator: Caller, sdk: Caller) -> None:
    operator.started()
    assert "No client has asked for a snapshot yet" in page_of(operator, "/instances").text
    arms = [{"flag": "emitter", "variant": "unified", "open_runs": 3}]
    sdk.post("/sdk/v1/reports", report(app_version="2.0.0", arms=arms))
    text = page_of(operator, "/instances").text
    assert "chat-1 live 0" in text
    assert "2.0.0" in text
    assert "emitter/unified: 3" in text


def test_the_trail_is_searched_by_who_what_and_about_what(operator: Caller) -> None:
    operator.started()
    assert "flag.created" not in page_of(operator, "/audit?subject=rollout/unified-emitter").text
    assert "flag.created" in page_of(operator, "/audit?action=flag.created").text
    assert "No entry fits" in page_of(operator, "/audit?actor=nobody").text


def test_the_chain_is_checked_on_the_page(operator: Caller, door: Door) -> None:
    operator.started()
    assert "The chain is intact" in page_of(operator, "/audit?check=chain").text
    with door.database.write() as connection:  # who has the file can do this; who has the page cannot
        _without_guards(connection)
        connection.execute(update(audit).where(audit.c.action == "flag.created").values(reason="never happened"))
    assert "The chain is broken" in page_of(operator, "/audit?check=chain").text


def _without_guards(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER ALL")
        return
    for name in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all():
        connection.exec_driver_sql(f"DROP TRIGGER {name}")


FREEZE = {"key": "easter", "reason": "nobody is here", "until": "2030-04-01T08:00", "zone": "Europe/Berlin"}


def test_a_freeze_is_added_shown_where_it_holds_and_ended(operator: Caller) -> None:
    operator.started()
    assert "No freeze" in page_of(operator, "/freezes").text
    page = read(send(operator, "/freezes", **FREEZE), 422)
    assert "a freeze ends 1m to 400d after it begins" in page.text
    assert page.field("key") == "easter"
    assert send(operator, "/freezes", **{**FREEZE, "until": "2025-10-20T08:00"}).status_code == 303
    assert (
        "easter on for the time until 2025-10-20 06:00:00 UTC more nobody is here" in page_of(operator, "/freezes").text
    )
    assert "Held." in page_of(operator, "/rollouts/unified-emitter").text
    assert "easter on until" in page_of(operator, "/handover").text
    refused = read(send(operator, "/rollouts/unified-emitter/act/advance", reason="now"), 409)
    assert "nobody is here" in refused.text
    assert send(operator, "/rollouts/unified-emitter/act/rollback", reason="broken").status_code == 303
    version = page_of(operator, "/freezes/easter/remove").field("version")
    assert send(operator, "/freezes/easter/remove", reason="over", version=str(version)).status_code == 303
    assert "No freeze" in page_of(operator, "/freezes").text


def test_a_freeze_recurs(operator: Caller) -> None:
    fields = {
        "key": "weekend",
        "reason": "nobody is here",
        "cron": "0 16 * * FRI",
        "lasts": "64h",
        "zone": "Europe/Berlin",
    }
    assert send(operator, "/freezes", **fields).status_code == 303
    assert "64h from each '0 16 * * fri' (europe/berlin)" in page_of(operator, "/freezes").text.lower()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"until": "soon"}, "write a time such as"),
        ({"zone": "Atlantis/Deep"}, "time zone"),
        ({"zone": "../../etc/passwd"}, "time zone"),
        ({"reason": ""}, "say why"),
        ({"key": "a b"}, "key"),
        ({"cron": "every friday", "until": "", "lasts": "1h"}, "cron"),
    ],
)
def test_a_freeze_that_does_not_fit_is_refused_and_kept(operator: Caller, fields: dict[str, str], words: str) -> None:
    page = read(send(operator, "/freezes", **{**FREEZE, "until": "2025-10-20T08:00", **fields}), 422)
    assert words in page.text
    assert page.field("lasts") == fields.get("lasts", "")


def test_a_change_is_planned_shown_and_called_off(operator: Caller) -> None:
    operator.started()
    fields = {"action": "set_share", "subject": "unified-emitter", "value": "25%", "at": "2025-10-20T08:00"}
    assert send(operator, "/schedules", **fields, reason="when people are there").status_code == 303
    page = page_of(operator, "/schedules")
    assert "set_share unified-emitter 25%" in page.text
    assert "when people are there" in page.text
    assert "set_share unified-emitter 25%" in page_of(operator, "/handover").text
    cancel = next(link for link in page.links if link.endswith("/cancel"))
    assert send(operator, cancel, reason="not this week").status_code == 303
    assert "Nothing is planned" in page_of(operator, "/schedules").text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"at": "2020-01-01T00:00"}, 422),
        ({"at": ""}, 422),
        ({"action": "explode"}, 422),
        ({"subject": "nothing"}, 404),
        ({"value": "lots"}, 422),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_and_kept(operator: Caller, fields: dict[str, str], status: int) -> None:
    operator.started()
    given = {"action": "set_share", "subject": "unified-emitter", "value": "25%", "at": "2025-10-20T08:00", **fields}
    page = read(send(operator, "/schedules", **given, reason="x"), status)
    assert page.field("subject") == given["subject"]


def test_the_handover_says_what_is_under_way_what_holds_it_and_what_comes_next(operator: Caller) -> None:
    assert "No rollout is under way" in page_of(operator, "/handover").text
    operator.started(owner="chat team", channel="#oncall", note="call Ann first")
    text = page_of(operator, "/handover").text
    for words in ("Share 10 % of 100 %", "nothing has been judged yet", "chat team, #oncall", "call Ann first"):
        assert words in text


def test_access_is_for_admins(operator: Caller, viewer: Caller, admin: Caller) -> None:
    assert (operator.get("/access").status_code, viewer.get("/access").status_code) == (403, 403)
    assert "/access" not in page_of(operator).links
    assert "/access" in page_of(admin).links
    assert send(operator, "/access/tokens", role="admin", name="me", reason="x").status_code == 403


def test_a_person_is_added_by_a_link_that_is_shown_once(admin: Caller, nobody: Caller) -> None:
    fields = {"name": "Ann@example.com", "role": "operator", "flags": "chat.*", "reason": "new on call"}
    page = read(send(admin, "/access/people", **fields))
    link = next(str(found["value"]) for found in page.all("input", id="secret"))
    assert nobody.get(link.removeprefix("http://localhost"), {"Accept": "text/html"}).status_code == 200
    text = page_of(admin, "/access").text
    assert "ann@example.com operator May change chat.*. Has not chosen a password yet" in text
    assert link not in text
    again = read(send(admin, "/access/people", **fields), 409)
    assert "open" in again.all("details", id="add-person")[0]


def test_a_persons_rights_are_changed_and_taken(admin: Caller) -> None:
    send(admin, "/access/people", name="ann", role="viewer", reason="new")
    assert (
        send(admin, "/access/people/ann", role="operator", flags="", version="1", reason="on call").status_code == 303
    )
    assert "ann operator" in page_of(admin, "/access").text
    lost = read(send(admin, "/access/people/ann", role="admin", flags="", version="1", reason="more"), 409)
    assert "Somebody else changed this" in lost.text
    version = str(page_of(admin, "/access/people/ann/disable").field("version"))
    assert send(admin, "/access/people/ann/disable", version=version, reason="left").status_code == 303
    assert "ann disabled operator" in page_of(admin, "/access").text
    read(send(admin, "/access/people/ann/invite", reason="back"), 409)
    assert admin.get("/access/people/ann/explode").status_code == 404
    assert send(admin, "/access/people/ann/explode", reason="x").status_code == 404


def test_a_token_is_made_rotated_and_revoked(admin: Caller) -> None:
    made = read(send(admin, "/access/tokens", role="sdk", name="chat", lasts="90d", reason="chat back end"))
    secret = str(made.all("input", id="secret")[0]["value"])
    assert secret.startswith("cnry_s_")
    assert secret not in page_of(admin, "/access").text
    prefix = secret[:15]
    rotated = read(send(admin, f"/access/tokens/{prefix}/rotate", reason="yearly"))
    assert str(rotated.all("input", id="secret")[0]["value"]) != secret
    assert send(admin, f"/access/tokens/{prefix}/revoke", reason="leaked").status_code == 303
    assert f"{prefix}…" not in page_of(admin, "/access").text
    refused = read(send(admin, "/access/tokens", role="sdk", name="chat", lasts="forever", reason="x"), 422)
    assert "lasts" in refused.text


def test_hostile_words_on_these_pages_are_only_ever_text(operator: Caller, admin: Caller) -> None:
    operator.started()
    send(operator, "/freezes", **{**FREEZE, "until": "2025-10-20T08:00", "reason": HOSTILE})
    plan = {"action": "set_share", "subject": "unified-emitter", "value": "25%", "at": "2025-10-20T08:00"}
    send(operator, "/schedules", **plan, reason=HOSTILE)
    read(send(admin, "/access/tokens", role="sdk", name=HOSTILE[:100], reason="x"))
    for path in ("/freezes", "/schedules", "/handover", "/access", "/audit", "/"):
        answer = admin.get(path)
        assert not re.search(r"<img|<script(?! src)", answer.text), path
    assert HOSTILE in unescape(admin.get("/freezes").text)
