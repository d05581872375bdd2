"""The guard on one stream: points, restarts, open units, users, blocks, the literal rule."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.guards import Guard, GuardAction
from controller.domain.judge import at_least
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Effect, Evidence, Finding, Rule, Verdict
from controller.domain.judge.reading import read
from controller.domain.judge.state import JudgeState, Track, fresh_state
from controller.domain.metrics import Metric
from controller.domain.tallies import UNIT
from tests.domain.builders import STARTED, Judged, LedgerRow, constants, frozen, row, slot, steady

FROZEN = constants()
LINES = FROZEN.tests[0].streams[0]
BLOCK = LINES.block
THREE = ("0000000a", "0000000b", "0000000c")


def fresh() -> JudgeState:
    return fresh_state(FROZEN)


def take(
    state: JudgeState, failed: int, total: int, waiting: int = 0, *, restart: bool = False, **gauges: Any
) -> list[Finding]:
    """Enter milli-units of the first event type; a failed unit stands for a user of its own unless some are named."""
    waits = {STARTED: waiting} if waiting else None
    found = slot(1, LedgerRow(1, "canary", STARTED, failed, total), waiting=waits, **gauges)
    return at_least.take(FROZEN, state, read(found, 0, fresh=restart))


def track(state: JudgeState) -> Track:
    return state.canary[0][STARTED]


def standing(state: JudgeState, waiting: int) -> Evidence:
    reading = read(slot(1, waiting={STARTED: waiting}), 0, fresh=False)
    return next(at_least.standing(FROZEN, state, reading))


def with_evidence(*evidence: int, failed: int = 0, total: int = 0, users: tuple[str, ...] = ()) -> JudgeState:
    """A memory with this evidence for each alternative of the first event type."""
    state = fresh()
    held = track(state)
    held.evidence[:] = list(evidence) if len(evidence) > 1 else [*evidence] * 6
    held.failed[:], held.total[:] = [failed] * 6, [total] * 6
    held.users = [list(users) for _ in range(6)]
    return state


tallies = st.integers(0, 60_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
histories = st.lists(tallies, max_size=8)


def after(history: list[tuple[int, int]]) -> JudgeState:
    state = fresh()
    for failed, total in history:
        take(state, failed, total, restart=True)
    return state


@steady
@given(history=histories, batch=tallies, more=st.integers(0, 60_000))
def test_evidence_never_falls_when_more_of_the_same_batch_has_failed(
    history: list[tuple[int, int]], batch: tuple[int, int], more: int
):
    milder = after(history)
    worse = deepcopy(milder)
    failed, total = batch
    found = take(milder, failed, total), take(worse, min(total, failed + more), total)
    assert all(w >= m for w, m in zip(track(worse).evidence, track(milder).evidence, strict=True))
    assert bool(found[1]) >= bool(found[0])


@steady
@given(history=histories, total=st.integers(1, 60_000))
def test_a_batch_without_a_failure_only_ever_lowers_evidence(history: list[tuple[int, int]], total: int):
    state = after(history)
    before = track(state).evidence[:]
    take(state, 0, total)
    assert all(now < then for now, then in zip(track(state).evidence, before, strict=True))


@steady
@given(history=histories, waiting=st.integers(0, 500))
def test_open_units_count_as_delivered_until_they_speak(history: list[tuple[int, int]], waiting: int):
    state = after(history)
    spoken = deepcopy(state)
    take(spoken, 0, UNIT * waiting)
    if waiting:
        assert standing(state, waiting).score in track(spoken).evidence
    assert standing(state, 0).score in track(state).evidence


def test_those_that_fail_fast_do_not_convict_while_many_others_are_still_open():
    assert take(fresh(), 3_000, 3_000, waiting=0)
    assert not take(fresh(), 3_000, 3_000, waiting=50)
    finding = take(fresh(), 30_000, 30_000, waiting=5)[0]
    assert (finding.open_units, finding.failed, finding.total) == (5, 30_000, 30_000)
    assert finding.score >= finding.line


@steady
@given(history=histories)
def test_a_restart_forgets_exactly_the_alternatives_whose_evidence_is_used_up(history: list[tuple[int, int]]):
    held = track(after(history))
    before = deepcopy(held)
    at_least.restart(held)
    for j, evidence in enumerate(before.evidence):
        kept = evidence > 0
        assert held.evidence[j] == (evidence if kept else 0)
        assert held.failed[j] == (before.failed[j] if kept else 0)
        assert held.total[j] == (before.total[j] if kept else 0)
        assert held.users[j] == (before.users[j] if kept else [])
    assert held.block == before.block


@steady
@given(history=histories, batch=tallies)
def test_slots_without_events_change_nothing(history: list[tuple[int, int]], batch: tuple[int, int]):
    busy = after(history)
    quiet = deepcopy(busy)
    for _ in range(3):
        take(quiet, 0, 0, restart=True)
    assert take(quiet, *batch, restart=True) == take(busy, *batch, restart=True)
    assert quiet == busy


def test_evidence_of_exactly_nothing_is_forgotten_too():
    held = Track([0, 1, -1, 0, 1, -1], [5_000] * 6, [90_000] * 6, [["a"]] * 6)
    at_least.restart(held)
    assert (held.evidence, held.failed, held.total) == (
        [0, 1, 0, 0, 1, 0],
        [0, 5_000, 0, 0, 5_000, 0],
        [0, 90_000, 0, 0, 90_000, 0],
    )
    assert held.users == [[], ["a"], [], [], ["a"], []]


@pytest.mark.parametrize(("failed", "convicts"), [(2_000, False), (2_001, True)])
def test_more_than_two_whole_units_must_have_failed(failed: int, convicts: bool):
    assert bool(take(with_evidence(10**9), failed, 3_000)) is convicts


@pytest.mark.parametrize(("failed", "convicts"), [(5_000, False), (5_001, True)])
def test_more_than_five_percent_must_have_failed(failed: int, convicts: bool):
    assert bool(take(with_evidence(10**9), failed, 100_000)) is convicts


def test_another_threshold_asks_for_its_own_share():
    made = frozen(Guard("strict", at_least_ppm=990_000))
    state = fresh_state(made)
    state.canary[0][STARTED].evidence[:] = [10**9] * 6
    for failed, convicts in ((10_000, False), (1, True)):
        rows = LedgerRow(1, "canary", STARTED, failed, 1_000_000 if not convicts else 1)
        found = at_least.take(made, state, read(slot(1, rows), 0, fresh=False))
        assert bool(found) is convicts


def test_evidence_on_the_line_convicts_and_a_micronat_below_it_does_not():
    line, (points, _) = LINES.lines[0], FROZEN.tests[0].scores[0]
    gain = 3_000 * points // 1_000
    for start, convicts in ((line - gain, True), (line - gain - 1, False)):
        assert bool(take(with_evidence(start, *[-(10**9)] * 5), 3_000, 3_000)) is convicts


# --- who failed ---


@pytest.mark.parametrize(("users", "convicts"), [(THREE[:1], False), (THREE[:2], False), (THREE, True)])
def test_failures_of_at_least_three_users_are_needed(users: tuple[str, ...], convicts: bool):
    assert bool(take(fresh(), 9_000, 9_000, failing={STARTED: users}, active=3)) is convicts


def test_the_three_users_may_come_one_by_one():
    state = fresh()
    assert not take(state, 4_000, 4_000, failing={STARTED: THREE[:1]})
    assert not take(state, 1_000, 1_000, failing={STARTED: THREE[:1]})
    assert not take(state, 1_000, 1_000, failing={STARTED: THREE[1:2]})
    assert take(state, 1_000, 1_000, failing={STARTED: THREE[2:]})


@pytest.mark.parametrize(("active", "users", "convicts"), [(2, 2, True), (2, 1, False), (1, 1, True), (0, 1, True)])
def test_where_fewer_users_are_active_as_many_as_there_are_suffice(active: int, users: int, convicts: bool):
    assert bool(take(fresh(), 9_000, 9_000, failing={STARTED: THREE[:users]}, active=active)) is convicts


def test_a_user_who_failed_before_the_restart_does_not_count_after_it():
    state = with_evidence(-1, users=THREE)
    assert not take(state, 9_000, 9_000, restart=True, failing={STARTED: THREE[:2]}, active=8)


def test_where_clients_name_nobody_each_failed_unit_stands_for_a_user():
    state = fresh()
    assert not take(state, 2_000, 2_000, active=8)
    state = fresh()
    assert take(state, 3_000, 3_000, active=8)


# --- the plain rules ---


@pytest.mark.parametrize(("failed", "convicts"), [(BLOCK // 20, False), (BLOCK // 20 + 1, True)])
def test_a_full_block_below_95_percent_convicts_whatever_the_test_says(failed: int, convicts: bool):
    state = with_evidence(-(10**12))
    found = take(state, failed, BLOCK)
    assert [finding.rule for finding in found] == [Rule.BLOCK] * convicts
    assert track(state).block == [0, 0]


def test_a_block_that_is_not_full_convicts_nobody():
    state = with_evidence(-(10**12))
    assert not take(state, BLOCK // 2, BLOCK - 1)
    assert take(state, 0, 1)


def test_a_block_of_one_users_failures_convicts_nobody_either():
    assert not take(with_evidence(-(10**12)), BLOCK // 2, BLOCK, failing={STARTED: THREE[:1]}, active=8)


def test_restarts_do_not_empty_the_block():
    state = fresh()
    for _ in range(BLOCK // UNIT - 1):
        take(state, 0, UNIT, restart=True)
    assert track(state).block[1] == BLOCK - UNIT


def literal(*counts: tuple[int, int], samples: int = 100) -> list[Rule]:
    """What the judge finds when these units fail of those, slot by slot, with `min_samples`."""
    judged = Judged(frozen(Guard("delivery", floor_ppm=955_000), min_samples=samples))
    rules: list[Rule] = []
    for failed, total in counts:
        rules = [finding.rule for finding in judged.after(row(failed, total)).findings]
    return rules


def test_the_literal_rule_is_off_unless_it_is_asked_for():
    assert Rule.RECENT not in literal((6, 110), samples=0)
    assert Rule.RECENT in literal((6, 110))


def test_the_literal_rule_looks_at_the_last_so_many_units_only():
    assert Rule.RECENT not in literal((6, 99))
    assert Rule.RECENT in literal((0, 500), (0, 40), (6, 60))
    assert Rule.RECENT not in literal((0, 500), (6, 60), (0, 110))


def test_at_exactly_95_percent_the_literal_rule_holds():
    assert Rule.RECENT not in literal((5, 100))
    assert Rule.RECENT in literal((51, 1_000), samples=1_000)


def test_the_memory_of_the_literal_rule_is_bounded():
    judged = Judged(frozen(min_samples=1_000_000))
    for _ in range(500):
        judged.after(row(0, 3))
    assert len(judged.track().recent) <= 64
    assert sum(part[1] for part in judged.track().recent) == 500 * 3 * UNIT


# --- several guards ---

WITHIN = "within_100ms/"


def test_latency_and_complete_runs_are_the_same_test_on_other_outcomes():
    judged = Judged(
        frozen(
            Guard("delivery"),
            Guard("speed", Metric.WITHIN, deadline_ms=100, action=GuardAction.PAUSE),
            Guard("complete", Metric.COMPLETENESS, deadline_ms=300_000),
        )
    )
    slow = judged.after(row(0, 20), row(20, 20, WITHIN + STARTED))
    assert [(f.guard, f.stream, f.effect) for f in slow.findings] == [("speed", WITHIN + STARTED, Effect.PAUSE)]
    judged = Judged(judged.constants)
    open_ended = judged.after(row(0, 20), row(20, 20, "completed_5m/run"))
    assert [(f.guard, f.effect) for f in open_ended.findings] == [("complete", Effect.ROLLBACK)]


def test_the_worst_of_several_guards_speaks_for_all():
    judged = Judged(
        frozen(
            Guard("watch", at_least_ppm=990_000, action=GuardAction.ALERT),
            Guard("hold", at_least_ppm=980_000, action=GuardAction.PAUSE),
            Guard("delivery"),
        )
    )
    found = judged.after(row(40, 40)).findings
    assert [finding.guard for finding in found] == ["delivery", "hold", "watch"]


def test_an_alert_alone_does_not_fail_the_stage():
    judged = Judged(
        frozen(Guard("delivery", floor_ppm=960_000), Guard("w", Metric.WITHIN, deadline_ms=5, action=GuardAction.ALERT))
    )
    analysis = judged.after(row(20, 20, "within_5ms/" + STARTED))
    assert (analysis.verdict, analysis.effect) == (Verdict.INCONCLUSIVE, Effect.ALERT)


def test_the_literal_sample_is_counted_per_stream_of_each_guard():
    made: Constants = frozen(min_samples=50)
    assert made.min_samples == 50 * UNIT
