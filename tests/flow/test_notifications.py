"""Notices on the whole line: real controllers, a real receiver, and the leader killed in the middle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.client.webhooks import verify
from controller.clock import system_clock
from controller.domain.deliveries import CLAIM_MS
from tests.builders import ROLLOUT, read, report
from tests.flow.site import PATIENCE_S, Site, until
from tests.notify.receivers import Receiver, receiving

LONG = [{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def listen(site: Site, receiver: Receiver) -> str:
    """A channel that hears of everything; its signing secret."""
    body = {"name": "ops", "kind": "webhook", "address": receiver.url}
    secret = str(site.post("/api/v1/notifications/channels", body)["secret"])
    site.post("/api/v1/notifications/subscriptions", {"channel": "ops", "kinds": ["*"]})
    return secret


def test_a_rollback_is_told_with_its_reason_and_nothing_secret_is_in_the_log(
    sqlite_url, new_site, receiver, opened, tmp_path: Path
):
    site = new_site(sqlite_url)
    secret = listen(site, receiver)
    site.begin(stages=LONG)
    database = opened(sqlite_url)
    report(database, read(database), failed=50)
    until(lambda: "rollout.verified" in receiver.types(), "the verified rollback was told")
    assert receiver.types() == [
        "flag.created",
        "rollout.applied",
        "rollout.start",
        "rollout.rollback",
        "rollout.verified",
    ]
    told = receiver.arrived[3]
    data = verify(told.body, told.headers, secret, system_clock() / 1000)["data"]
    assert "50 of the last 50 users failed" in data["why"]
    assert data["link"] == f"{site.url}/rollouts/{ROLLOUT}"
    site.stop()
    log = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*.log"))
    for hidden in (secret, "T0SECRETPATH"):
        assert hidden not in log


def test_everything_is_told_once_though_the_leader_is_killed(postgresql_url, new_site, receiver):
    first, second = new_site(postgresql_url), new_site(postgresql_url)
    listen(second, receiver)
    second.begin(stages=LONG)
    for number in range(10):
        second.post(f"/api/v1/rollouts/{ROLLOUT}/pause", {"reason": f"pause {number}"})
        if number == 3:
            first.kill()
        second.post(f"/api/v1/rollouts/{ROLLOUT}/resume", {"reason": f"resume {number}"})

    # What the killed leader had begun is begun again once its claim has run out.
    until(lambda: len(set(receiver.ids())) == 3 + 20, "everything was told", PATIENCE_S + CLAIM_MS / 1000)
    reasons = {one.headers["webhook-id"]: one.document["data"]["why"] for one in receiver.arrived}
    for verb in ("pause", "resume"):
        for number in range(10):
            assert sum(f"{verb} {number}" in why for why in reasons.values()) == 1
    twice = [number for number, times in Counter(receiver.ids()).items() if times > 1]
    assert len(twice) <= 1  # what the kill cut off between the answer and the commit comes again, with the same key
