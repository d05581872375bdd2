"""When a repeat is kept quiet, when a failure is tried again, and when it is given up."""

import pytest

from controller.domain.deliveries import GIVE_UP_MS, Placed, Result, State, after, place
from controller.domain.notices import CLEARED, RAISED

QUIET = 1_000


@pytest.mark.parametrize(
    ("kind", "deferred", "told_ms", "placed"),
    [
        (RAISED, None, None, Placed(State.WAITING, 5_000)),
        (RAISED, None, 4_000, Placed(State.WAITING, 5_000)),
        (RAISED, None, 4_001, Placed(State.WAITING, 5_001)),
        (RAISED, (RAISED, 5_400), 4_400, Placed(State.WAITING, 5_400, silences=True)),
        (CLEARED, (RAISED, 5_400), 4_400, Placed(State.QUIET, 5_000, silences=True)),
        ("rollout.rollback", None, 4_999, Placed(State.WAITING, 5_000)),
        ("flag.changed", None, 4_500, Placed(State.WAITING, 5_500)),
    ],
    ids=["first", "long ago", "again soon", "and again", "undone", "acts are always told", "flags that change often"],
)
def test_where_a_notice_goes(kind: str, deferred: tuple[str, int] | None, told_ms: int | None, placed: Placed) -> None:
    assert place(kind, deferred, told_ms, QUIET, 5_000) == placed


def test_without_a_quiet_time_everything_is_told() -> None:
    assert place(RAISED, None, 4_999, 0, 5_000) == Placed(State.WAITING, 5_000)


def test_pauses_grow_up_to_a_quarter_of_an_hour() -> None:
    pauses = [after(Result("no"), attempt, 0, 0)[1] for attempt in range(1, 9)]
    assert pauses == [5_000, 15_000, 45_000, 135_000, 405_000, 900_000, 900_000, 900_000]
    assert after(Result("no"), 1_000_000, 0, 0) == (State.WAITING, 900_000)


def test_what_is_taken_is_delivered_however_late() -> None:
    assert after(Result(), 90, 0, 2 * GIVE_UP_MS) == (State.DELIVERED, 2 * GIVE_UP_MS)


def test_after_a_day_it_is_given_up() -> None:
    assert after(Result("no"), 90, 0, GIVE_UP_MS - 1)[0] is State.WAITING
    assert after(Result("no"), 90, 0, GIVE_UP_MS)[0] is State.DEAD


def test_a_refusal_is_tried_three_times() -> None:
    assert [after(Result("404", refused=True), n, 0, 0)[0] for n in (1, 2, 3)] == ["waiting", "waiting", "dead"]


@pytest.mark.parametrize(("asked", "pause"), [(1, 5_000), (60_000, 60_000), (10**12, 3_600_000)])
def test_a_channel_that_asks_for_a_longer_pause_gets_it_up_to_an_hour(asked: int, pause: int) -> None:
    assert after(Result("429", after_ms=asked), 1, 0, 0) == (State.WAITING, pause)
