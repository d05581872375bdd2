"""The delivery guard: a sequential test that may look after every event, and the plain 95 % rule as its backstop."""

from __future__ import annotations

from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Evidence, Finding, Rule
from controller.domain.judge.state import StreamState
from controller.domain.tallies import Tally

#: The name of the guard's findings.
DELIVERY = "delivery_success"


def restart(stream: StreamState) -> None:
    """Forget the healthy past: an alternative whose evidence is used up begins anew (at most once each 10 s)."""
    for j, evidence in enumerate(stream.evidence):
        if evidence <= 0:
            stream.evidence[j] = stream.failed[j] = stream.total[j] = 0


def take(constants: Constants, name: str, stream: StreamState, tally: Tally, open_units: int) -> list[Finding]:
    """Enter one slot's milli-units of a stream and say what they prove; `stream` is changed in place."""
    good = tally.total - tally.failed
    for j, (failed, delivered) in enumerate(constants.scores):
        stream.evidence[j] += (tally.failed * failed + good * delivered) // 1000
        stream.failed[j] += tally.failed
        stream.total[j] += tally.total
    return [*_sequential(constants, name, stream, open_units), *_block(constants, name, stream, tally)]


def _sequential(constants: Constants, name: str, stream: StreamState, open_units: int) -> list[Finding]:
    """Evidence beyond the line convicts, where more than 5 % and more than two whole units failed.

    Units still open count as successes until they speak: those that fail fast would be overrepresented otherwise.
    """
    for j, line in enumerate(constants.lines[name]):
        score = stream.evidence[j] + open_units * constants.scores[j][1]
        failed, total = stream.failed[j], stream.total[j]
        if score >= line and 20 * failed > total and failed > constants.least_failed:
            return [Finding(DELIVERY, Rule.SEQUENTIAL, name, failed, total, score, line, open_units)]
    return []


def _block(constants: Constants, name: str, stream: StreamState, tally: Tally) -> list[Finding]:
    """The plain rule on consecutive blocks: a full block below 95.0 % convicts, whatever the test says."""
    stream.block_failed += tally.failed
    stream.block_total += tally.total
    if stream.block_total < constants.blocks[name]:
        return []
    failed, total = stream.block_failed, stream.block_total
    stream.block_failed = stream.block_total = 0
    return [Finding(DELIVERY, Rule.BLOCK, name, failed, total)] if 20 * failed > total else []


def standing(constants: Constants, name: str, stream: StreamState, open_units: int) -> Evidence:
    """The alternative of a stream that is nearest to its line."""
    scores = [stream.evidence[j] + open_units * score[1] for j, score in enumerate(constants.scores)]
    lines = constants.lines[name]
    near = max(range(len(lines)), key=lambda j: max(0, 1000 * scores[j] // lines[j]))
    return Evidence(scores[near], lines[near], stream.failed[near], stream.total[near])
