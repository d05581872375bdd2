"""What a report says besides delivery: who failed, whom it has seen, what came in time, and that its figures add up."""

from __future__ import annotations

from controller.client.batches import pack, parts_of
from controller.client.board import Taken
from controller.client.privacy import Pseudonyms
from controller.domain.metrics import Family, Metric, UnitKind
from controller.domain.outcomes import OutcomeClass
from controller.domain.samples import SampleKey
from controller.domain.tallies import EvidenceKey, Proof, Tally
from controller.wire.codec import decode, encode
from controller.wire.reports import MOST_BYTES, OpenRow, Report
from tests.client.fake_controller import EVENTS, TOKEN, flag, rollout, snapshot, wait_until

HEAD = Report(batch="", instance="i", counted_by="client")
WITHIN = Family(Metric.WITHIN, 100)
RUNS = Family(Metric.COMPLETENESS, 300_000, *EVENTS)
KEY = SampleKey("ramp", 3, "canary")


def attempt(reporter, user="anna", event="agent_started", **but):
    said = {"flag": "emitter", "variant": "unified", "rollout": "ramp", "epoch": 3, "user_id": user}
    return reporter.attempt(event_type=event, **(said | but))


def hashed(user):
    return Pseudonyms(TOKEN).of(user)


def test_a_failed_unit_names_its_user_by_a_short_hash_three_of_them_at_most(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    attempt(reporter, "fine").delivered()
    users = [f"user-{number}" for number in range(5)]
    for user in users:
        attempt(reporter, user).failed()
    assert reporter.flush()
    named = [row.users for report in controller.reports for row in report.evidence if row.failed]
    assert all(len(some) <= 3 for some in named)
    assert {user for some in named for user in some} <= {hashed(user)[:8] for user in users}
    assert hashed("user-0")[:8] in named[0]


def test_users_are_told_once_for_each_arm_and_epoch(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    for _ in range(3):
        attempt(reporter, "anna").delivered()
        attempt(reporter, "bert", variant="legacy").delivered()
        assert reporter.flush()
    attempt(reporter, "anna", epoch=4).delivered()
    assert reporter.flush()
    told = [(row.epoch, row.arm, row.tags) for report in controller.reports for row in report.users]
    anna, bert = hashed("anna")[:12], hashed("bert")[:12]
    assert sorted(told) == [(3, "canary", [anna]), (3, "control", [bert]), (4, "canary", [anna])]


def test_what_belongs_to_no_live_rollout_names_nobody(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    attempt(reporter, "anna", rollout=None).failed()
    attempt(reporter, None).failed()
    assert reporter.flush()
    assert [report.users for report in controller.reports if report.users] == []


def test_no_user_leaves_the_process_in_the_clear(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1, flag(live=rollout(metrics=(WITHIN, RUNS)))))
    for outcome in OutcomeClass:
        reporter.settle_attempt(attempt(reporter, "anna@example.org", run_id="run of anna@example.org"), outcome)
    assert reporter.flush()
    assert all(b"anna" not in encode(report) for report in controller.reports)


def test_active_users_are_a_gauge_that_ends_after_ten_minutes(controller, reporter_of, clock):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    for number in range(12):
        attempt(reporter, f"user-{number}").delivered()
    attempt(reporter, "bert", variant="legacy").delivered()
    assert reporter.flush()
    named = active(controller)
    assert list(named.values()) == [1, 1, 1, 1]
    clock.now += 599
    assert reporter.flush()
    assert active(controller) == named
    clock.now += 1
    assert reporter.flush()
    assert active(controller) == dict.fromkeys(named, 0)


def active(controller):
    """The newest word on each active user, by rollout, arm and stream; canaries alone are named."""
    rows: list[OpenRow] = [row for report in controller.reports for row in report.open_units]
    assert not any(row.arm == "control" and row.stream.startswith("active") for row in rows)
    return {(row.rollout, row.stream): row.open for row in rows if row.stream.startswith("active/")}


def test_every_report_carries_figures_that_add_up(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    for outcome in (*OutcomeClass, *list(OutcomeClass)[:2]):
        reporter.settle_attempt(attempt(reporter), outcome)
        attempt(reporter)  # one that stays open
        assert reporter.flush()
    for report in controller.reports:
        settled = report.delivered + report.failed + report.abandoned + report.interrupted
        assert report.attempted == settled + report.pending
    last = controller.reports[-1]
    assert (last.attempted, last.delivered, last.failed, last.abandoned, last.interrupted) == (12, 2, 2, 1, 1)


def test_whoever_forgets_an_attempt_has_failed_by_the_deadline_and_is_silent(controller, reporter_of, clock):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    attempt(reporter)
    clock.now += 5
    wait_until(controller.evidence)
    assert controller.evidence() == {("ramp", 3, "canary", "agent_started"): (1000, 1000)}
    assert controller.watched("reporting") == (1000, 1000)


def test_whoever_says_in_time_that_it_failed_is_not_silent(controller, reporter_of, clock):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    attempt(reporter).failed("refused")
    clock.now += 5
    wait_until(lambda: controller.watched("reporting") != (0, 0))
    assert controller.watched("reporting") == (0, 1000)


def test_who_left_is_told_by_unit_when_it_closes(controller, reporter_of, clock):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    for outcome in (OutcomeClass.DELIVERED, OutcomeClass.ABANDONED, OutcomeClass.INTERRUPTED, OutcomeClass.ABANDONED):
        reporter.settle_attempt(attempt(reporter), outcome)
    clock.now += 600
    wait_until(lambda: controller.watched("interrupted")[1])
    assert (controller.watched("abandoned"), controller.watched("interrupted")) == ((500, 1000), (250, 1000))


def test_delivery_in_time_is_counted_by_what_was_measured(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1, flag(live=rollout(metrics=(WITHIN,)))))
    attempt(reporter, "quick").delivered(latency_ms=100)
    attempt(reporter, "slow").delivered(latency_ms=101)
    attempt(reporter, "failed").failed()
    assert reporter.flush()
    evidence = controller.evidence()
    assert evidence["ramp", 3, "canary", "agent_started"] == (1000, 3000)
    assert evidence["ramp", 3, "canary", "within_100ms/agent_started"] == (2000, 3000)


def test_a_run_that_does_not_end_in_time_has_failed(controller, reporter_of, clock):
    reporter = reporter_of()
    reporter.applied(snapshot(1, flag(live=rollout(metrics=(RUNS,)))))
    attempt(reporter, "anna", run_id="1").delivered()
    attempt(reporter, "anna", "agent_completed", run_id="1").delivered()
    attempt(reporter, "bert", run_id="2").delivered()
    attempt(reporter, "carl", run_id="3").failed()  # never began: charged to delivery alone
    assert reporter.flush()
    complete = ("ramp", 3, "canary", "completed_5m/run")
    assert controller.evidence()[complete] == (0, 1000)
    clock.now += 300
    wait_until(lambda: controller.evidence()[complete] == (1000, 2000))


def test_with_the_event_as_its_unit_each_outcome_weighs_and_names_its_user(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1, flag(live=rollout(unit=UnitKind.EVENT, metrics=(WITHIN,)))))
    for _ in range(4):
        attempt(reporter).failed()
    attempt(reporter, None).delivered(latency_ms=5)
    assert reporter.flush()
    assert controller.evidence() == {
        ("ramp", 3, "canary", "agent_started"): (4000, 5000),
        ("ramp", 3, "canary", "within_100ms/agent_started"): (4000, 5000),
    }
    named = {user for report in controller.reports for row in report.evidence for user in row.users}
    assert named == {hashed("anna")[:8]}


def test_the_parts_of_a_refused_report_keep_their_users():
    taken = Taken(
        evidence={EvidenceKey("ramp", 3, "canary", "s"): Proof(Tally(1000, 1000), (hashed("anna"),))},
        users={KEY: ["00000000000a"], KEY._replace(rollout="other"): ["00000000000b"]},
    )
    whole, rest = pack(taken, HEAD, 0)
    assert not rest
    parts = parts_of(whole, iter(range(9)).__next__)
    found = sorted((row.rollout, row.tags) for part in parts for row in part.report.users)
    assert found == [("other", ["00000000000b"]), ("ramp", ["00000000000a"])]
    assert sum(bool(part.report.evidence) for part in parts) == 1


def test_users_that_do_not_fit_wait_for_the_next_report():
    tags = [f"{number:012x}" for number in range(2_000)]
    taken = Taken(users={KEY._replace(epoch=epoch): tags for epoch in range(300)})
    told = reports = 0
    while taken:
        frozen, taken = pack(taken, HEAD, 0)
        assert len(encode(frozen.report)) <= MOST_BYTES
        assert decode(encode(frozen.report), Report).users == frozen.report.users
        told += sum(len(row.tags) for row in frozen.report.users)
        reports += 1
    assert told == 300 * 2_000
    assert reports > 1
