"""Whose failure it is: one instance's alone, or the control's as well."""

from __future__ import annotations

from dataclasses import replace

from controller.domain.judge.at_least import is_worse
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Effect, Finding
from controller.domain.judge.reading import Reading
from controller.domain.judge.state import JudgeState, Suspect
from controller.domain.outcomes import Arm
from controller.domain.tallies import UNIT

#: A conviction that the control would share is withheld this long.
SHARED_MS = 300_000
#: "All from one instance": others had enough units to have failed this often as well.
_EXPECTED_ELSEWHERE = 5
#: The canary's failure rate may be this many times the control's where a conviction counts as shared.
_SHARED_RATIO = 2


def narrow(constants: Constants, state: JudgeState, reading: Reading, found: list[Finding]) -> list[Finding]:
    """The findings of the at-least guards, with what they do changed where the failure is not the canary's own.

    Failures that all come from one instance pause and name it. What the control shares is withheld for five minutes,
    then acts and says so. `state` is changed in place.
    """
    _follow(state, reading)
    return _with_control(constants, state, reading, [_with_instance(state, finding) for finding in found])


def _follow(state: JudgeState, reading: Reading) -> None:
    """Follow whether a stream's failures all come from one instance, since the stream was last healthy."""
    if reading.fresh:
        for stream in [name for name in state.suspects if _healthy(state, name)]:
            del state.suspects[stream]
    for stream, apart in reading.slot.gauges.apart.items():
        suspect = state.suspects.setdefault(stream, Suspect(apart.instance))
        suspect.mixed = suspect.mixed or apart.others_failed or apart.instance != suspect.instance
        suspect.failed += apart.failed
        suspect.total += apart.total
        suspect.others += reading.tally(Arm.CANARY, stream).total - apart.total


def _healthy(state: JudgeState, stream: str) -> bool:
    return all(streams[stream].healthy for streams in state.canary if stream in streams)


def _with_instance(state: JudgeState, finding: Finding) -> Finding:
    """A roll-back becomes a pause where one instance alone fails, though others had enough to do."""
    suspect = state.suspects.get(finding.stream)
    if suspect is None or suspect.mixed or finding.effect is not Effect.ROLLBACK:
        return finding
    if suspect.others * suspect.failed < _EXPECTED_ELSEWHERE * UNIT * suspect.total or not suspect.failed:
        return finding
    return replace(finding, instance=suspect.instance, effect=Effect.PAUSE)


def _with_control(constants: Constants, state: JudgeState, reading: Reading, found: list[Finding]) -> list[Finding]:
    """A conviction that the control would share is withheld for five minutes, then acts, and says so."""
    marked = [_shared(constants, state, reading, finding) for finding in found]
    if not any(finding.shared for finding in marked):
        state.shared_since_ms = None
        return marked
    if state.shared_since_ms is None:
        state.shared_since_ms = reading.slot.closed_ms
    if reading.slot.closed_ms - state.shared_since_ms >= SHARED_MS:
        return marked
    return [replace(finding, effect=Effect.HOLD) if finding.shared else finding for finding in marked]


def _shared(constants: Constants, state: JudgeState, reading: Reading, finding: Finding) -> Finding:
    if finding.effect not in (Effect.ROLLBACK, Effect.PAUSE):
        return finding
    at = next(at for at, test in enumerate(constants.tests) if test.guard == finding.guard)
    test, track = constants.tests[at], state.control[at][finding.stream]
    lines = next(lines for lines in test.streams if lines.stream == finding.stream)
    open_units = reading.open(Arm.CONTROL, lines.gauges)
    for j, line in enumerate(lines.lines):
        failed, total = track.failed[j], track.total[j]
        over = track.evidence[j] + open_units * test.scores[j][1] >= line and failed > constants.least_failed
        alike = finding.failed * total <= _SHARED_RATIO * failed * finding.total
        if over and alike and is_worse(failed, total, test.allowed_ppm):
            return replace(finding, shared=True, other_failed=failed, other_total=total)
    return finding
