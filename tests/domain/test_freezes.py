"""Freeze windows: what they hold, and what they never hold."""

from dataclasses import replace

import pytest

from controller.domain.decisions import circumstances_from, circumstances_of, decide
from controller.domain.errors import Invalid
from controller.domain.freezes import Active, Entering, Freeze, Held, Window, held
from controller.domain.judge.findings import Analysis, Effect, Finding, Rule, Verdict
from controller.domain.rollouts import Action, Phase, Rollout, after
from controller.domain.scopes import Scope
from tests.domain.builders import NOW, rollout

DAY = 86_400_000
FROZEN = Held("freeze 'year-end' until 2027-01-02 08:00:00 UTC: people are away", until_ms=NOW + DAY)
PASSED = Analysis(1, Verdict.PASS)


def at(phase: Phase, stage: int = 0) -> Rollout:
    """A rollout in a stage that has had its time."""
    paused_ms = NOW if phase is Phase.PAUSED else None
    draft = rollout(phase=phase, stage=stage, stage_started_ms=NOW, paused_ms=paused_ms)
    return replace(draft, weight=draft.plan.weight_of(stage))


def freeze(key: str = "f", until_ms: int = NOW + DAY, **more: object) -> Active:
    return Active(Freeze(key, "why", window=Window(NOW, until_ms), **more), until_ms)  # type: ignore[arg-type]


def test_the_freeze_that_lasts_longest_speaks_and_one_that_ramps_down_is_enough() -> None:
    found = held([freeze("short", NOW + DAY, entering=Entering.RAMP_DOWN), freeze("long", NOW + 2 * DAY)], "any")
    assert found.words.startswith("freeze 'long' until ")
    assert found.ramps
    assert held([freeze(scope=Scope(("chat.*",)))], "mail") == Held()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"key": "a b"}, "key"),
        ({"reason": " "}, "reason"),
        ({"window": None}, "from_ms"),
        ({"cron": "0 0 * * *"}, "from_ms"),
        ({"window": None, "cron": "0 0 * * *", "lasts_ms": 0}, "lasts"),
        ({"window": None, "cron": "0 0 * * *", "lasts_ms": 32 * DAY}, "lasts"),
        ({"window": Window(NOW, NOW)}, "until_ms"),
        ({"window": Window(NOW, NOW + 401 * DAY)}, "until_ms"),
    ],
)
def test_what_does_not_fit_is_refused_by_field(fields: dict[str, object], named: str) -> None:
    with pytest.raises(Invalid) as refused:
        Freeze(**{"key": "f", "reason": "why", "window": Window(NOW, NOW + DAY), **fields})  # type: ignore[arg-type]
    assert refused.value.field == named


def act(analysis: Analysis, phase: Phase = Phase.PROGRESSING, frozen: Held = FROZEN, stage: int = 0) -> Action:
    return decide(analysis, circumstances_of(at(phase, stage), NOW + DAY, frozen=frozen)).act


def test_a_freeze_holds_what_is_proven_and_lets_it_go_on_afterwards() -> None:
    assert act(PASSED) is Action.HOLD
    assert act(PASSED, frozen=Held()) is Action.ADVANCE


def test_a_freeze_never_holds_bad_news() -> None:
    bad = Finding("delivery", Rule.SEQUENTIAL, "x", Effect.ROLLBACK)
    for phase in (Phase.PROGRESSING, Phase.PAUSED):
        for ramps in (False, True):
            frozen = Held(FROZEN.words, ramps, FROZEN.until_ms)
            assert act(Analysis(1, Verdict.FAIL, (bad,)), phase, frozen, stage=1) is Action.ROLLBACK


def test_one_that_ramps_down_takes_the_share_back_once() -> None:
    ramping = Held(FROZEN.words, True, FROZEN.until_ms)
    assert act(PASSED, frozen=ramping, stage=1) is Action.RAMP_DOWN
    assert act(Analysis(1, Verdict.INCONCLUSIVE), Phase.PAUSED, ramping, stage=1) is Action.RAMP_DOWN
    assert act(PASSED, frozen=ramping, stage=0) is Action.HOLD


def test_ramped_down_it_is_in_the_first_stage_with_a_new_epoch_and_stays_paused() -> None:
    for phase in (Phase.PROGRESSING, Phase.PAUSED):
        before = at(phase, stage=1)
        moved = after(before, Action.RAMP_DOWN, NOW + 5)
        assert (moved.stage, moved.weight, moved.epoch) == (0, moved.plan.weight_of(0), before.epoch + 1)
        assert (moved.phase, moved.stage_started_ms) == (phase, NOW + 5)
        assert (moved.paused_ms is not None) is (phase is Phase.PAUSED)


def test_circumstances_are_stored_as_they_were_and_as_before_where_nothing_is_frozen() -> None:
    frozen, free = (circumstances_of(at(Phase.PROGRESSING), NOW, frozen=one) for one in (FROZEN, Held()))
    assert circumstances_from(frozen.plain()) == frozen
    assert circumstances_from(free.plain()) == free
    assert "frozen" not in free.plain()
