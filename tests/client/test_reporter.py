"""The reporter: exact counts whatever happens between it and the controller."""

from __future__ import annotations

import threading

import pytest

from controller.domain.outcomes import OutcomeClass
from tests.client.fake_controller import Answer, problem, snapshot, wait_until


def delivered(reporter, user="user-1", event="agent_started", **but):
    said = {
        "flag": "emitter",
        "variant": "unified",
        "event_type": event,
        "user_id": user,
        "rollout": "ramp",
        "epoch": 3,
    }
    attempt = reporter.attempt(**(said | but))
    attempt.delivered(1.0)


def test_counts_and_evidence_arrive(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    for n in range(10):
        delivered(reporter, f"user-{n}")
    assert reporter.flush(10)
    assert (controller.total("attempts"), controller.total("delivered")) == (10, 10)
    assert controller.evidence() == {("ramp", 3, "canary", "agent_started"): (0, 10_000)}


def test_a_unit_weighs_once_however_often_its_user_returns(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    for _ in range(7):
        delivered(reporter)
    assert reporter.flush(10)
    assert controller.total("delivered") == 7
    assert controller.evidence() == {("ramp", 3, "canary", "agent_started"): (0, 1_000)}


def test_what_belongs_to_no_live_rollout_is_counted_and_proves_nothing(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    delivered(reporter, rollout="ended-long-ago")
    delivered(reporter, rollout=None)
    assert reporter.flush(10)
    assert controller.total("delivered") == 2
    assert controller.evidence() == {}


def test_a_lost_acknowledgement_is_repeated_under_the_same_batch_and_counts_once(controller, reporter_of):
    for _ in range(3):
        controller.answers.put(Answer(drop=True))
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    for n in range(20):
        delivered(reporter, f"user-{n}")
    assert reporter.flush(10)
    assert len(controller.reports) > len(controller.committed)
    assert controller.total("delivered") == 20
    assert controller.evidence()["ramp", 3, "canary", "agent_started"] == (0, 20_000)


def test_an_absent_controller_costs_details_but_never_counts(controller, reporter_of):
    controller.always = Answer(503, commit=False)
    reporter = reporter_of(max_outcomes=50)
    reporter.applied(snapshot(1))
    for n in range(500):
        delivered(reporter, f"user-{n}")
    wait_until(lambda: reporter.counters().retries > 2)
    controller.always = None
    assert reporter.flush(10)
    assert controller.total("delivered") == 500
    assert controller.evidence()["ramp", 3, "canary", "agent_started"] == (0, 500_000)
    assert reporter.counters().dropped > 0
    assert len(controller.outcomes()) <= 500 - reporter.counters().dropped


def test_silence_beyond_the_deadline_is_a_failure_and_a_late_word_changes_nothing(reporter_of, clock):
    reporter = reporter_of(deadline=5)
    attempt = reporter.attempt(flag="emitter", variant="unified", event_type="agent_started", user_id="u")
    clock.now += 5.1
    wait_until(lambda: reporter.counters().failed == 1)
    attempt.delivered()
    assert (reporter.counters().delivered, reporter.counters().failed, reporter.counters().late) == (0, 1, 1)


def test_an_attempt_has_one_outcome(reporter_of):
    reporter = reporter_of(started=False)
    reporter.attempt(flag="f", variant="v", event_type="e", user_id="u", event_id="one")
    assert reporter.settle("one", OutcomeClass.FAILED)
    assert not reporter.settle("one", OutcomeClass.DELIVERED)
    assert not reporter.settle("never-begun", OutcomeClass.DELIVERED)
    assert (reporter.counters().failed, reporter.counters().delivered) == (1, 0)


def test_an_exception_inside_an_attempt_is_a_failure(reporter_of):
    reporter = reporter_of(started=False)
    with pytest.raises(ZeroDivisionError), reporter.attempt(flag="f", variant="v", event_type="e", user_id="u"):
        raise ZeroDivisionError
    with reporter.attempt(flag="f", variant="v", event_type="e", user_id="u"):
        pass
    assert (reporter.counters().failed, reporter.counters().delivered) == (1, 1)


def test_a_failure_hastens_the_report_and_takes_the_successes_before_it_along(controller, reporter_of):
    reporter = reporter_of(flush_interval=600)
    for n in range(5):
        delivered(reporter, f"user-{n}")
    reporter.attempt(flag="emitter", variant="unified", event_type="agent_started", user_id="u").failed("broke")
    wait_until(lambda: controller.total("failed") == 1)
    assert controller.total("delivered") == 5


def test_closing_settles_what_is_open_as_interrupted_and_says_goodbye(controller, reporter_of):
    reporter = reporter_of()
    reporter.attempt(flag="emitter", variant="unified", event_type="agent_started", user_id="u")
    assert reporter.close(10)
    assert (controller.total("attempts"), controller.total("interrupted")) == (1, 1)
    assert controller.reports[-1].closing


def test_the_applied_revision_is_reported_at_once(controller, reporter_of):
    reporter = reporter_of(flush_interval=600)
    reporter.applied(snapshot(42))
    wait_until(lambda: any(report.revision == 42 for report in controller.reports))


def test_open_canary_runs_are_told_and_that_none_are_left(controller, reporter_of):
    reporter = reporter_of()
    reporter.open_runs("emitter", "unified", 3)
    assert reporter.flush(10)
    reporter.open_runs("emitter", "unified", 0)
    assert reporter.flush(10)
    told = [row.open_runs for report in controller.reports for row in report.arms if row.variant == "unified"]
    assert (told[0], told[-1]) == (3, 0)


def test_a_refused_batch_is_counted_and_does_not_block_what_follows(controller, reporter_of):
    controller.refuses = lambda report: (
        problem(422, "unknown_flag") if any(row.flag == "nobody" for row in report.counts) else None
    )
    reporter = reporter_of()
    delivered(reporter, flag="nobody", rollout=None)
    wait_until(lambda: reporter.counters().rejected == 1)
    delivered(reporter)
    assert reporter.flush(10)
    assert controller.total("delivered", flag="emitter") == 1


def test_too_fast_is_waited_out_as_told(controller, reporter_of):
    controller.answers.put(Answer(429, headers={"Retry-After": "0"}, commit=False))
    reporter = reporter_of()
    delivered(reporter)
    assert reporter.flush(10)
    assert controller.total("delivered") == 1


def test_no_user_id_leaves_the_process_in_the_clear(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    delivered(reporter, "alice@example.org", run_id="run-of-alice")
    assert reporter.flush(10)
    sent = repr(controller.reports)
    assert "alice" not in sent
    assert controller.outcomes()[0].user


@pytest.mark.parametrize("user", ["\0", "\ud800", "x" * 10_000, ""])
def test_hostile_ids_never_raise(controller, reporter_of, user):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    delivered(reporter, user, run_id=user, event_id=user or None)
    assert reporter.flush(10)
    assert controller.total("delivered") == 1


def test_many_threads_lose_nothing(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))

    def work(number):
        for n in range(300):
            delivered(reporter, f"user-{number}-{n}")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert reporter.flush(20)
    assert controller.total("delivered") == 1_800
    assert controller.evidence()["ramp", 3, "canary", "agent_started"] == (0, 1_800_000)


def test_a_process_that_starts_again_under_its_name_outranks_what_it_said_before(controller, reporter_of):
    first = reporter_of(instance="chat-a")
    assert first.close(10)
    second = reporter_of(instance="chat-a")
    delivered(second)
    assert second.flush(10)
    assert controller.reports[-1].seq > controller.reports[0].seq
