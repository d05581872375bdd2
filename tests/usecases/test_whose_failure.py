"""Whose failure it is: an instance's alone, an application version's; and how long a stage may stay open."""

from __future__ import annotations

from controller.domain.judge.findings import Verdict
from controller.domain.rollouts import Action, Phase
from controller.usecases import rollouts as commands
from tests.builders import (
    FLAG,
    ROLLOUT,
    T0,
    a_lease,
    a_live_rollout,
    an_instance,
    judged,
    last_decision,
    open_alerts,
    order,
    published,
    read,
    report,
)

MINUTE_MS = 60_000


def test_failures_that_all_come_from_one_instance_pause_and_name_it(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, failed=20, instance="chat-a")
    report(database, rollout, delivered=60, instance="chat-b")
    found = judged(database, lease, T0 + 1_000)
    assert found.action is Action.PAUSE
    assert "all failures come from the instance chat-a, while others deliver: it pauses" in found.message
    assert read(database).phase is Phase.PAUSED
    assert last_decision(database)["arithmetic"]["instance"] == "chat-a"


def test_failures_of_the_only_instance_with_traffic_roll_back(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, failed=6, instance="chat-a")
    report(database, rollout, delivered=2, instance="chat-b")
    assert judged(database, lease, T0 + 1_000).action is Action.ROLLBACK


def test_a_second_instance_that_fails_too_rolls_the_paused_rollout_back(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, failed=20, instance="chat-a")
    report(database, rollout, delivered=60, instance="chat-b")
    judged(database, lease, T0 + 1_000)
    report(database, rollout, failed=1, instance="chat-b", users=("0000000f",))
    found = judged(database, lease, T0 + 2_000)
    assert found.action is Action.ROLLBACK
    assert "instance" not in found.message


def test_an_application_version_not_seen_before_opens_an_epoch_and_says_so(database):
    an_instance(database, "chat-a", T0, revision=99, app_version="1")
    before, lease = a_live_rollout(database), a_lease(database)
    assert before.versions == ("1",)
    report(database, before, delivered=400)
    an_instance(database, "chat-b", T0 + 1_000, revision=99, app_version="2")
    judged(database, lease, T0 + 1_000)
    after = read(database)
    assert (after.epoch, after.versions, after.weight) == (before.epoch + 1, ("1", "2"), before.weight)
    assert published(database).flags[FLAG].rollout.epoch == after.epoch
    said = last_decision(database)
    assert (said["actor"], said["action"]) == ("judge", "open_epoch")
    assert "2" in said["message"]
    assert "anew" in said["message"]


def test_a_deploy_of_a_service_that_does_not_serve_the_flag_is_none_of_the_rollouts_business(database):
    an_instance(database, "chat-a", T0, revision=99, app_version="1")
    before, lease = a_live_rollout(database), a_lease(database)
    an_instance(database, "billing-a", T0 + 1_000, revision=99, app_version="77", flag="invoices")
    an_instance(database, "billing-b", T0 + 1_000, flag="invoices", attempted=5, delivered=1, pending=1)
    report(database, before, delivered=400)
    judged(database, lease, T0 + 1_000)
    assert (read(database).epoch, read(database).versions) == (before.epoch, ("1",))
    assert open_alerts(database) == {}


def test_evidence_for_the_canary_begins_anew_with_a_version_and_evidence_against_it_does_not(database):
    an_instance(database, "chat-a", T0, revision=99, app_version="1")
    before, lease = a_live_rollout(database), a_lease(database)
    report(database, before, delivered=400, failed=2, users=("0000000a",))
    assert judged(database, lease, T0 + 1_000).verdict is Verdict.PASS
    an_instance(database, "chat-b", T0 + 2_000, revision=99, app_version="2")
    judged(database, lease, T0 + 2_000)
    after = judged(database, lease, T0 + 20_000)
    assert (after.verdict, after.action) == (Verdict.INCONCLUSIVE, Action.HOLD)
    report(database, before, failed=60)
    assert judged(database, lease, T0 + 30_000).action is Action.ROLLBACK


def test_the_first_versions_that_are_heard_of_open_no_epoch(database):
    before, lease = a_live_rollout(database), a_lease(database)
    an_instance(database, "chat-a", T0, revision=99, app_version="1")
    an_instance(database, "chat-b", T0, revision=99, app_version="")
    judged(database, lease, T0 + 1_000)
    assert (read(database).versions, read(database).epoch) == (("1",), before.epoch)


def test_a_known_version_that_comes_back_opens_no_epoch(database):
    an_instance(database, "chat-a", T0, revision=99, app_version="1")
    an_instance(database, "chat-b", T0, revision=99, app_version="2")
    before, lease = a_live_rollout(database), a_lease(database)
    for at_ms, version in ((1_000, "1"), (2_000, "2"), (3_000, "1")):
        an_instance(database, f"chat-{at_ms}", T0 + at_ms, revision=99, app_version=version)
        judged(database, lease, T0 + at_ms)
    assert read(database).epoch == before.epoch


def test_a_failing_canary_does_not_wait_for_a_new_versions_epoch(database):
    an_instance(database, "chat-a", T0, revision=99, app_version="1")
    rollout, lease = a_live_rollout(database), a_lease(database)
    an_instance(database, "chat-b", T0 + 1_000, revision=99, app_version="2")
    report(database, rollout, failed=4, instance="chat-b")
    assert judged(database, lease, T0 + 1_000).action is Action.ROLLBACK


def test_a_stage_that_stays_inconclusive_beyond_its_patience_pauses_and_says_what_it_lacks(database):
    rollout, lease = a_live_rollout(database, patience="1m"), a_lease(database)
    report(database, rollout, delivered=10)
    assert judged(database, lease, T0 + 10_000 + MINUTE_MS - 1).action is Action.HOLD
    found = judged(database, lease, T0 + 10_000 + MINUTE_MS)
    assert found.action is Action.PAUSE
    assert found.message.startswith("inconclusive beyond the stage's patience, so a person decides; it lacks: ")
    assert "not yet proven above 95 %" in found.message
    assert read(database).phase is Phase.PAUSED


def test_a_stage_that_a_person_resumes_has_its_patience_anew(database):
    rollout, lease = a_live_rollout(database, patience="1m"), a_lease(database)
    judged(database, lease, T0 + 10_000 + MINUTE_MS)
    resumed_ms = T0 + 30 * MINUTE_MS
    commands.resume(database, ROLLOUT, order(resumed_ms))
    report(database, rollout, delivered=10)
    assert judged(database, lease, resumed_ms + MINUTE_MS - 1).action is Action.HOLD
    report(database, rollout, delivered=400)
    assert judged(database, lease, resumed_ms + MINUTE_MS).action is Action.ADVANCE
