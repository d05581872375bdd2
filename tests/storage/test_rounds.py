"""Rounds: each start of a rollout with its end, its label, and how often the judge was wrong."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from controller.domain.plans import Mode
from controller.domain.rollouts import Phase, Rollout
from controller.domain.tallies import Counts
from controller.storage import rounds
from controller.storage.database import Database
from controller.storage.rounds import Errors, Round
from tests.domain.builders import plan, rollout

DAY_MS = 86_400_000
BEGUN = 1_700_000_000_000
CONTROL = Counts(attempts=1_000, delivered=900, failed=60, abandoned=40)


def begin(database: Database, key: str = "r", number: int = 1, at_ms: int = BEGUN, **fields: Any) -> Rollout:
    """A round that has begun."""
    facts = {"epoch": 4, "constants": "c0", "started_by": "ann", "phase": Phase.PROGRESSING, **fields}
    found = rollout(key=key, round=number, stage_started_ms=at_ms, **facts)
    with database.write() as connection:
        rounds.begin(connection, found, 9, CONTROL)
    return found


def end(
    database: Database, found: Rollout, at_ms: int, actor: str = "judge", phase: Phase = Phase.ROLLING_BACK
) -> None:
    """The same, ended."""
    ended = replace(found, phase=phase, detected_ms=at_ms - 5, decided_ms=at_ms)
    with database.write() as connection:
        rounds.note_end(connection, ended, actor, at_ms)


def label(database: Database, key: str = "r", number: int = 1, *, true: bool) -> None:
    with database.write() as connection:
        [found] = [one for one in rounds.of_rollout(connection, key) if one.round == number]
        rounds.label(connection, found, true=true, actor="bob", reason="looked", at_ms=BEGUN + 1)


def latest(database: Database, key: str = "r") -> Round | None:
    with database.read() as connection:
        return rounds.latest(connection, key)


def errors(database: Database, now_ms: int) -> Errors:
    with database.read() as connection:
        return rounds.errors(connection, now_ms)


def test_a_round_says_where_it_begins_and_what_it_is_judged_by(database: Database) -> None:
    begin(database, plan=plan(mode=Mode.OBSERVE))
    expected = Round("r", 1, "f", "unified", 9, 4, "c0", "observe", "ann", BEGUN, control_failed=60, control_total=960)
    assert latest(database) == expected
    assert latest(database, "another") is None


def test_a_round_begins_once(database: Database) -> None:
    begin(database)
    with pytest.raises(IntegrityError):
        begin(database)


def test_the_newest_round_comes_last_and_each_keeps_its_own_end(database: Database) -> None:
    end(database, begin(database), BEGUN + 100)
    begin(database, number=2, at_ms=BEGUN + 200)
    with database.read() as connection:
        first, second = rounds.of_rollout(connection, "r")
    assert (first.ended_ms, first.ended_as, first.ended_by) == (BEGUN + 100, "rolling_back", "judge")
    assert (first.detected_ms, first.decided_ms, first.verified_ms) == (BEGUN + 95, BEGUN + 100, None)
    assert (second.round, second.ended_ms) == (2, None)
    assert latest(database) == second


def test_a_verified_rollback_keeps_how_it_was_verified(database: Database) -> None:
    found = begin(database)
    end(database, found, BEGUN + 100)
    verified = replace(found, phase=Phase.ROLLED_BACK, verified_ms=BEGUN + 300)
    with database.write() as connection:
        rounds.note_verified(connection, verified, {"confirmed": 3})
    last = latest(database)
    assert last is not None
    assert (last.ended_as, last.ended_ms, last.verified_ms) == ("rolled_back", BEGUN + 100, BEGUN + 300)
    assert last.verification == {"confirmed": 3}


def test_a_label_can_be_thought_better_of(database: Database) -> None:
    end(database, begin(database), BEGUN + 100)
    label(database, true=False)
    label(database, true=True)
    last = latest(database)
    assert last is not None
    assert (last.label, last.labelled_by, last.label_reason, last.labelled_ms) == (True, "bob", "looked", BEGUN + 1)


def test_nothing_was_wrong_before_anything_ran(database: Database) -> None:
    assert errors(database, BEGUN) == Errors(0, 0, 0, 0)
    assert errors(database, BEGUN).false_per_100_days is None


def test_false_rollbacks_are_counted_per_100_rollout_days(database: Database) -> None:
    for number, said in enumerate((True, False, None), start=1):
        end(database, begin(database, "a", number), BEGUN + DAY_MS)
        if said is not None:
            label(database, "a", number, true=said)
    end(database, begin(database, "b"), BEGUN + DAY_MS, phase=Phase.PROMOTED)
    begin(database, "c", at_ms=BEGUN + DAY_MS)  # still live
    found = errors(database, BEGUN + 2 * DAY_MS)
    assert found == Errors(rollbacks=3, false=1, unlabelled=1, live_ms=5 * DAY_MS)
    assert found.false_per_100_days == 20


def test_a_persons_rollback_is_no_error_of_the_judge(database: Database) -> None:
    end(database, begin(database), BEGUN + DAY_MS, actor="ann")
    label(database, true=False)
    assert errors(database, BEGUN + DAY_MS) == Errors(0, 0, 0, DAY_MS)


def test_rounds_that_were_only_observed_do_not_make_the_judge_look_better(database: Database) -> None:
    end(database, begin(database, plan=plan(mode=Mode.OBSERVE)), BEGUN + 50 * DAY_MS, phase=Phase.PROMOTED)
    assert errors(database, BEGUN + 60 * DAY_MS) == Errors(0, 0, 0, 0)
