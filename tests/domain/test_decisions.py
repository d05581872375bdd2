"""From a verdict to an act: the whole table."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from controller.domain.decisions import (
    Agreement,
    Choice,
    Circumstances,
    circumstances_from,
    circumstances_of,
    decide,
    why_held,
)
from controller.domain.judge.findings import Analysis, Effect, Finding, Lack, Rule, Verdict
from controller.domain.plans import Approval, Mode, Otherwise, Stage
from controller.domain.rollouts import LIVE, TRANSITIONS, Action, Phase, after
from tests.domain.builders import MINUTE, NOW, plan, rollout

BOTH = (False, True)
#: What else can be the case, one thing at a time.
ELSE: tuple[dict[str, Any], ...] = (
    {},
    {"instances_behind": 2},
    {"agreement": Agreement.NEEDED},
    {"agreement": Agreement.GIVEN},
    {"out_of_patience": True},
    {"killed": True},
)
#: The circumstances of a live rollout that a verdict meets.
EVERY = [Circumstances(phase, baked, last, **also) for phase, baked, last, also in product(LIVE, BOTH, BOTH, ELSE)]


def said(verdict: Verdict, effect: Effect | None = None, *lacking: str) -> Analysis:
    """An analysis with this verdict, and a finding of this effect."""
    findings = (Finding("delivery", Rule.SEQUENTIAL, "a", effect),) if effect else ()
    return Analysis(1, verdict, findings, tuple(Lack(text, text) for text in lacking))


BROKEN = said(Verdict.FAIL, Effect.ROLLBACK)
WORRIED = said(Verdict.FAIL, Effect.PAUSE)
PASSED, OPEN = said(Verdict.PASS), said(Verdict.INCONCLUSIVE)


def seen(**fields: Any) -> Circumstances:
    return Circumstances(**{"phase": Phase.PROGRESSING, "baked": True, "last_stage": False, **fields})


def act(analysis: Analysis, circumstances: Circumstances) -> Action:
    return decide(analysis, circumstances).act


@pytest.mark.parametrize("circumstances", EVERY, ids=str)
def test_a_failure_acts_in_every_live_phase_whatever_else_is_true(circumstances: Circumstances):
    assert act(BROKEN, circumstances) is Action.ROLLBACK
    paused = circumstances.phase is Phase.PAUSED
    assert act(WORRIED, circumstances) is (Action.HOLD if paused else Action.PAUSE)


@pytest.mark.parametrize("circumstances", EVERY, ids=str)
@pytest.mark.parametrize("effect", [None, Effect.HOLD, Effect.ALERT])
def test_inconclusive_never_promotes_and_never_advances(circumstances: Circumstances, effect: Effect | None):
    tired = circumstances.out_of_patience and circumstances.phase is Phase.PROGRESSING and not circumstances.killed
    expected = Action.PAUSE if tired else Action.HOLD
    assert act(said(Verdict.INCONCLUSIVE, effect), circumstances) is expected


@pytest.mark.parametrize("circumstances", EVERY, ids=str)
def test_a_pass_moves_on_only_when_progressing_baked_agreed_and_with_every_instance_up_to_date(
    circumstances: Circumstances,
):
    free = circumstances.phase is Phase.PROGRESSING and circumstances.baked
    free = free and not circumstances.instances_behind and not circumstances.killed
    onward = Action.ASK if circumstances.agreement is Agreement.NEEDED else Action.ADVANCE
    if circumstances.last_stage:
        onward = Action.PROMOTE
    assert act(PASSED, circumstances) is (onward if free else Action.HOLD)


@pytest.mark.parametrize("circumstances", EVERY, ids=str)
@pytest.mark.parametrize("analysis", [BROKEN, WORRIED, PASSED, OPEN], ids=["broken", "worried", "passed", "open"])
def test_whatever_is_decided_the_life_cycle_allows(analysis: Analysis, circumstances: Circumstances):
    action = act(analysis, circumstances)
    assert action is Action.HOLD or (circumstances.phase, action) in TRANSITIONS


@pytest.mark.parametrize("circumstances", EVERY, ids=str)
@pytest.mark.parametrize("analysis", [BROKEN, WORRIED, PASSED, OPEN], ids=["broken", "worried", "passed", "open"])
def test_observing_moves_nothing_and_remembers_what_it_would_have_done(
    analysis: Analysis, circumstances: Circumstances
):
    observed = decide(analysis, replace(circumstances, mode=Mode.OBSERVE))
    assert observed == Choice(Action.HOLD, decide(analysis, circumstances).act)


@pytest.mark.parametrize(
    ("agreement", "otherwise", "proven", "not_proven"),
    [
        (Agreement.ASKED, Otherwise.PAUSE, Action.HOLD, Action.HOLD),
        (Agreement.GIVEN, Otherwise.ROLLBACK, Action.ADVANCE, Action.HOLD),
        (Agreement.LATE, Otherwise.PAUSE, Action.PAUSE, Action.PAUSE),
        (Agreement.LATE, Otherwise.ROLLBACK, Action.ROLLBACK, Action.ROLLBACK),
        (Agreement.LATE, Otherwise.ADVANCE, Action.ADVANCE, Action.HOLD),
    ],
)
def test_an_approval_that_comes_too_late_falls_back_to_its_default_and_advances_only_what_is_proven(
    agreement: Agreement, otherwise: Otherwise, proven: Action, not_proven: Action
):
    assert act(PASSED, seen(agreement=agreement, otherwise=otherwise)) is proven
    assert act(OPEN, seen(agreement=agreement, otherwise=otherwise)) is not_proven


def test_what_bears_on_a_decision_follows_from_the_rollout_and_the_clock():
    stages = (Stage(100, 10 * MINUTE), Stage(10_000, 10 * MINUTE, Approval(60 * MINUTE, Otherwise.ROLLBACK)))
    started = after(rollout(plan=replace(plan(), stages=stages)), Action.START, NOW)

    def at(minutes: int, of: Any = started) -> Circumstances:
        return circumstances_of(of, NOW + minutes * MINUTE)

    assert (at(9).baked, at(10).baked, at(10).agreement, at(10).otherwise) == (
        False,
        True,
        Agreement.NEEDED,
        Otherwise.ROLLBACK,
    )
    asked = after(started, Action.ASK, NOW + 10 * MINUTE)
    assert [at(minutes, asked).agreement for minutes in (11, 69, 70)] == [
        Agreement.ASKED,
        Agreement.ASKED,
        Agreement.LATE,
    ]
    approved = after(asked, Action.APPROVE, NOW + 20 * MINUTE)
    assert at(500, approved).agreement is Agreement.GIVEN
    assert at(10, after(approved, Action.ADVANCE, NOW)).agreement is Agreement.NONE


def test_patience_begins_after_the_bake_time():
    started = after(rollout(plan=plan(patience_ms=60 * MINUTE)), Action.START, NOW)
    found = [circumstances_of(started, NOW + minutes * MINUTE).out_of_patience for minutes in (10, 69, 70)]
    assert found == [False, False, True]


@pytest.mark.parametrize("circumstances", EVERY[::7], ids=str)
def test_stored_circumstances_are_read_back_exactly(circumstances: Circumstances):
    assert circumstances_from(circumstances.plain()) == circumstances


@pytest.mark.parametrize(
    ("analysis", "fields", "words"),
    [
        (PASSED, {"phase": Phase.PAUSED}, "paused; a person resumes or rolls back"),
        (PASSED, {"killed": True}, "the flag is killed, so nobody sees the canary"),
        (said(Verdict.INCONCLUSIVE, None, "too few", "too bad"), {}, "too few; too bad"),
        (OPEN, {}, "not enough evidence yet"),
        (PASSED, {"instances_behind": 3}, "3 live instance(s) are still on an older revision"),
        (PASSED, {"agreement": Agreement.ASKED}, "the next stage waits for an approval"),
        (PASSED, {"baked": False}, "the bake time is not over"),
    ],
)
def test_a_hold_says_what_it_waits_for(analysis: Analysis, fields: dict[str, Any], words: str):
    assert words in why_held(analysis, seen(**fields))


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("phase", LIVE)
def test_a_version_that_was_not_there_before_begins_the_evidence_anew_before_any_good_news(mode: Mode, phase: Phase):
    fresh = seen(mode=mode, phase=phase, fresh_versions=("2.0",))
    assert {act(analysis, fresh) for analysis in (PASSED, OPEN)} == {Action.OPEN_EPOCH}
    assert decide(BROKEN, fresh).would is Action.ROLLBACK


def test_versions_are_fresh_beside_those_of_the_round_and_never_the_first_ones():
    started = after(rollout(), Action.START, NOW)
    assert circumstances_of(started, NOW, versions=("1", "2")).fresh_versions == ()
    assert circumstances_of(replace(started, versions=("1",)), NOW, versions=("1", "3", "2")).fresh_versions == (
        "2",
        "3",
    )
