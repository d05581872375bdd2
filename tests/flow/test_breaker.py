"""A controller dies while its canary fails: clients leave it by themselves, and it learns of that when it is back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from controller.client import CanaryClient
from tests.builders import FLAG
from tests.flow.site import Site, until


def test_clients_leave_a_failing_canary_while_their_controller_is_dead(
    tmp_path: Path, new_site: Callable[[str], Site]
) -> None:
    site = new_site(f"sqlite:///{tmp_path / 'canary.db'}")
    site.begin(stages=[{"share": "95%", "bake": "1h"}, {"share": "100%", "bake": "1h"}])
    client = CanaryClient(site.url, site.sdk_token(), instance="app-1")
    assert client.start()
    assert client.reporter is not None
    reporter = client.reporter
    site.kill()
    users = [f"user-{number}" for number in range(60)]
    before = [client.details(FLAG, user, default=False) for user in users]
    assert sum(said.value is True for said in before) > 40
    for user, said in zip(users, before, strict=True):
        attempt = reporter.attempt(
            flag=FLAG,
            variant=said.variant or "",
            event_type="agent_started",
            user_id=user,
            rollout=said.rollout,
            epoch=said.epoch,
        )
        attempt.failed("the canary is broken") if said.value else attempt.delivered()
    until(lambda: not any(client.value(FLAG, user, default=True) for user in users), "the canary was served on", 20)
    assert {client.details(FLAG, user, default=True).reason for user in users} == {"STALE"}
    assert {client.details(FLAG, user, default=True).rollout for user in users} == {None}
    site.start()
    until(lambda: site.rollout()["phase"] in {"rolling_back", "rolled_back"}, "the evidence was lost")
    [shown] = site.http.get("/api/v1/instances").json()["items"]
    assert shown["trips"] == 1
    client.close()
