"""Guards that ask for a rate: a sequential test that may look after every event, and the plain rule as its backstop."""

from __future__ import annotations

from collections.abc import Iterator

from controller.domain.guards import PPM
from controller.domain.judge.constants import AtLeast, Constants, StreamLines
from controller.domain.judge.findings import Effect, Evidence, Finding, Rule
from controller.domain.judge.reading import Reading
from controller.domain.judge.state import JudgeState, Track
from controller.domain.outcomes import Arm
from controller.domain.tallies import UNIT, Tally

_MOST_USERS = 3
_MOST_RECENT = 64


def take(constants: Constants, state: JudgeState, reading: Reading) -> list[Finding]:
    """Enter a slot into every at-least guard and say what it proves; `state` is changed in place."""
    found: list[Finding] = []
    for test, canary, control in zip(constants.tests, state.canary, state.control, strict=True):
        for lines in test.streams:
            track = canary[lines.stream]
            _enter(test, track, reading, Arm.CANARY, lines.stream)
            _enter(test, control[lines.stream], reading, Arm.CONTROL, lines.stream)
            found += _convict(constants, test, lines, track, reading)
    return found


def _enter(test: AtLeast, track: Track, reading: Reading, arm: Arm, stream: str) -> None:
    if reading.fresh:
        restart(track)
    tally = reading.tally(arm, stream)
    if not tally.total:
        return
    failed, good = tally.failed, tally.total - tally.failed
    for j, (on_failure, on_success) in enumerate(test.scores):
        track.evidence[j] += (failed * on_failure + good * on_success) // 1000
        track.failed[j] += failed
        track.total[j] += tally.total
    if failed and arm is Arm.CANARY:
        _note_users(track, reading.failing(stream))


def restart(track: Track) -> None:
    """Forget the healthy past: an alternative whose evidence is used up begins anew (at most once each 10 s)."""
    for j, evidence in enumerate(track.evidence):
        if evidence <= 0 and (evidence or track.total[j]):
            track.evidence[j] = track.failed[j] = track.total[j] = 0
            track.users[j] = []


def _note_users(track: Track, users: tuple[str, ...]) -> None:
    for known in track.users:
        known.extend(user for user in users if user not in known and len(known) < _MOST_USERS)
        del known[_MOST_USERS:]
    fresh = [user for user in users if user not in track.latest]
    track.latest = [*track.latest, *fresh][-_MOST_USERS:]


def _convict(
    constants: Constants, test: AtLeast, lines: StreamLines, track: Track, reading: Reading
) -> Iterator[Finding]:
    """Evidence beyond a line convicts, where more than is allowed and enough units of enough users failed.

    Units still open count as successes until they speak: those that fail fast would be overrepresented otherwise.
    """
    least = reading.least
    open_units = reading.open(Arm.CANARY, lines.gauges)
    for j, line in enumerate(lines.lines):
        score = track.evidence[j] + open_units * test.scores[j][1]
        failed, total = track.failed[j], track.total[j]
        if score >= line and is_worse(failed, total, test.allowed_ppm) and _enough(track.users[j], failed, least):
            yield _finding(test, Rule.SEQUENTIAL, lines.stream, (failed, total), (score, line), open_units)
            break
    tally = reading.tally(Arm.CANARY, lines.stream)
    for rule, part in ((Rule.BLOCK, _block(lines, track, tally)), (Rule.RECENT, _recent(constants, track, tally))):
        if part is not None and is_worse(*part, test.allowed_ppm) and _enough(track.latest, part[0], least):
            yield _finding(test, rule, lines.stream, part)


def is_worse(failed: int, total: int, allowed_ppm: int) -> bool:
    """Whether more than the allowed share of these failed."""
    return PPM * failed > allowed_ppm * total


def _enough(users: list[str], failed: int, least: int) -> bool:
    return failed > UNIT * (least - 1) and len(users) >= least


def _block(lines: StreamLines, track: Track, tally: Tally) -> tuple[int, int] | None:
    """The plain rule on consecutive blocks: a full one below the threshold convicts, whatever the test says."""
    track.block[0] += tally.failed
    track.block[1] += tally.total
    if track.block[1] < lines.block:
        return None
    full = track.block[0], track.block[1]
    track.block[:] = [0, 0]
    return full


def _recent(constants: Constants, track: Track, tally: Tally) -> tuple[int, int] | None:
    """The literal rule over the last `min_samples` units, where it was asked for."""
    if not constants.min_samples:
        return None
    if tally.total:
        track.recent.append([tally.failed, tally.total])
    total = sum(part[1] for part in track.recent)
    while total >= constants.min_samples + (track.recent[0][1] if track.recent else total + 1):
        total -= track.recent.pop(0)[1]
    if len(track.recent) > _MOST_RECENT:  # coarser, so that the memory stays small
        first, second = track.recent[:2]
        track.recent[:2] = [[first[0] + second[0], first[1] + second[1]]]
    return (sum(part[0] for part in track.recent), total) if total >= constants.min_samples else None


def _finding(
    test: AtLeast,
    rule: Rule,
    stream: str,
    counts: tuple[int, int],
    score: tuple[int, int] = (0, 0),
    open_units: int = 0,
) -> Finding:
    return Finding(test.guard, rule, stream, Effect(test.action), *counts, *score, open_units)


def standing(constants: Constants, state: JudgeState, reading: Reading) -> Iterator[Evidence]:
    """Per guard and stream the alternative that is nearest to its line."""
    for test, streams in zip(constants.tests, state.canary, strict=True):
        for lines in test.streams:
            track, open_units = streams[lines.stream], reading.open(Arm.CANARY, lines.gauges)
            scores = [track.evidence[j] + open_units * score[1] for j, score in enumerate(test.scores)]
            near = max(range(len(scores)), key=lambda j: max(0, 1000 * scores[j] // lines.lines[j]))
            yield Evidence(
                test.guard, lines.stream, scores[near], lines.lines[near], track.failed[near], track.total[near]
            )


def above_half(constants: Constants, state: JudgeState) -> list[str]:
    """Streams whose evidence is above half its line where it has grown at all.

    Without traffic a stream stays where it started; guards that only alert hold nothing up.
    """
    return [
        lines.stream
        for test, streams in zip(constants.tests, state.canary, strict=True)
        if test.action != Effect.ALERT
        for lines in test.streams
        if any(
            score > constants.start and 2 * score > line
            for score, line in zip(streams[lines.stream].evidence, lines.lines, strict=True)
        )
    ]
