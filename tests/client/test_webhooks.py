"""Whether a receiver can believe what it was sent."""

import pytest

from controller.client.webhooks import UntrustedMessage, verify
from controller.notify.webhook import body_of, headers_of
from tests.notify.builders import SECRET, a_job

NOW_S = 1_760_000_000
JOB = a_job("http://127.0.0.1/")
BODY = body_of(JOB, "http://127.0.0.1:8321/rollouts/unified-emitter")


def test_the_controllers_own_message_is_believed() -> None:
    found = verify(BODY, headers_of(JOB, BODY, NOW_S), SECRET, NOW_S + 1)
    assert found["type"] == "rollout.rollback"
    assert found["data"]["id"] == JOB.key


@pytest.mark.parametrize("late_s", [-301, 301, 86_400])
def test_a_replay_is_refused(late_s: int) -> None:
    with pytest.raises(UntrustedMessage, match="replay"):
        verify(BODY, headers_of(JOB, BODY, NOW_S), SECRET, NOW_S + late_s)


def test_a_replay_with_a_fresh_timestamp_is_refused() -> None:
    headers = {**headers_of(JOB, BODY, NOW_S), "webhook-timestamp": str(NOW_S + 900)}
    with pytest.raises(UntrustedMessage, match="signature"):
        verify(BODY, headers, SECRET, NOW_S + 900)


@pytest.mark.parametrize(
    ("body", "secret", "changed"),
    [
        (BODY.replace(b"rolled back", b"promoted!!!"), SECRET, {}),
        (BODY, "whsec_b3RoZXIgc2VjcmV0IG9mIHRoZXNlIHRlc3Rz", {}),
        (BODY, SECRET, {"webhook-id": "msg_of_another"}),
        (BODY, SECRET, {"webhook-signature": "v1,AAAA v2,BBBB"}),
    ],
    ids=["body", "secret", "id", "signature"],
)
def test_whatever_was_changed_spoils_it(body: bytes, secret: str, changed: dict[str, str]) -> None:
    with pytest.raises(UntrustedMessage, match="signature"):
        verify(body, {**headers_of(JOB, BODY, NOW_S), **changed}, secret, NOW_S)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name: str) -> None:
    headers = {key: value for key, value in headers_of(JOB, BODY, NOW_S).items() if key != name}
    with pytest.raises(UntrustedMessage, match=name):
        verify(BODY, headers, SECRET, NOW_S)
