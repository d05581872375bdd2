"""Processes that serve and processes that evaluate, on one database."""

from __future__ import annotations

import httpx

from tests.builders import ROLLOUT
from tests.flow.site import until
from tests.flow.test_two_controllers import LONG, leads

FAILURES = {"rollout": ROLLOUT, "arm": "canary", "stream": "agent_started", "failed": 20_000, "total": 20_000}


def test_what_one_process_ingests_another_one_judges(postgresql_url, new_site):
    web, scheduler = new_site(postgresql_url, CANARY_ROLE="web"), new_site(postgresql_url, CANARY_ROLE="scheduler")
    until(lambda: leads(scheduler), "the scheduler took the lease")
    web.begin(stages=LONG)
    evidence = [{**FAILURES, "epoch": web.rollout()["epoch"]}]
    body = {"batch": "batch-0001", "instance": "app", "seq": 1, "counted_by": "client", "evidence": evidence}
    assert web.http.post("/sdk/v1/reports", json=body).is_success
    until(lambda: web.rollout()["phase"] != "progressing", "the scheduler convicted the canary")
    assert not leads(web)
    assert scheduler.http.get("/api/v1/rollouts").status_code == httpx.codes.NOT_FOUND
    assert scheduler.http.post("/sdk/v1/reports", json=body).status_code == httpx.codes.NOT_FOUND
    assert scheduler.stop() == web.stop() == 0


def test_a_process_that_ends_in_order_hands_the_lease_over_at_once(postgresql_url, new_site):
    first, second = new_site(postgresql_url), new_site(postgresql_url)
    leader = until(lambda: next((one for one in (first, second) if leads(one)), None), "one of them took the lease")
    other = second if leader is first else first
    assert leader.stop() == 0
    # The next renewal takes it: three seconds, where a killed one's lease would run ten.
    until(lambda: leads(other), "the other one took over", patience_s=8)
