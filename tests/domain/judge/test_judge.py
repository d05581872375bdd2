"""One slot in, one analysis out; and the same bits from stored numbers, anywhere."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.judge.constants import Constants, from_canonical
from controller.domain.judge.findings import Analysis, Effect, Rule, Verdict
from controller.domain.judge.judge import judge
from controller.domain.judge.state import JudgeState, Track, fresh_state, state_from
from controller.domain.ledger import LedgerRow, Slot
from controller.domain.metrics import LATER, POOLED, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.tallies import UNIT, Tally
from tests.domain.builders import STARTED, Judged, briefly, constants, row, rows_for, slot, steady
from tests.domain.judge.traces import trace

ROOT = Path(__file__).resolve().parents[3]
STREAMS = (*CRITICAL_EVENTS, LATER)
UNTOUCHED = ([constants().start] * 6, [0] * 6, [0] * 6, [[]] * 6)

tallies = st.integers(0, 40 * UNIT).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
rows = st.builds(
    lambda epoch, arm, stream, tally: LedgerRow(epoch, arm, stream, *tally),
    st.integers(1, 2),
    st.sampled_from(["canary", "control"]),
    st.sampled_from(STREAMS),
    tallies,
)
contents = st.lists(st.lists(rows, max_size=8), min_size=1, max_size=8)


def run(frozen: Constants, state: JudgeState, slots: list[Slot]) -> tuple[JudgeState, list[Analysis]]:
    analyses = []
    for each in slots:
        state, analysis = judge(frozen, state, each)
        analyses.append(analysis)
    return state, analyses


def numbered(held: list[list[LedgerRow]]) -> list[Slot]:
    return [slot(seq, *some, epoch=1 + seq // 4) for seq, some in enumerate(held, start=1)]


# --- what goes in ---


@briefly
@given(held=contents, data=st.data())
def test_the_order_of_the_rows_of_a_slot_does_not_matter(held: list[list[LedgerRow]], data: st.DataObject):
    shuffled = [data.draw(st.permutations(some)) for some in held]
    fresh = fresh_state(constants())
    first, second = (run(constants(), fresh, numbered(some)) for some in (held, shuffled))
    assert first == second


@briefly
@given(held=contents)
def test_tallies_merged_before_they_are_judged_give_the_same_as_tallies_merged_by_the_judge(
    held: list[list[LedgerRow]],
):
    merged = []
    for some in held:
        sums: dict[tuple[int, str, str], Tally] = {}
        for each in some:
            key = (each.epoch, each.arm, each.stream)
            sums[key] = sums.get(key, Tally()).plus(Tally(each.failed, each.total))
        merged.append([LedgerRow(*key, *tally) for key, tally in sums.items()])
    fresh = fresh_state(constants())
    first, second = (run(constants(), fresh, numbered(some)) for some in (held, merged))
    assert first[0].canary == second[0].canary
    assert first[1] == second[1]


@briefly
@given(held=contents)
def test_judging_changes_nothing_that_it_was_given(held: list[list[LedgerRow]]):
    state = fresh_state(constants())
    for each in numbered(held):
        before = state.digest()
        following, _ = judge(constants(), state, each)
        assert state.digest() == before
        state = following


def test_judging_changes_nothing_even_where_it_proves_something_or_convicts():
    judged = Judged()
    judged.after(*rows_for(CRITICAL_EVENTS[:2], 0, 5_000))
    before, digest = judged.state, judged.state.digest()
    for later in (rows_for(CRITICAL_EVENTS, 0, 5_000), rows_for(CRITICAL_EVENTS, 900, 900, arm="control")):
        assert judge(judged.constants, before, slot(2, *later))[0].digest() != digest
        assert before.digest() == digest


@pytest.mark.parametrize("seq", [0, 1, 3])
def test_a_slot_that_does_not_follow_the_last_one_is_refused(seq: int):
    judged = Judged()
    judged.after()
    with pytest.raises(ValueError, match=f"slot {seq} does not follow slot 1"):
        judge(judged.constants, judged.state, slot(seq))


def test_a_stream_restarts_at_most_once_in_ten_seconds():
    judged = Judged()
    judged.after(row(0, 5_000), closed_ms=10_000)
    used_up = judged.track().evidence
    assert max(used_up) < 0
    judged.after(closed_ms=19_999)
    assert judged.track().evidence == used_up
    judged.after(closed_ms=20_000)
    assert judged.track().evidence == [0] * 6


def test_a_clock_that_goes_back_restarts_nothing():
    judged = Judged()
    judged.after(closed_ms=50_000)
    judged.after(row(0, 5_000), closed_ms=30_000)
    judged.after(closed_ms=40_000)
    assert max(judged.track().evidence) < 0
    assert judged.state.boundary == 5


@briefly
@given(held=contents, hours=st.integers(0, 10_000))
def test_a_verdict_does_not_depend_on_what_the_clock_says(held: list[list[LedgerRow]], hours: int):
    there = [replace(each, closed_ms=each.closed_ms + 3_600_000 * hours) for each in numbered(held)]
    _, here = run(constants(), fresh_state(constants()), numbered(held))
    _, later = run(constants(), fresh_state(constants()), there)
    assert [(one.verdict, one.findings, one.evidence) for one in here] == [
        (one.verdict, one.findings, one.evidence) for one in later
    ]


@briefly
@given(held=contents)
def test_rows_of_an_earlier_round_count_nowhere(held: list[list[LedgerRow]]):
    second = fresh_state(constants(), first_epoch=100)
    state, analyses = run(constants(), second, numbered(held))
    assert all(track == Track(*UNTOUCHED) for track in state.canary[0].values())
    assert {one.verdict for one in analyses} == {Verdict.INCONCLUSIVE}


# --- what comes out ---


@briefly
@given(held=contents)
def test_a_pass_lacks_nothing_a_failure_has_findings_and_the_rest_says_what_it_lacks(held: list[list[LedgerRow]]):
    for analysis in run(constants(), fresh_state(constants()), numbered(held))[1]:
        acts = analysis.effect in (Effect.ROLLBACK, Effect.PAUSE)
        expected = Verdict.FAIL if acts else Verdict.INCONCLUSIVE if analysis.lacking else Verdict.PASS
        assert analysis.verdict is expected
        judged_streams = [evidence.stream for evidence in analysis.evidence if evidence.guard == "delivery"]
        assert judged_streams == list(STREAMS)


@steady
@given(
    held=st.lists(st.lists(st.tuples(st.sampled_from(STREAMS), st.integers(0, 50 * UNIT)), max_size=5), max_size=10),
    failed=st.lists(st.integers(0, 700), max_size=3),
)
def test_two_failed_units_of_a_stream_never_convict_whatever_else_happens(
    held: list[list[tuple[str, int]]], failed: list[int]
):
    """At most 2000 milli-units fail in each stream, spread over the slots, among any number that are delivered."""
    judged = Judged()
    left = dict.fromkeys(STREAMS, 2 * UNIT)
    for some in held:
        batch = []
        for at, (stream, good) in enumerate(some):
            bad = min(left[stream], failed[at] if at < len(failed) else UNIT)
            left[stream] -= bad
            batch.append(LedgerRow(1, "canary", stream, bad, bad + good))
        assert judged.after(*batch).verdict is not Verdict.FAIL


def test_the_control_never_convicts_the_canary():
    judged = Judged()
    for _ in range(5):
        analysis = judged.after(*rows_for(CRITICAL_EVENTS, 500, 500, arm="control"))
        assert analysis.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("stream", STREAMS)
def test_each_stream_convicts_on_its_own(stream: str):
    analysis = Judged().after(*rows_for(STREAMS, 0, 100), row(20, 20, stream))
    assert [finding.stream for finding in analysis.findings] == [stream]
    assert analysis.verdict is Verdict.FAIL


def test_by_event_the_types_convict_together_through_the_pooled_stream():
    judged = Judged(constants(960, UnitKind.EVENT))
    analysis = judged.after(*rows_for(CRITICAL_EVENTS, 1, 3), row(5, 13, POOLED))
    assert [finding.stream for finding in analysis.findings] == [POOLED]


def test_the_worst_finding_speaks_first_and_a_plain_block_last():
    judged = Judged()
    judged.after(*rows_for(CRITICAL_EVENTS, 0, 15_021))
    analysis = judged.after(row(900, 900), row(30, 60, CRITICAL_EVENTS[1]))
    assert [(finding.stream, finding.rule) for finding in analysis.findings] == [
        (STARTED, Rule.SEQUENTIAL),
        (CRITICAL_EVENTS[1], Rule.SEQUENTIAL),
        (STARTED, Rule.BLOCK),
    ]


def test_a_conviction_stands_in_each_slot_until_the_evidence_is_gone():
    judged = Judged()
    assert judged.after(row(3, 3)).verdict is Verdict.FAIL
    assert judged.after().verdict is Verdict.FAIL
    assert judged.after(row(0, 200)).verdict is Verdict.INCONCLUSIVE


def test_units_that_are_still_open_delay_a_conviction():
    judged = Judged()
    assert judged.after(row(3, 3), waiting={STARTED: 10}).verdict is Verdict.INCONCLUSIVE
    assert judged.after().verdict is Verdict.FAIL


def test_by_event_those_that_are_open_in_any_type_delay_the_pooled_stream_too():
    judged = Judged(constants(960, UnitKind.EVENT))
    assert judged.after(row(3, 3, POOLED), waiting=dict.fromkeys(CRITICAL_EVENTS, 2)).verdict is Verdict.INCONCLUSIVE
    assert judged.after().verdict is Verdict.FAIL


def test_an_epoch_more_forgets_no_failure():
    judged = Judged()
    judged.after(row(2, 2), epoch=1)
    assert judged.after(row(1, 1, epoch=2), epoch=2).verdict is Verdict.FAIL


# --- replay ---


@pytest.mark.parametrize("kind", [UnitKind.EVENT, UnitKind.USER_10M])
def test_a_known_trace_ends_in_the_known_state(kind: UnitKind):
    """The by-event form of this trace was followed slot by slot beside an independent reference of the procedure."""
    state, analyses = run(constants(960, kind), fresh_state(constants(960, kind)), trace(400, kind))
    known = {
        UnitKind.EVENT: ("25f66e8eb957ad3e86dd13c20b48038d", [1_023_370, -312_394, -1_610_976, -5_532_582], POOLED),
        UnitKind.USER_10M: ("4b6eb159ae92ac98c9dca3179baaf55f", [8_255_462, -85_012, -463_546, -1_339_446], LATER),
    }
    digest, evidence, stream = known[kind]
    assert state.canary[0][stream].evidence[:4] == evidence
    assert state.digest() == digest
    assert {analysis.verdict for analysis in analyses} == {Verdict.INCONCLUSIVE}


@briefly
@given(held=contents, data=st.data())
def test_a_memory_saved_and_loaded_at_any_slot_goes_on_as_if_nothing_had_happened(
    held: list[list[LedgerRow]], data: st.DataObject
):
    slots = numbered(held)
    at = data.draw(st.integers(0, len(slots)))
    straight = run(constants(), fresh_state(constants()), slots)
    before, first = run(constants(), fresh_state(constants()), slots[:at])
    reread = from_canonical(constants().canonical())
    after, rest = run(reread, state_from(before.canonical()), slots[at:])
    assert (after, [*first, *rest]) == straight
    assert after.digest() == straight[0].digest()


@pytest.mark.parametrize("kind", UnitKind)
def test_a_memory_saved_after_every_single_slot_stays_identical(kind: UnitKind):
    frozen = constants(975, kind)
    straight = saved = fresh_state(frozen)
    for each in trace(120, kind, failing=60):
        straight, first = judge(frozen, straight, each)
        saved, second = judge(from_canonical(frozen.canonical()), state_from(saved.canonical()), each)
        assert first == second
        assert straight == saved
    assert straight.digest() == saved.digest()


REPLAY = """
import json, sys
from controller.domain.judge.constants import from_canonical
from controller.domain.judge.judge import judge
from controller.domain.judge.state import state_from
from controller.domain.ledger import LedgerRow, Slot, gauges_from
stored = json.load(sys.stdin)
constants, state, verdicts = from_canonical(stored["constants"]), state_from(stored["state"]), []
for seq, closed_ms, epoch, weight, rows, gauges in stored["slots"]:
    slot = Slot(seq, closed_ms, epoch, weight, tuple(LedgerRow(*row) for row in rows), gauges_from(gauges))
    state, analysis = judge(constants, state, slot)
    verdicts.append(analysis.verdict.value)
print(json.dumps([constants.digest(), state.digest(), verdicts]))
"""


def test_another_process_replays_the_same_bits_from_stored_numbers():
    frozen = constants(975)
    slots = trace(200, UnitKind.USER_10M, failing=80)
    middle, _ = run(frozen, fresh_state(frozen), slots[:90])
    end, analyses = run(frozen, middle, slots[90:])
    stored = {
        "constants": frozen.canonical(),
        "state": middle.canonical(),
        "slots": [
            [s.seq, s.closed_ms, s.epoch, s.weight, [list(row) for row in s.rows], s.gauges.plain()] for s in slots[90:]
        ],
    }
    told = subprocess.run(
        [sys.executable, "-c", REPLAY],
        input=json.dumps(stored),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"},
        timeout=60,
    )
    verdicts = [analysis.verdict.value for analysis in analyses]
    assert json.loads(told.stdout) == [frozen.digest(), end.digest(), verdicts]
    assert "fail" in verdicts
