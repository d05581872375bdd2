"""Two controllers on one database: one evaluates, and a frozen one that comes back is refused by its term."""

from __future__ import annotations

import re

import pytest

from controller.storage.database import Database
from tests.builders import ROLLOUT, read, report
from tests.flow.site import Site, until

LONG = [{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}]


@pytest.fixture
def pair(database_url, new_site):
    return new_site(database_url), new_site(database_url)


def leads(site: Site) -> bool:
    return bool(re.search(r"^canary_leader 1\.0$", site.http.get("/metrics").text, re.MULTILINE))


def by_rank(pair: tuple[Site, Site]) -> tuple[Site, Site]:
    leader = until(lambda: next((site for site in pair if leads(site)), None), "one of them took the lease")
    return leader, next(site for site in pair if site is not leader)


def rollbacks(site: Site) -> list[dict]:
    items = site.http.get(f"/api/v1/rollouts/{ROLLOUT}/decisions").raise_for_status().json()["items"]
    return [item for item in items if item["action"] == "rollback"]


def test_exactly_one_of_two_evaluates(pair):
    by_rank(pair)
    assert [leads(site) for site in pair].count(True) == 1


def test_a_leader_frozen_past_its_lease_and_thawed_never_acts_beside_its_successor(pair, opened, database_url):
    leader, other = by_rank(pair)
    other.begin(stages=LONG)
    database: Database = opened(database_url)
    leader.freeze()
    until(lambda: leads(other), "the other one took over")
    leader.thaw()
    report(database, read(database), failed=50)
    until(lambda: other.rollout()["phase"] == "rolled_back", "the canary was rolled back")
    assert len(rollbacks(other)) == 1
    until(lambda: not leads(leader), "the thawed one knows that it no longer leads")
    assert leads(other)


def test_a_killed_leader_is_followed_by_the_other(pair, opened, database_url):
    leader, other = by_rank(pair)
    leader.begin(stages=LONG)
    leader.kill()
    database: Database = opened(database_url)
    report(database, read(database), failed=50)
    until(lambda: other.rollout()["phase"] == "rolled_back", "the successor convicted the canary")


def test_a_change_made_on_one_controller_reaches_the_streams_of_the_other(pair):
    first, second = pair
    first.begin(stages=LONG)
    headers = {"Authorization": f"Bearer {first.sdk_token()}"}
    with second.http.stream("GET", "/sdk/v1/stream", headers=headers) as stream:
        lines = stream.iter_lines()
        first.post(f"/api/v1/rollouts/{ROLLOUT}/rollback", {"reason": "test"})
        revision = first.rollout()["revision"]
        assert f"id: {revision}" in lines


def test_failures_ingested_by_the_follower_wake_the_leader(pair):
    leader, follower = by_rank(pair)
    leader.begin(stages=LONG)
    epoch = leader.rollout()["epoch"]
    evidence = [
        {
            "rollout": ROLLOUT,
            "epoch": epoch,
            "arm": "canary",
            "stream": "agent_started",
            "failed": 20_000,
            "total": 20_000,
        }
    ]
    body = {"batch": "batch-0001", "instance": "app", "seq": 1, "counted_by": "client", "evidence": evidence}
    headers = {"Authorization": f"Bearer {leader.sdk_token()}"}
    assert follower.http.post("/sdk/v1/reports", json=body, headers=headers).is_success
    until(lambda: leader.rollout()["phase"] != "progressing", "the leader convicted the canary")


def test_what_is_planned_is_done_once_though_its_leader_is_killed(pair):
    leader, other = by_rank(pair)
    other.begin(stages=LONG)
    soon_ms = int(other.http.get("/api/v1/handover").json()["at_ms"]) + 1_500
    plan = {"action": "set_share", "subject": ROLLOUT, "value": "60%", "at_ms": soon_ms}
    planned = other.post("/api/v1/schedules", plan)
    leader.kill()
    until(lambda: other.rollout()["share_percent"] == 60.0, "the successor did what was planned")
    runs = other.http.get(f"/api/v1/schedules/{planned['id']}").json()["runs"]
    assert [one["outcome"] for one in runs] == ["done"]
    items = other.http.get(f"/api/v1/rollouts/{ROLLOUT}/decisions").json()["items"]
    assert [item["share_percent"] for item in items if item["action"] == "set_share"] == [60.0]
