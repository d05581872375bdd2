"""What is acknowledged survives a SIGKILL at any moment, counts once, and the evidence goes on."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from openfeature.evaluation_context import EvaluationContext

from controller.client import CanaryProvider
from controller.client.pace import Pace
from controller.usecases.replay import replay
from tests.builders import FLAG
from tests.flow.site import Site, until
from tests.flow.traffic import Traffic, evidence_of, ledger_of


def counted(site: Site) -> dict[str, int]:
    totals: dict[str, int] = {}
    for row in site.rollout()["health"]:
        for name in ("attempts", "delivered", "failed", "interrupted"):
            totals[name] = totals.get(name, 0) + row[name]
    return totals


def test_killing_the_controller_again_and_again_loses_nothing_and_counts_nothing_twice(site):
    site.begin(stages=[{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}])
    traffic = Traffic(site, pause_s=0.01)  # a client counts 10,000 users in ten minutes: restarts may take their time
    traffic.start()
    for crash in range(6):
        seen = traffic.users
        until(lambda seen=seen: traffic.users > seen + 60, "users kept coming")
        # killed at a moment that differs each time: while idle, while reports are on their way, in mid-commit
        threading.Event().wait(0.03 * crash)
        site.kill()
        site.start()
    assert traffic.finish()
    expected = 5 * traffic.users
    with suppress(AssertionError):  # what is missing is said below
        until(lambda: counted(site)["delivered"] >= expected, "all outcomes arrived")
    told = traffic.reporter.counters()
    assert counted(site) == {"attempts": expected, "delivered": expected, "failed": 0, "interrupted": 0}, told
    until(lambda: evidence_of(ledger_of(site)) >= 5 * traffic.users, "the evidence reached the ledger")
    found = ledger_of(site)
    assert evidence_of(found) == 5 * traffic.users
    replayed = list(replay(found.rounds, found.slots))
    assert [slot.seq for slot in found.slots] == list(range(1, len(found.slots) + 1))
    assert not [one for one in replayed if one.differs]


def test_a_rollback_survives_a_crash_right_after_the_decision(site):
    site.begin(stages=[{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}])
    traffic = Traffic(site, failing=frozenset({"unified"}))
    traffic.start()
    until(lambda: site.rollout()["phase"] in ("rolling_back", "rolled_back"), "the canary was convicted")
    site.kill()
    site.start()
    until(lambda: site.rollout()["phase"] == "rolled_back", "the rollback was verified")
    assert traffic.finish()
    view = site.rollout()
    assert view["share_percent"] == 0
    assert view["verification"]["confirmed"] == 1
    found = ledger_of(site)
    assert not [one for one in replay(found.rounds, found.slots) if one.differs]


def test_without_a_controller_clients_keep_their_snapshot_for_the_lease_and_then_serve_the_control(site):
    site.begin(stages=[{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}], lease="30s")
    ahead = [0.0]
    token = site.sdk_token()
    pace = Pace(lease_jitter=0, return_after=1, return_spread=1)
    provider = CanaryProvider(site.url, token, reporter=None, clock=lambda: time.monotonic() + ahead[0], pace=pace)
    provider.initialize(None)
    try:
        users = [f"user-{n}" for n in range(200)]

        def canaries() -> int:
            return sum(provider.resolve_boolean_details(FLAG, False, EvaluationContext(user)).value for user in users)

        before = canaries()
        assert 60 < before < 140
        site.kill()
        ahead[0] = 28.0
        assert canaries() == before
        ahead[0] = 31.0
        assert canaries() == 0
        reasons = {provider.resolve_boolean_details(FLAG, False, EvaluationContext(user)).reason for user in users}
        assert reasons == {"STALE"}
        site.start()
        until(lambda: canaries() == before, "contact brought the split back")
    finally:
        provider.shutdown()
