"""The figures: equal to the book kept by hand, exact through outages, bounded in memory and in the size of a report."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from controller.client import DeliveryReporter
from controller.client.batches import pack
from controller.client.board import Taken
from controller.client.privacy import Pseudonyms
from controller.client.tallying import CountTable, coarsen
from controller.domain.metrics import UnitKind
from controller.domain.outcomes import OutcomeClass
from controller.domain.samples import ACTIVE
from controller.domain.tallies import EvidenceKey, Proof, Tally
from controller.domain.unit_book import UnitBook
from controller.wire.reports import MOST_BYTES, MOST_ROWS, OutcomeRow, Report
from tests.client.fake_controller import TOKEN, Answer, flag, rollout, snapshot, wait_until

DELIVERED, FAILED, ABANDONED, INTERRUPTED = OutcomeClass
SECRET = Pseudonyms(TOKEN)
LONG = "0123456789abcdef" * 2
HEAD = Report(batch="", instance="i", counted_by="client")


def attempt(reporter, user="anna", event="agent_started", **but):
    said = {"flag": "emitter", "variant": "unified", "rollout": "ramp", "epoch": 3, "user_id": user}
    return reporter.attempt(event_type=event, **(said | but))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(["agent_started", "agent_completed", "news"]),
            st.sampled_from(["legacy", "unified"]),
            st.sampled_from(list(OutcomeClass)),
            st.integers(0, 400),
        ),
        max_size=25,
    )
)
def test_the_evidence_is_that_of_the_book(story):
    """The same story told to a reporter that never connects and to a book."""
    now = [1_000.0]
    reporter = DeliveryReporter("http://127.0.0.1:1", TOKEN, clock=lambda: now[0])
    live = rollout(5_000)
    reporter.applied(snapshot(1, flag(live=live)))
    book = UnitBook()
    for user, event, variant, outcome, seconds in story:
        at = int(now[0] * 1000)
        arm = live.arm_of(variant)
        ticket = book.attempt(live.rules(), arm=arm, epoch=3, user=SECRET.of(user), run="", event_type=event, now_ms=at)
        book.settle(ticket, outcome)
        reporter.settle_attempt(attempt(reporter, user, event, variant=variant), outcome)
        now[0] += seconds
        book.sweep(int(now[0] * 1000))
        reporter._feed.maintain()
    frozen = reporter._feed.freeze(closing=False)
    sent = {
        EvidenceKey(r.rollout, r.epoch, r.arm, r.stream): Proof(Tally(r.failed, r.total), tuple(r.users))
        for r in frozen.report.evidence
    }
    kept = {key: proof._replace(users=tuple(user[:8] for user in proof.users)) for key, proof in book.drain().items()}
    assert sent == kept
    gauges = {(r.rollout, r.arm, r.stream): r.open for r in frozen.report.open_units if r.open}
    assert {key: count for key, count in gauges.items() if not key[2].startswith(ACTIVE)} == book.open_units()


def test_a_users_later_outcomes_weigh_when_ten_minutes_are_over(controller, reporter_of, clock):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    for outcome in (DELIVERED, FAILED, DELIVERED, FAILED, ABANDONED):
        reporter.settle_attempt(attempt(reporter), outcome)
    assert reporter.flush()
    assert controller.evidence() == {("ramp", 3, "canary", "agent_started"): (0, 1000)}
    clock.now += 600
    wait_until(lambda: len(controller.evidence()) == 2)
    assert controller.evidence()["ramp", 3, "canary", "later"] == (666, 1000)


def test_a_run_closes_its_unit_when_it_ends(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1, flag(live=rollout(unit=UnitKind.RUN))))
    for _ in range(2):
        attempt(reporter, run_id="run-1").failed()
    attempt(reporter, run_id=None).failed()
    reporter.run_ended("emitter", "unified", "anna", "run-1")
    reporter.run_ended("emitter", "unified", "nobody", "run-1")
    assert reporter.flush()
    assert controller.evidence() == {
        ("ramp", 3, "canary", "agent_started"): (1000, 1000),
        ("ramp", 3, "canary", "later"): (1000, 1000),
    }
    assert reporter.counters().unproved == controller.reports[-1].unproved == 1


def test_an_old_assignments_outcome_goes_to_its_own_epoch(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(2, flag(live=rollout(epoch=4))))
    attempt(reporter, "anna", epoch=3).delivered()
    attempt(reporter, "bert", epoch=4).delivered()
    attempt(reporter, "carl", epoch=-1).delivered()
    attempt(reporter, "dora", flag="other").delivered()
    assert reporter.flush()
    assert sorted(key[1] for key in controller.evidence()) == [3, 4]


def test_open_units_are_told_and_told_once_more_when_they_are_none(controller, reporter_of):
    reporter = reporter_of()
    reporter.applied(snapshot(1))
    waiting = attempt(reporter)
    assert reporter.flush()
    waiting.delivered()
    assert reporter.flush()
    assert reporter.flush()
    told = [
        [row.open for row in report.open_units if not row.stream.startswith(ACTIVE)] for report in controller.reports
    ]
    assert [rows for rows in told if rows] == [[1], [0]]


def test_a_long_outage_takes_bounded_memory_and_the_totals_stay_exact(controller, reporter_of, clock):
    controller.always = Answer(503, commit=False)
    reporter = reporter_of(max_outcomes=100)
    reporter.applied(snapshot(1))
    wait_until(lambda: reporter.counters().retries)
    for _ in range(4 * 3600):  # four hours, each second one attempt of either kind
        clock.now += 1
        attempt(reporter, "anna").delivered(2)
        attempt(reporter, "bert", "agent_completed").failed()
        if clock.now % 1000 == 0:
            reporter._feed.maintain()
    reporter._feed.maintain()
    board = reporter._feed.board
    assert len(board.counts.rows) <= 4_000
    assert len(board._outcomes) == 100
    assert len(board.book) <= 4
    controller.always = None
    assert reporter.flush(20)
    seconds = 4 * 3600
    assert (controller.total("attempts"), controller.total("delivered"), controller.total("failed")) == (
        2 * seconds,
        seconds,
        seconds,
    )
    assert controller.total("latency_ms") == 2 * seconds
    assert controller.reports[-1].dropped == 2 * seconds - len(controller.outcomes())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5_000_000), st.sampled_from(list(OutcomeClass)))))
def test_coarsening_keeps_every_count(story):
    table = CountTable()
    for name, at_ms, outcome in story:
        table.attempted(("f", "v", name), at_ms)
        table.settled(("f", "v", name), outcome, 7, at_ms)
    rows = table.take()
    before = [sum(cells[n] for cells in rows.values()) for n in range(6)]
    fewer = coarsen(rows, 5_000_000)
    assert [sum(cells[n] for cells in fewer.values()) for n in range(6)] == before
    assert len(fewer) <= 3 * (60 + 12)
    assert all(key[3] <= 5_000 for key in fewer)


def test_too_many_series_are_counted_together_and_then_by_number():
    table = CountTable()
    for n in range(2_000):
        table.admitted(("f", "v", str(n)))
    assert table.admitted(("f", "v", "5")) == ("f", "v", "5")
    assert table.admitted(("f", "v", "another")) == ("f", "v", "other")
    assert (table.admitted(("g", "v", "another")), table.uncounted) == (None, 1)


def test_too_many_open_attempts_are_interrupted_and_convict_nobody(controller, reporter_of):
    reporter = reporter_of(max_pending=10)
    reporter.applied(snapshot(1))
    for n in range(15):
        attempt(reporter, f"user-{n}")
    assert reporter.flush()
    assert (reporter.counters().pending, controller.total("interrupted")) == (10, 5)
    assert controller.total("failed") == 0
    assert controller.evidence() == {}
    assert controller.watched("reporting") == (0, 5_000)


def test_reports_keep_to_the_limits_and_evidence_goes_first():
    long = "ü" * 128
    taken = Taken(
        counts={(f"{long[:-5]}{n:05}", long, long, n): [1, 1, 0, 0, 0, 3] for n in range(12_000)},
        evidence={EvidenceKey("ramp", n, "canary", "s"): Proof(Tally(1, 2), (LONG,)) for n in range(100)},
        outcomes=[(0, OutcomeRow("f", "v", "e", "delivered", reason="ü" * 200, user=long)) for _ in range(9_000)],
    )
    sizes, attempts, outcomes, batches = [], 0, 0, set()
    while taken:
        frozen, taken = pack(taken, HEAD, 20_000_000)
        report = frozen.report
        assert frozen.more == bool(taken)
        assert bool(report.evidence) == (not sizes)
        sizes.append(len(frozen.body(20_000_000)[0]))
        assert max(len(report.counts), len(report.outcomes)) <= MOST_ROWS
        batches.add(report.batch)
        attempts += sum(row.attempts for row in report.counts)
        outcomes += len(report.outcomes)
        assert len(msgspec.json.encode(report)) <= MOST_BYTES
    assert (attempts, outcomes, len(batches)) == (12_000, 9_000, len(sizes))
