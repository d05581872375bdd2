"""The judge in a client: the same test on the client's own outcomes, with alpha shared out over all clients.

Source: the lines of a rollout's guards are ln(1/alpha') for their share alpha' of alpha (Ville). A client among n may
use a n-th of it, so each of its lines is higher by ln(n), and all clients together go back to the control without a
reason no more often than the rollout's alpha says. What has no such line (the plain rules on blocks and on the last
units, silence) is left to the controller, and so is what needs other clients' outcomes.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from controller.domain.judge import at_least, scope
from controller.domain.judge.constants import Constants, Promotion, Silence, from_canonical
from controller.domain.judge.findings import Effect, Finding
from controller.domain.judge.points import line
from controller.domain.judge.reading import read
from controller.domain.judge.state import JudgeState
from controller.domain.ledger import Slot

#: More than any evidence, and than any number of units.
_NEVER = 2**62
#: Clients are counted up to this; a line is higher by ln(n), so more would hardly change it.
_MOST_CLIENTS = 10_000_000


@lru_cache(maxsize=256)
def local_constants(text: str) -> str | None:
    """What of a rollout's constants (in canonical form) clients judge by; None where no guard rolls back by a rate.

    Raises:
        UnknownConstants: they were frozen by another release.
    """
    constants = from_canonical(text)
    tests = tuple(
        replace(
            test,
            proofs=(),
            proof_scores=(),
            proof_line=0,
            streams=tuple(replace(lines, block=_NEVER) for lines in test.streams),
        )
        for test in constants.tests
        if test.action == Effect.ROLLBACK
    )
    if not tests:
        return None
    return replace(
        constants,
        tests=tests,
        margins=(),
        promotion=Promotion((), 1, (), (), 0, 0),
        silence=Silence((), 0, (), 0),
        min_users=0,
        min_samples=0,
    ).canonical()


@lru_cache(maxsize=64)
def shared_out(text: str, clients: int) -> Constants:
    """These constants for one of so many clients.

    Raises:
        UnknownConstants: they were frozen in a form that this release does not know.
    """
    constants, more = from_canonical(text), line(Fraction(1, min(max(clients, 1), _MOST_CLIENTS)))
    tests = (
        replace(
            test,
            streams=tuple(
                replace(lines, lines=tuple(needed + more for needed in lines.lines)) for lines in test.streams
            ),
        )
        for test in constants.tests
    )
    return replace(constants, tests=tuple(tests))


def judge_own(constants: Constants, state: JudgeState, slot: Slot) -> Finding | None:
    """Step over one slot of this client's own outcomes; the finding that convicts the canary, if there is one.

    `state` is changed in place. What the control shares is held for five minutes here as well.
    """
    reading = read(slot, state.first_epoch, fresh=slot.boundary > state.boundary)
    state.seq, state.boundary = slot.seq, max(slot.boundary, state.boundary)
    found = scope.narrow(constants, state, reading, at_least.take(constants, state, reading))
    convicting = [finding for finding in found if finding.effect is Effect.ROLLBACK]
    return min(convicting, key=lambda finding: finding.rank, default=None)
