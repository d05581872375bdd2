"""Reports that could not be sent before the end: nothing is lost, nothing counts twice, nobody seems to live on."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from controller.client.batches import Frozen
from controller.client.spool import Spool
from controller.wire.reports import ArmRow, CountRow, OutcomeRow, Report
from tests.client.fake_controller import TOKEN, Answer, snapshot, wait_until


def attempt(reporter, user="anna", event="agent_started"):
    return reporter.attempt(flag="emitter", variant="unified", event_type=event, user_id=user, rollout="ramp", epoch=3)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def report(batch="batch-0001", instance="a", **but):
    return Report(batch=batch, instance=instance, counted_by="client", **but)


def test_what_an_absent_controller_did_not_take_is_sent_by_the_next_process(controller, reporter_of, tmp_path):
    controller.stop()
    first = reporter_of(instance="chat-1", spool=tmp_path)
    first.applied(snapshot(1))
    for n in range(5):
        attempt(first, f"user-{n}").delivered()
    attempt(first, "left-open")
    assert not first.close(timeout=0.2)
    assert len(files(tmp_path)) >= 1
    controller.start()
    second = reporter_of(instance="chat-2", spool=tmp_path)
    assert second.flush()
    assert (controller.total("delivered"), controller.total("interrupted")) == (5, 1)
    assert controller.evidence() == {("ramp", 3, "canary", "agent_started"): (0, 5000)}
    assert files(tmp_path) == []
    # The old process is told to be gone, with nothing open; the new one lives.
    last_words = [sent for sent in controller.committed.values() if sent.instance == "chat-1"]
    assert all(sent.closing for sent in last_words)
    assert not any(sent.closing for sent in controller.committed.values() if sent.instance == "chat-2")


def test_a_report_that_was_taken_though_its_acknowledgement_was_lost_counts_once(controller, reporter_of, tmp_path):
    controller.always = Answer(drop=True)
    first = reporter_of(spool=tmp_path)
    attempt(first).delivered()
    wait_until(lambda: controller.total("delivered"))
    assert not first.close(timeout=0.2)
    controller.always = None
    assert reporter_of(spool=tmp_path).flush()
    assert (controller.total("delivered"), files(tmp_path)) == (1, [])


def test_two_processes_that_start_at_once_send_it_under_one_id(controller, reporter_of, tmp_path):
    Spool(tmp_path).keep([Frozen(report(counts=[CountRow("emitter", "unified", "e", attempts=1, delivered=1)]), 0)], 0)
    for reporter in [reporter_of(spool=tmp_path), reporter_of(spool=tmp_path)]:
        assert reporter.flush()
    assert (controller.total("delivered"), files(tmp_path)) == (1, [])


def test_a_process_that_starts_again_under_its_name_does_not_close_itself(controller, reporter_of, tmp_path):
    Spool(tmp_path).keep([Frozen(report(instance="chat-1", closing=True, seq=1), 0)], 0)
    reporter_of(instance="chat-1", spool=tmp_path).flush()
    assert {(sent.instance, sent.closing) for sent in controller.reports} == {("chat-1", False)}


def test_it_ages_on_disk_and_nothing_of_a_dead_process_is_open(tmp_path):
    now = [1_000_000]
    arms = [ArmRow("emitter", "unified", open_runs=3, exposures=7)]
    Spool(tmp_path, clock=lambda: now[0]).keep([Frozen(report(arms=arms), 400)], 1_000)
    now[0] += 30_000
    [frozen] = Spool(tmp_path, clock=lambda: now[0]).load("b", 50)
    assert frozen.made_ms == 50 - 600 - 30_000
    assert [(row.open_runs, row.exposures) for row in frozen.report.arms] == [(0, 7)]
    now[0] += 24 * 3_600_000
    assert Spool(tmp_path, clock=lambda: now[0]).load("b", 50) == []
    assert files(tmp_path) == []


def test_a_wall_clock_that_went_back_makes_nothing_younger_than_it_was(tmp_path):
    now = [1_000_000]
    spool = Spool(tmp_path, clock=lambda: now[0])
    spool.keep([Frozen(report(), 0)], 500)
    now[0] -= 900_000
    assert [frozen.made_ms for frozen in spool.load("b", 10_000)] == [9_500]


def test_a_full_spool_gives_up_details_before_counts(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    details = [OutcomeRow("emitter", "unified", "e", "delivered", event_id="x" * 200) for _ in range(100)]
    spool = Spool(tmp_path, most_bytes=2_000)
    whole = report(counts=[CountRow("emitter", "unified", "e", attempts=100)], outcomes=details)
    spool.keep([Frozen(whole, 0)], 0)
    [kept] = spool.load("b", 0)
    assert (len(kept.report.outcomes), kept.report.dropped, kept.report.counts[0].attempts) == (0, 100, 100)
    spool.keep([Frozen(report(f"batch-{n:04}"), 0) for n in range(2, 50)], 0)
    assert spool.dropped > 0
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2_000


@pytest.mark.parametrize("content", [b"", b"{", b'{"wall_ms": 1}', b"\xff" * 100])
def test_what_cannot_be_read_is_put_aside_and_does_not_block_the_rest(tmp_path, content, caplog):
    caplog.set_level(logging.CRITICAL)
    spool = Spool(tmp_path)
    spool.keep([Frozen(report(), 0)], 0)
    (tmp_path / "torn.report").write_bytes(content)
    assert [frozen.report.batch for frozen in spool.load("b", 0)] == ["batch-0001"]
    assert "torn.unreadable" in files(tmp_path)
    assert spool.dropped == 1


def test_files_are_the_owners_alone_and_name_no_user(controller, reporter_of, tmp_path):
    controller.stop()
    reporter = reporter_of(spool=tmp_path / "made")
    attempt(reporter, "anna@example.com").failed("anna@example.com cannot be reached")
    reporter.close(timeout=0.2)
    [path] = list((tmp_path / "made").iterdir())
    assert (path.stat().st_mode & 0o777, (tmp_path / "made").stat().st_mode & 0o777) == (0o600, 0o700)
    assert "anna@example.com" not in path.read_text()
    assert json.loads(path.read_text())["report"]["counts"]


def test_a_process_killed_during_an_outage_leaves_the_report_it_was_sending(controller, tmp_path):
    controller.always = Answer(503, commit=False)
    code = f"""
        import time
        from controller.client import DeliveryReporter
        reporter = DeliveryReporter({controller.url!r}, {TOKEN!r}, spool={str(tmp_path)!r}, flush_interval=0.05)
        reporter.attempt(flag="emitter", variant="unified", event_type="e", user_id="anna").delivered()
        reporter.start()
        time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    try:
        wait_until(lambda: any(name.endswith(".report") for name in files(tmp_path)), 30)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    [left] = Spool(tmp_path).load("b", 0)
    assert left.report.counts[0].delivered == 1


def test_a_folder_that_cannot_be_used_is_told_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Spool(tmp_path / "file")
    with pytest.raises(ValueError, match="most_bytes"):
        Spool(tmp_path, most_bytes=0)


def test_a_disk_that_fails_costs_the_report_and_not_the_process(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    spool = Spool(tmp_path)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    spool.keep([Frozen(report(), 0)], 0)
    assert (spool.dropped, files(tmp_path)) == (1, [])
