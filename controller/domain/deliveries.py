"""How notices get to their channels: when a repeat is kept quiet, when a failure is tried again and when given up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.domain.notices import may_be_quiet, opposite

#: The first pause after a failure, by how much each next one grows, and the longest one.
_FIRST_MS, _FACTOR, _LONGEST_MS = 5_000, 3, 900_000
#: A channel may ask for a longer pause, up to this.
_MOST_ASKED_MS = 3_600_000
#: What a channel does not take for so long is a dead letter.
GIVE_UP_MS = 86_400_000
#: What a channel refuses (rather than fails to take) is a dead letter after so many attempts.
MOST_REFUSALS = 3
#: A delivery that was begun and not finished within this is begun again: its process is gone, or its channel hangs.
CLAIM_MS = 60_000


class State(StrEnum):
    """waiting; sending (begun); delivered; dead (given up, shown until somebody retries it); quiet (a repeat)."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Result:
    """What a channel made of one attempt.

    Attributes:
        error: empty when it took the message; never holds a secret.
        refused: it says that the message or the key is wrong, so that trying for long is no use.
        after_ms: the pause that it asks for.
    """

    error: str = ""
    refused: bool = False
    after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a new notice goes in a channel's line.

    Attributes:
        state: waiting, or quiet where nobody needs to hear of it.
        due_ms: when it is sent.
        silences: the delivery that waited for the end of the quiet time is not sent any more.
    """

    state: State
    due_ms: int
    silences: bool = False


def place(kind: str, deferred: tuple[str, int] | None, told_ms: int | None, quiet_ms: int, now_ms: int) -> Placed:
    """Where a notice goes, so that a thing that flaps is told once in a while with its newest state.

    Args:
        kind: of the notice.
        deferred: kind and due time of the delivery of the same topic that waits for the end of the quiet time.
        told_ms: when the last one of the same topic and kind was told.
        quiet_ms: how long repeats are quiet; 0 tells everything.
        now_ms: the present.
    """
    if not quiet_ms or not may_be_quiet(kind):
        return Placed(State.WAITING, now_ms)
    if deferred is not None and deferred[0] == opposite(kind):
        return Placed(State.QUIET, now_ms, silences=True)  # what was told last is true again
    if deferred is not None and deferred[0] == kind:
        return Placed(State.WAITING, deferred[1], silences=True)
    if told_ms is not None and now_ms - told_ms < quiet_ms:
        return Placed(State.WAITING, told_ms + quiet_ms)
    return Placed(State.WAITING, now_ms)


def after(result: Result, attempts: int, since_ms: int, now_ms: int) -> tuple[State, int]:
    """What becomes of a delivery after its n-th attempt, and when it is tried next."""
    if not result.error:
        return State.DELIVERED, now_ms
    if now_ms - since_ms >= GIVE_UP_MS or (result.refused and attempts >= MOST_REFUSALS):
        return State.DEAD, now_ms
    pause = min(_LONGEST_MS, _FIRST_MS * _FACTOR ** min(attempts - 1, 10))
    if result.after_ms is not None:
        pause = max(pause, min(result.after_ms, _MOST_ASKED_MS))
    return State.WAITING, now_ms + pause
