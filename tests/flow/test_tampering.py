"""Whoever changes a row that a verdict rests on is found out: every table that a replay reads, column by column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from controller.cli.ledgers import Page
from controller.cli.replaying import Report, recomputed
from controller.storage import rollouts, tables
from controller.storage.database import Database
from controller.storage.rounds import last_seq
from controller.usecases import rollouts as commands
from controller.usecases import starting
from controller.usecases.verification import check_rollback
from controller.usecases.views.history import decision_page, ledger_view
from tests.builders import ROLLOUT, T0, a_lease, a_live_rollout, an_instance, judged, order, read, report
from tests.domain.builders import frozen

ledger, analyses, decisions = tables.ledger, tables.analyses, tables.decisions
rounds, constants = tables.rounds, tables.constants

#: Slots of the story: three and an advance in the first round, its rollback, and a second round.
ADVANCED, ROLLED_BACK, SECOND_ROUND = 3, 5, 6


@pytest.fixture
def told(database: Database) -> Database:
    """A rollout that advanced, was rolled back, was armed again and rolled back once more."""
    rollout, lease = a_live_rollout(database, cool_down="0s"), a_lease(database)
    an_instance(database, "chat-a", T0 + 90_000, revision=99, app_version="7")
    for at, (failed, delivered) in enumerate([(1, 60), (0, 300), (0, 100)]):
        report(database, rollout, failed=failed, delivered=delivered, instance="chat-a")
        report(database, rollout, delivered=200, arm="control", streams=("agent_thinking",))
        judged(database, lease, T0 + 4_000 * (at + 1))
    second = read(database)
    for at, failed in enumerate([1, 30]):
        report(database, second, failed=failed, delivered=2, instance="chat-a")
        judged(database, lease, T0 + 20_000 + 5_000 * at)
    check_rollback(database, ROLLOUT, lease, T0 + 30_000)
    commands.re_arm(database, ROLLOUT, ["7"], order(T0 + 40_000))
    again, _ = starting.start(database, ROLLOUT, order(T0 + 40_000))
    for at, failed in enumerate([1, 30]):
        report(database, again, failed=failed, delivered=2)
        judged(database, lease, T0 + 50_000 + 5_000 * at)
    return database


def replayed(connection: Connection) -> Report:
    """What `canary replay` makes of the rows."""
    rollout = rollouts.get(connection, ROLLOUT)
    view = ledger_view(connection, rollout, 0, 500)
    page = Page(**{name: getattr(view, name) for name in view.__struct_fields__})
    page.decisions = decision_page(connection, ROLLOUT, 0, 500).items
    page.last_seq = last_seq(connection, ROLLOUT)
    return recomputed([page])


def of_the_ledger() -> Iterator[tuple[str, Any, int]]:
    """A name, what changes the rows, and the first slot that it must be found in."""
    one = (ledger.c.seq == 2) & (ledger.c.arm == "canary") & (ledger.c.stream == "agent_started")
    for column, value in (("failed", 1000), ("total", 1), ("epoch", 9), ("arm", "control"), ("stream", "later")):
        yield f"ledger.{column}", update(ledger).where(one).values(**{column: value}), 2
    yield "ledger: a row less", delete(ledger).where(one), 2
    more = {"rollout": ROLLOUT, "seq": 2, "epoch": 1, "arm": "canary", "stream": "later", "failed": 0, "total": 1000}
    yield "ledger: a row more", insert(ledger).values(**more), 2


def of_the_analyses() -> Iterator[tuple[str, Any, int]]:
    """The same."""

    def slot(seq: int, **values: Any) -> Any:
        return update(analyses).where(analyses.c.seq == seq).values(**values)

    for column, value in (
        ("closed_ms", T0 + 10_001),
        ("epoch", 9),
        ("weight", 9_000),
        ("gauges", {"active": 1}),
        ("verdict", "pass"),
        ("message", "all is well"),
        ("lacking", []),
        ("findings", [{"guard": "delivery"}]),
        ("evidence", []),
        ("notes", ["nothing to see"]),
        ("slot_digest", "00"),
        ("state_digest", "00"),
        ("constants_digest", "00"),
    ):
        yield f"analyses.{column}", slot(1, **{column: value}), 1
    yield "analyses.action", slot(ADVANCED, action="hold"), ADVANCED
    behind = {"phase": "progressing", "baked": True, "last_stage": False, "instances_behind": 1}
    yield "analyses.circumstances", slot(ADVANCED, circumstances=behind), ADVANCED
    yield "analyses: a slot less", delete(analyses).where(analyses.c.seq == 2), 3
    yield "analyses: the last slot", delete(analyses).where(analyses.c.seq == SECOND_ROUND + 1), SECOND_ROUND + 1


def of_the_rounds() -> Iterator[tuple[str, Any, int]]:
    """The same."""
    second = rounds.c.round == 2
    yield "rounds.first_seq", update(rounds).where(second).values(first_seq=SECOND_ROUND + 1), SECOND_ROUND
    yield "rounds.first_epoch", update(rounds).where(second).values(first_epoch=99), SECOND_ROUND
    yield "rounds: a round less", delete(rounds).where(second), SECOND_ROUND
    milder = frozen(alpha_ppm=100)
    yield "constants.canonical", update(constants).values(canonical=milder.canonical()), 1


def of_the_decisions() -> Iterator[tuple[str, Any, int]]:
    """The same."""

    def act(of: int, **values: Any) -> Any:
        return update(decisions).where(decisions.c.seq == of).values(**values)

    yield "decisions.action", act(ROLLED_BACK, action="pause"), ROLLED_BACK
    yield "decisions.message", act(ROLLED_BACK, message="users complained"), ROLLED_BACK
    yield "decisions.arithmetic", act(ROLLED_BACK, arithmetic={}), ROLLED_BACK
    yield "decisions.seq", act(ROLLED_BACK, seq=4), 4
    yield "decisions: one less", delete(decisions).where(decisions.c.seq == ADVANCED), ADVANCED
    forged = {"actor": "judge", "action": "promote", "from_phase": "progressing", "to_phase": "promoted", "seq": 4}
    rest = {"rollout": ROLLOUT, "at_ms": T0, "stage": 1, "weight": 0, "reason": "", "message": "", "arithmetic": {}}
    yield "decisions: one more", insert(decisions).values(**forged, **rest), 4


def of_the_memory() -> Iterator[tuple[str, Any, int]]:
    """The same."""
    states = tables.judge_states
    yield "judge_states.state", update(states).values(state="{}"), SECOND_ROUND + 1


def test_a_last_slot_that_vanished_with_its_decision_is_missed(told: Database) -> None:
    with told.engine.connect() as connection:
        connection.execute(delete(analyses).where(analyses.c.seq == SECOND_ROUND + 1))
        connection.execute(delete(ledger).where(ledger.c.seq == SECOND_ROUND + 1))
        connection.execute(delete(decisions).where(decisions.c.seq == SECOND_ROUND + 1))
        found = replayed(connection)
        connection.rollback()
    assert found.first_difference == f"slot {SECOND_ROUND + 1} is missing: the ledger goes on, the export does not"


def test_what_nobody_touched_replays_to_the_last_bit(told: Database) -> None:
    with told.read() as connection:
        found = replayed(connection)
    assert (found.differing, found.first_difference) == (0, "")
    assert (found.analyses, found.decisions) == (SECOND_ROUND + 1, 3)


def test_every_change_of_a_row_is_found_in_its_slot(told: Database) -> None:
    wrong = []
    changes = [*of_the_ledger(), *of_the_analyses(), *of_the_rounds(), *of_the_decisions(), *of_the_memory()]
    for name, change, seq in changes:
        with told.engine.connect() as connection:
            connection.execute(change)
            found = replayed(connection)
            connection.rollback()
        if not found.differing or found.first_seq != seq or not found.first_difference:
            wrong.append((name, seq, found.first_seq, found.first_difference))
    assert wrong == []


def test_a_round_judged_by_other_constants_than_its_own_is_found(told: Database) -> None:
    milder = frozen(alpha_ppm=100)
    with told.engine.connect() as connection:
        connection.execute(insert(constants).values(digest=milder.digest(), canonical=milder.canonical()))
        connection.execute(update(rounds).where(rounds.c.round == 2).values(constants=milder.digest()))
        found = replayed(connection)
        connection.rollback()
    assert found.first_seq == SECOND_ROUND
    assert "constants: recorded" in found.first_difference


def test_the_story_is_the_one_that_the_changes_are_about(told: Database) -> None:
    with told.read() as connection:
        acts = connection.execute(select(analyses.c.seq, analyses.c.action).order_by(analyses.c.seq)).all()
    assert [(seq, action) for seq, action in acts if action != "hold"] == [
        (ADVANCED, "advance"),
        (ROLLED_BACK, "rollback"),
        (SECOND_ROUND + 1, "rollback"),
    ]
