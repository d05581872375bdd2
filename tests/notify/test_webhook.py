"""Our own webhook, against a real web server."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from controller.clock import system_clock
from controller.domain.errors import Invalid
from controller.notify import webhook
from tests.builders import T0
from tests.house.tree import ROOT
from tests.notify.builders import SECRET, a_job
from tests.notify.receivers import Receiver

LINK = "https://canary.example.com/rollouts/unified-emitter"


def now_s() -> int:
    return system_clock() // 1000


def test_it_says_what_happened_why_what_to_do_and_where(receiver: Receiver) -> None:
    assert webhook.send(a_job(receiver.url), LINK, now_s()).error == ""
    (found,) = receiver.arrived
    data = found.document["data"]
    assert found.document["type"] == "rollout.rollback"
    assert found.document["timestamp"] == "2023-11-14T22:13:20.000+00:00"
    assert data["title"] == "[prod] unified-emitter: rolled back, everybody is served the control"
    assert data["why"] == "agent_started: 12 of 40 failed"
    assert "canary rollout explain unified-emitter" in data["todo"]
    assert (data["link"], data["sequence"], data["severity"]) == (LINK, 7, "failure")
    assert found.headers["idempotency-key"] == found.headers["webhook-id"] == data["id"] == "msg_0123456789abcdef"


def test_others_implementation_of_the_standard_believes_it(receiver: Receiver) -> None:
    webhook.send(a_job(receiver.url), LINK, now_s())
    (found,) = receiver.arrived
    assert Webhook(SECRET).verify(found.body, found.headers)["type"] == "rollout.rollback"


@pytest.mark.parametrize(
    ("status", "refused"), [(400, True), (404, True), (302, True), (408, False), (429, False), (500, False)]
)
def test_what_it_answers_says_whether_trying_again_is_any_use(receiver: Receiver, status: int, refused: bool) -> None:
    receiver.answer = lambda _: (status, {"Location": "http://127.0.0.1:9/"}, b"no, thank you")
    found = webhook.send(a_job(receiver.url), LINK, now_s())
    assert found.error.startswith(f"answered {status} ")
    assert found.refused is refused
    assert len(receiver.arrived) == 1  # a redirect is not followed


@pytest.mark.parametrize(
    ("said", "after_ms"),
    [
        ("17", 17_000),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60_000),
        ("Tue, 14 Nov 2023 22:12:20 -0000", 0),
        ("soon", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
        ("99999999999", None),
    ],
)
def test_a_pause_that_it_asks_for_is_passed_on(receiver: Receiver, said: str, after_ms: int | None) -> None:
    receiver.answer = lambda _: (503, {"Retry-After": said}, b"")
    assert webhook.send(a_job(receiver.url), LINK, T0 // 1000).after_ms == after_ms


def test_nothing_secret_is_in_what_is_said_of_a_failure(receiver: Receiver) -> None:
    receiver.answer = lambda _: (500, {}, f"/hooks/T0SECRETPATH failed, token hunter2hunter2, {SECRET}".encode())
    found = webhook.send(a_job(receiver.url + "?token=hunter2hunter2"), LINK, now_s())
    assert "failed" in found.error
    for secret in ("T0SECRETPATH", "hunter2hunter2", SECRET):
        assert secret not in found.error


def test_nobody_there_is_a_failure_to_be_tried_again() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found = webhook.send(a_job(f"http://127.0.0.1:{probe.getsockname()[1]}/x"), LINK, now_s())
    assert found.error.startswith("ConnectError")
    assert not found.refused


def test_one_that_never_answers_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_STEP_S", 0.2)
    receiver.hangs = True
    found = webhook.send(a_job(receiver.url), LINK, now_s())
    assert found.error.startswith("ReadTimeout")


def test_an_endless_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    receiver.answer = lambda _: (500, {}, b"x" * 5_000_000)
    assert len(webhook.send(a_job(receiver.url), LINK, now_s()).error) <= 300


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://hooks.example.com/a/secret?key=1", "https://hooks.example.com/..."),
        ("http://user:secret@10.0.0.1:8080/x", "http://10.0.0.1:8080/..."),
        ("http://[::1]:99/x", "http://[::1]:99/..."),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(address: str, shown: str) -> None:
    assert webhook.read_address(address) == shown


@pytest.mark.parametrize("address", ["ftp://x/", "https://", "hooks.example.com", "http://x:99999/", "http://a b/"])
def test_an_address_that_cannot_be_used_is_refused(address: str) -> None:
    with pytest.raises(Invalid, match=r"^address: "):
        webhook.read_address(address)


def test_the_receiver_of_the_documentation_believes_the_controller_and_nobody_else(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/notifications.md").read_text(encoding="utf-8"), re.DOTALL)
    page: dict[str, Any] = {"__name__": "receiver"}
    exec(code[0], page)
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    at_s = now_s()
    for signed_s in (at_s, at_s - 301):
        webhook.send(a_job(receiver.url), LINK, signed_s)
    good, old = receiver.arrived
    http = page["app"].test_client()

    def post(body: bytes, headers: dict[str, str]) -> int:
        return int(http.post("/hooks/canary", data=body, headers=headers).status_code)

    assert post(good.body, good.headers) == 204
    assert post(good.body, good.headers) == 204
    assert page["known"] == {"msg_0123456789abcdef"}
    assert post(old.body, old.headers) == 401
    assert post(good.body + b" ", good.headers) == 401
    monkeypatch.setenv("WEBHOOK_SECRET", "another secret of thirty letters")
    assert post(good.body, good.headers) == 401
