"""Silence and skew: canaries that do not speak, arms without traffic, users that do not fit the share."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from controller.domain.bucketing import WHOLE
from controller.domain.durations import clock_text
from controller.domain.guards import PPM
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Effect, Finding, Lack, Rule
from controller.domain.judge.points import Score, scores, times_odds
from controller.domain.judge.reading import Reading, pooled
from controller.domain.judge.state import JudgeState, Quiet
from controller.domain.ledger import Slot, has_concurrent_control
from controller.domain.metrics import REPORTING
from controller.domain.outcomes import Arm
from controller.domain.tallies import UNIT

#: Attempts without any outcome for so long are blind.
BLIND_MS = 300_000
#: Nothing heard of the canary for so long is said to be no traffic.
QUIET_MS = 60_000
#: The canary should have had so many units, going by the control's, before its silence is remarked upon.
_EXPECTED_CANARY = 20

_NAME = "reporting"
_RATIO = "sample_ratio"


def take(constants: Constants, state: JudgeState, reading: Reading) -> list[Finding]:
    """Enter a slot and say what is too quiet or out of proportion; `state` is changed in place."""
    return [
        *_reporting(constants, state.quiet, reading),
        *_blind(constants, state.quiet, reading),
        *_canary_traffic(state.quiet, reading.slot),
        *_ratio(constants, reading.slot),
    ]


def _reporting(constants: Constants, quiet: Quiet, reading: Reading) -> list[Finding]:
    """Canary units that were due and have spoken, counted by the same client, against a half or a tenth of them."""
    if reading.fresh:
        quiet.reporting[:] = [max(0, evidence) for evidence in quiet.reporting]
        if not any(quiet.reporting):
            quiet.silent = quiet.due = 0
    silent, due = reading.tally(Arm.CANARY, REPORTING)
    quiet.silent += silent
    quiet.due += due
    for j, (on_spoken, on_due) in enumerate(constants.silence.reporting):
        quiet.reporting[j] += ((due - silent) * on_spoken + due * on_due) // 1000
    score, line = max(quiet.reporting), constants.silence.reporting_line
    if score < line:
        return []
    counts = (quiet.silent, quiet.due)
    return [Finding(_NAME, Rule.NOT_REPORTING, REPORTING, Effect.ROLLBACK, *counts, score, line)]


def _blind(constants: Constants, quiet: Quiet, reading: Reading) -> list[Finding]:
    """Attempts were made and no outcome of any came for five minutes."""
    now_ms = reading.slot.closed_ms
    outcomes = pooled(reading.sums[Arm.CANARY], constants.outcomes).total
    control = pooled(reading.sums[Arm.CONTROL], constants.outcomes).total
    due = reading.tally(Arm.CANARY, REPORTING).total
    if outcomes:
        quiet.heard_ms, quiet.due_since_ms, quiet.control_since = now_ms, None, 0
        return []
    quiet.control_since += control
    if quiet.heard_ms is None:
        quiet.heard_ms = now_ms
    if due and quiet.due_since_ms is None:
        quiet.due_since_ms = now_ms
    if quiet.due_since_ms is None or now_ms - quiet.due_since_ms < BLIND_MS:
        return []
    return [Finding(_NAME, Rule.BLIND, REPORTING, Effect.ROLLBACK, quiet.silent, quiet.due)]


def _canary_traffic(quiet: Quiet, slot: Slot) -> list[Finding]:
    """The control has had so much traffic that the canary should have had some."""
    if not 0 < slot.weight < WHOLE:
        return []
    expected = quiet.control_since * slot.weight // (WHOLE - slot.weight)
    silent_ms = slot.closed_ms - (quiet.heard_ms or slot.closed_ms)
    if expected < _EXPECTED_CANARY * UNIT or silent_ms < QUIET_MS:
        return []
    return [Finding(_NAME, Rule.NO_CANARY_TRAFFIC, "", Effect.HOLD, 0, expected)]


def no_traffic(state: JudgeState, slot: Slot) -> list[Lack]:
    """Nothing is heard of the canary: nothing is promoted."""
    if state.quiet.heard_ms is None or slot.closed_ms - state.quiet.heard_ms < QUIET_MS:
        return []
    return [Lack("no_traffic", f"no canary outcomes since {clock_text(state.quiet.heard_ms)}")]


def _ratio(constants: Constants, slot: Slot) -> list[Finding]:
    """Distinct users of the present epoch against the configured share, by a mixture of other shares."""
    if not 0 < slot.weight < WHOLE or not has_concurrent_control(slot.weight):
        return []
    canary, control, _ = slot.gauges.users
    points = ratio_scores(slot.weight, constants.silence.ratio_factors)
    score = max(canary * on_canary + control * on_control for on_canary, on_control in points)
    line = constants.silence.ratio_line
    if score < line:
        return []
    users = (UNIT * canary, UNIT * (canary + control))
    return [Finding(_RATIO, Rule.SAMPLE_RATIO, "", Effect.HOLD, *users, score, line)]


@lru_cache(maxsize=1_024)
def ratio_scores(weight: int, factors: tuple[int, ...]) -> tuple[Score, ...]:
    """Points per canary and per control user of each other share; kept, since every slot asks for the same."""
    share = Fraction(weight, WHOLE)
    return scores((times_odds(share, Fraction(factor, PPM)) for factor in factors), share)
