"""Apprise, against a real web server and a real mail server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from controller.domain.errors import Invalid
from controller.notify import services
from controller.settings import child_environment
from tests.flow.site import free_port
from tests.notify.builders import a_job
from tests.notify.receivers import Receiver

LINK = "https://canary.example.com/rollouts/unified-emitter"


class Mailbox:
    """Keeps what is delivered to it."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it so
        """Take one mail."""
        if self.answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.answer


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A mail server on a port of its own."""
    box = Mailbox()
    port = free_port()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, port
    server.stop()


def mail_address(port: int) -> str:
    return f"mailto://127.0.0.1:{port}?mode=insecure&from=canary@example.com&to=ops@example.com"


def test_a_mail_says_what_happened_why_what_to_do_and_where(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    assert services.send(a_job(mail_address(port)), LINK).error == ""
    (mail,) = box.mails
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert mail["To"] == "ops@example.com"
    assert mail["Subject"] == "[prod] unified-emitter: rolled back, everybody is served the control"
    assert "agent_started: 12 of 40 failed" in text
    assert "What to do: `canary rollout explain unified-emitter`" in text
    assert LINK in text
    assert mail["X-Idempotency-Key"] == "msg_0123456789abcdef"
    assert "msg_0123456789abcdef" in text


def test_a_mail_server_that_refuses_is_a_failure_with_its_words(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    box.answer = "552 mailbox full"
    found = services.send(a_job(mail_address(port)), LINK)
    assert found.error
    assert box.mails == []


def test_a_service_over_http_gets_the_key_as_a_header(receiver: Receiver) -> None:
    assert services.send(a_job(f"json://127.0.0.1:{receiver.port}/x"), LINK).error == ""
    (found,) = receiver.arrived
    assert found.headers["x-idempotency-key"] == "msg_0123456789abcdef"
    assert found.document["title"].startswith("[prod] unified-emitter")
    assert found.document["type"] == "failure"


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answer = lambda _: (307, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"}, b"")
    assert services.send(a_job(f"json://127.0.0.1:{receiver.port}/x"), LINK).error
    assert [one.path for one in receiver.arrived] == ["/x"]


def test_a_failure_says_why_and_nothing_secret(receiver: Receiver, capfd: pytest.CaptureFixture[str]) -> None:
    receiver.answer = lambda _: (500, {}, b"")
    address = f"json://ann:hunter2hunter2@127.0.0.1:{receiver.port}/T0SECRETPATH"
    found = services.send(a_job(address), LINK)
    assert "500" in found.error
    logged = capfd.readouterr()
    for text in (found.error, logged.out, logged.err):
        assert not re.search("hunter2|T0SECRETPATH", text)


def test_kept_quiet_ones_are_counted_in_words(receiver: Receiver) -> None:
    job = a_job(f"json://127.0.0.1:{receiver.port}/x", kind="alert.raised", alert="sample_ratio")
    services.send(replace(job, repeats=3), LINK)
    assert "3 more like this were kept quiet" in receiver.arrived[0].document["message"]


def test_pagerduty_ends_the_incident_that_an_alert_opened() -> None:
    raised = a_job("pagerduty://integration-key@api-key", kind="alert.raised", alert="sample_ratio")
    cleared = a_job("pagerduty://integration-key@api-key", kind="alert.cleared", alert="sample_ratio")
    plugins = [services._plugin(job.address) for job in (raised, cleared)]
    for plugin, job in zip(plugins, (raised, cleared), strict=True):
        services._identify(plugin, job)
    assert {plugin.dedup for plugin in plugins} == {"canary/prod/rollout/unified-emitter#sample_ratio"}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nonsense://x", "apprise cannot use"),
        ("slack://x", "apprise cannot use"),
        ("syslog://", "own machine alone"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general/#other", "2 places"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(address: str, words: str) -> None:
    with pytest.raises(Invalid, match=words) as refused:
        services.read_address(address)
    assert refused.value.field == "address"
    assert "TIiajkdn" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", "TIiajkdnlazkcOXrIdevi7FQ"),
        ("mailto://user:hunter2hunter2@example.com", "hunter2hunter2"),
        ("pagerduty://integration-key@api-key", "integration-key"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, secret: str) -> None:
    shown = services.read_address(address)
    assert shown.startswith(address.partition("://")[0])
    assert secret not in shown


def test_apprise_is_loaded_only_when_a_channel_needs_it() -> None:
    code = "import sys, controller.bootstrap; sys.exit('apprise' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=child_environment(), check=False, timeout=60)
    assert done.returncode == 0
