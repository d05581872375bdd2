"""Each way of counting convicts a failing canary, on a running controller."""

from __future__ import annotations

import pytest

from controller.client import DeliveryReporter
from controller.wire.snapshots import from_wire
from tests.builders import FLAG, ROLLOUT
from tests.flow.site import Site, until

LONG = [{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}]


@pytest.fixture
def here(sqlite_url, new_site) -> Site:
    return new_site(sqlite_url)


def ended(site: Site) -> bool:
    return site.rollout()["phase"] == "rolled_back"


def test_a_client_in_any_language_convicts_by_event_with_plain_outcomes(here):
    here.begin(stages=LONG, unit="event", events=["payment"])
    headers = {"Authorization": f"Bearer {here.sdk_token()}"}
    outcome = {"flag": FLAG, "variant": "unified", "event_type": "payment", "outcome": "failed"}
    body = {"batch": "batch-0001", "instance": "shop", "seq": 1, "outcomes": [outcome] * 10}
    answer = here.http.post("/sdk/v1/reports", json=body, headers=headers)
    assert answer.json()["duplicate"] is False
    assert here.http.post("/sdk/v1/reports", json=body, headers=headers).json()["duplicate"] is True
    until(lambda: here.rollout()["phase"] != "progressing", "the canary was convicted")
    assert {row["failed"] for row in here.rollout()["health"] if row["arm"] == "canary"} == {10}


def test_the_same_outcomes_convict_nobody_where_a_user_is_the_unit(here):
    here.begin(stages=LONG, events=["payment"])
    headers = {"Authorization": f"Bearer {here.sdk_token()}"}
    outcome = {"flag": FLAG, "variant": "unified", "event_type": "payment", "outcome": "failed"}
    body = {"batch": "batch-0001", "instance": "shop", "seq": 1, "outcomes": [outcome] * 10}
    assert here.http.post("/sdk/v1/reports", json=body, headers=headers).is_success
    until(lambda: here.rollout()["health"], "the outcomes arrived")
    until(lambda: here.rollout()["analysis"], "the judge has looked")
    assert here.rollout()["phase"] == "progressing"
    assert here.rollout()["analysis"]["verdict"] == "inconclusive"


@pytest.mark.parametrize("unit", ["run", "user/10m", "event"])
def test_a_failing_canary_is_convicted_through_the_client(here, unit):
    here.begin(stages=LONG, unit=unit)
    token = here.sdk_token()
    snapshot = here.http.get("/sdk/v1/snapshot", headers={"Authorization": f"Bearer {token}"})
    reporter = DeliveryReporter(here.url, token, flush_interval=0.1)
    reporter.applied(from_wire(snapshot.content))
    reporter.start()
    for number in range(8):
        run = {"user_id": f"user-{number}", "run_id": f"run-{number}", "rollout": ROLLOUT, "epoch": 1}
        reporter.attempt(flag=FLAG, variant="unified", event_type="agent_started", **run).failed("broke")
        reporter.run_ended(FLAG, "unified", f"user-{number}", f"run-{number}")
    assert reporter.flush(20)
    until(lambda: here.rollout()["phase"] != "progressing", "the canary was convicted")
    assert reporter.close(20)
    until(lambda: ended(here), "the rollback was verified")
