"""On the wire: what is refused, repeated, hastened or said at the end, and what no report may contain."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

from controller.client.batches import pack, parts_of
from controller.client.board import Taken
from controller.client.pace import Pace
from controller.client.privacy import Pseudonyms, clean, without_user
from controller.client.transport import retry_after, word_of
from controller.domain.outcomes import OutcomeClass
from controller.domain.tallies import EvidenceKey, Proof, Tally
from controller.wire.codec import decode
from controller.wire.reports import Report
from tests.client.fake_controller import TOKEN, Answer, flags_of, problem, snapshot, wait_until

DELIVERED, FAILED, ABANDONED, INTERRUPTED = OutcomeClass


def attempt(reporter, user="anna", event="agent_started", **but):
    said = {"flag": "emitter", "variant": "unified", "rollout": "ramp", "epoch": 3, "user_id": user}
    return reporter.attempt(event_type=event, **(said | but))


def test_one_unknown_flag_costs_the_others_nothing(controller, reporter_of, caplog):
    controller.refuses = lambda report: (
        problem(422, "unknown_flag", "no flag has this key: typo") if "typo" in flags_of([report]) else None
    )
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    for n in range(3):
        attempt(reporter, f"user-{n}").delivered()
        attempt(reporter, f"user-{n}", flag="typo").delivered()
    wait_until(lambda: reporter.counters().rejected)
    attempt(reporter, "late", flag="typo").delivered()
    assert reporter.flush()
    assert controller.total("delivered", flag="emitter") == 3
    assert controller.evidence() == {("ramp", 3, "canary", "agent_started"): (0, 3000)}
    told = [record.getMessage() for record in caplog.records if record.name == "controller.client.refusals"]
    assert len(told) == 1
    assert "typo" in told[0]


def test_the_parts_of_a_closing_report_say_goodbye_once():
    taken = Taken(
        counts={(key, "v", "e", 0): [1, 0, 0, 0, 0, 0] for key in "abc"},
        evidence={EvidenceKey("ramp", 1, "canary", "s"): Proof(Tally(0, 1))},
    )
    whole, _ = pack(taken, Report(batch="", instance="i", closing=True), 0)
    parts = parts_of(whole, iter(range(9)).__next__)
    assert [part.report.closing for part in parts] == [False, False, False, True]
    assert len({part.report.batch for part in parts} | {whole.report.batch}) == 5


@pytest.mark.parametrize("status", [404, 401, 403, 408, 500, 502, 302])
def test_a_proxy_in_between_cannot_make_a_batch_disappear(controller, reporter_of, status):
    controller.answers.put(Answer(status, b"<html>", commit=False))
    reporter = reporter_of()
    attempt(reporter).delivered()
    assert reporter.flush()
    assert (controller.total("delivered"), reporter.counters().rejected) == (1, 0)


def test_retry_after_is_honoured(controller, reporter_of):
    controller.always = Answer(429, headers={"Retry-After": "30"}, commit=False)
    reporter = reporter_of()
    attempt(reporter).failed()
    wait_until(lambda: reporter.counters().retries == 1)
    attempt(reporter, "bert").failed()  # hastening does not break the promise to wait
    assert not reporter.flush(0.3)
    assert len(controller.reports) == 1


def test_the_batch_that_is_repeated_is_the_same_but_older(controller, reporter_of, clock):
    for _ in range(2):
        controller.answers.put(Answer(drop=True))
    reporter = reporter_of()
    wait_until(lambda: controller.reports)
    clock.now += 7
    attempt(reporter).delivered()
    assert reporter.flush()
    first, *again = [report for report in controller.reports if report.batch == controller.reports[0].batch]
    assert len(again) == 2
    assert again[-1].age_ms >= 7_000 > first.age_ms
    assert (again[-1].seq, again[-1].counts) == (first.seq, first.counts)


def test_ages_say_when_things_happened(controller, reporter_of, clock):
    reporter = reporter_of(started=False)
    clock.now += 0.5
    attempt(reporter).delivered(5)
    reporter.exposed("emitter", "unified")
    clock.now += 30
    reporter.start()
    assert reporter.flush()
    report = controller.reports[0]
    assert 29_000 <= report.counts[0].age_ms <= 31_000
    assert report.outcomes[0].age_ms == report.arms[0].exposure_age_ms == 30_000


def test_an_exposure_decided_before_a_rollback_is_not_held_against_it(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    reporter.applied(snapshot(2))
    reporter.exposed("emitter", "unified", revision=1)
    reporter.exposed("emitter", "legacy", revision=2)
    assert reporter.flush()
    arms = {row.variant: row for report in controller.reports for row in report.arms}
    assert (arms["unified"].exposures, arms["unified"].since_applied) == (1, 0)
    assert arms["legacy"].since_applied == 1


def test_the_last_canary_run_to_end_is_reported_at_once_and_a_controls_is_not(controller, reporter_of):
    reporter = reporter_of(flush_interval=600)
    reporter.applied(snapshot(1))
    reporter.open_runs("emitter", "unified", 2)
    reporter.open_runs("emitter", "legacy", 1)
    assert reporter.flush()
    sent = len(controller.reports)
    reporter.open_runs("emitter", "legacy", 0)
    reporter.open_runs("emitter", "unified", 0)
    wait_until(lambda: len(controller.reports) > sent)
    assert {row.variant: row.open_runs for row in controller.reports[-1].arms} == {"legacy": 0, "unified": 0}


def test_a_deadline_is_kept_even_when_the_word_comes_before_the_sweep(reporter_of, clock):
    reporter = reporter_of(started=False)
    late = attempt(reporter)
    clock.now += 5
    assert not late.delivered()
    assert (reporter.counters().failed, reporter.counters().late) == (1, 1)


def test_an_id_that_is_open_already_is_the_same_attempt(reporter_of):
    reporter = reporter_of(started=False)
    assert attempt(reporter, event_id="e1") is attempt(reporter, event_id="e1")
    assert (reporter.counters().attempted, reporter.counters().repeated) == (1, 1)


def test_a_block_decides_once_and_a_cancellation_is_no_failure(reporter_of):
    reporter = reporter_of(started=False)
    with attempt(reporter) as one:
        one.abandoned()
    with pytest.raises(KeyboardInterrupt), attempt(reporter):
        raise KeyboardInterrupt
    counters = reporter.counters()
    assert (counters.abandoned, counters.interrupted, counters.late) == (1, 1, 0)


def test_closing_without_a_controller_gives_up_in_time_and_says_so(controller, reporter_of):
    controller.always = Answer(503, commit=False)
    reporter = reporter_of()
    attempt(reporter).delivered()
    assert not reporter.close(0.3)
    assert reporter.close(0.3)  # it is closed
    controller.always = None
    reporter.start()
    assert reporter.flush()
    assert controller.total("delivered") == 1


def test_closing_a_reporter_whose_server_hangs_ends_its_thread(controller, reporter_of):
    controller.hang.clear()
    reporter = reporter_of()
    wait_until(lambda: controller.requests)
    assert not reporter.close(0.2)
    assert not reporter._sender.running


def test_texts_and_ids_are_clean_and_name_no_user(controller, reporter_of):
    reporter = reporter_of()
    user = "anna\x00\ud800@example.org"
    attempt(reporter, user, "\x00" * 300, event_id=f"to-{user}", variant="").failed(f"no socket of {user}: \x07\ud800")
    attempt(reporter, "b" * 10_000, event_id="x" * 10_000).failed("b" * 9_000)
    reporter.settle("y" * 10_000, FAILED)
    assert reporter.flush()
    bodies = [request.body for request in controller.requests]
    assert all(decode(b, Report) for b in bodies if not b.startswith(b"\x1f\x8b"))
    first, second = controller.outcomes()
    assert first.reason == "no socket of <user>: ��"
    assert (first.variant, len(first.event_type)) == ("-", 128)
    assert "anna" not in repr(controller.reports)
    assert "bbb" not in second.reason
    assert (len(second.event_id), len(second.user)) == (32, 32)


def test_pseudonyms_hold_for_an_installation_and_change_with_its_token():
    one, same, other = Pseudonyms("t"), Pseudonyms("t"), Pseudonyms("u")
    assert one.of("anna") == same.of("anna") != other.of("anna")
    assert one.of("a", "b") != one.of("ab")
    assert clean("\x7f\u2028a") == "��a"
    assert without_user("", "anna") == ""


def test_answers_are_read_with_care():
    date = {"Date": "Sun, 01 Mar 2026 10:00:00 GMT"}
    for text, expected in (
        ("7", 7), ("99999", 60), ("-1", 0), ("soon", 0), ("", 0), ("Sun, 01 Mar 2026 10:00:09 GMT", 9),
    ):  # fmt: skip
        assert retry_after(httpx.Response(429, headers=date | {"Retry-After": text})) == expected
    words = {status: word_of(httpx.Response(status)).name for status in (200, 204, 400, 404, 413, 422, 429, 503)}
    assert words == {
        200: "ACKNOWLEDGED", 204: "ACKNOWLEDGED", 400: "REFUSED", 404: "RETRY", 413: "REFUSED", 422: "REFUSED",
        429: "RETRY", 503: "RETRY",
    }  # fmt: skip


def test_back_off_is_jittered_and_bounded():
    pace = Pace()
    for failures in (0, 3, 1_000_000):
        assert 0.1 <= pace.backoff(failures) <= 10
    assert len({pace.backoff(3) for _ in range(20)}) > 1


def test_a_forked_child_reports_its_own_under_its_own_name(controller):
    script = f"""
        import os, sys
        from controller.client import CanaryProvider
        from openfeature.evaluation_context import EvaluationContext
        provider = CanaryProvider({controller.url!r}, {TOKEN!r}, instance="parent")
        provider.initialize(EvaluationContext())
        def record(event):
            provider.resolve_boolean_details("emitter", False)
            provider.reporter.attempt(flag="emitter", variant="unified", event_type=event, user_id="u").delivered()
        record("before")
        child = os.fork()
        record("in-child" if child == 0 else "in-parent")
        assert provider.reporter.flush(20)
        if child == 0:
            provider.shutdown()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        provider.shutdown()
    """
    controller.publish(snapshot(3))
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    counted = {(report.instance, row.event_type) for report in controller.committed.values() for row in report.counts}
    names = {name for name, _ in counted}
    assert len(names) == 2
    (child,) = names - {"parent"}
    assert child.startswith("parent-")
    assert counted == {("parent", "before"), ("parent", "in-parent"), (child, "in-child")}
    assert controller.total("attempts") == 3
    assert {report.revision for report in controller.reports if report.instance == child} == {3}
    assert {report.instance for report in controller.reports if report.closing} == names


def test_a_process_that_just_ends_takes_its_leave(controller):
    script = f"""
        from controller.client import DeliveryReporter
        reporter = DeliveryReporter({controller.url!r}, {TOKEN!r}, flush_interval=600)
        reporter.start()
        reporter.attempt(flag="f", variant="v", event_type="e", user_id="u").delivered()
        reporter.attempt(flag="f", variant="v", event_type="e", user_id="u")
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert (controller.total("delivered"), controller.total("interrupted")) == (1, 1)
    assert controller.reports[-1].closing
