"""The judge's transaction, on stored evidence."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from controller.domain.errors import StaleTerm
from controller.domain.judge.findings import Verdict
from controller.domain.rollouts import Action, Phase
from controller.storage import leases, ledger
from controller.storage.tables import analyses, audit, decisions, evidence_inbox
from controller.storage.tables import ledger as ledger_table
from controller.usecases import rollouts as commands
from controller.usecases.evaluation import evaluate
from tests.builders import ROLLOUT, T0, a_lease, a_live_rollout, an_instance, judged, order, read, report


def count(database, table) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_no_evidence_is_inconclusive_and_holds(database):
    a_live_rollout(database)
    found = judged(database, a_lease(database), T0 + 60_000)
    assert (found.verdict, found.action) == (Verdict.INCONCLUSIVE, Action.HOLD)


def test_a_total_failure_rolls_back_at_once_and_says_why_in_numbers(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, failed=4)
    found = judged(database, lease, T0 + 1_000)
    assert (found.verdict, found.action) == (Verdict.FAIL, Action.ROLLBACK)
    assert "4 of the last 4 users failed (0.0 % delivered)" in found.message
    after = read(database)
    assert (after.phase, after.weight, after.detected_ms, after.decided_ms) == (
        Phase.ROLLING_BACK,
        0,
        T0 + 1_000,
        T0 + 1_000,
    )
    with database.read() as connection:
        row = connection.execute(select(decisions).order_by(decisions.c.id.desc()).limit(1)).one()
    assert (row.actor, row.action, row.seq, row.term) == ("judge", "rollback", 1, lease.term)
    assert row.arithmetic["failed_milli_units"] == 4000


def test_one_of_three_never_convicts(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, failed=1, delivered=2)
    assert judged(database, lease, T0 + 1_000).action is Action.HOLD


def test_good_news_waits_for_the_bake_and_bad_news_does_not(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, delivered=400)
    early = judged(database, lease, T0 + 5_000)
    assert (early.verdict, early.action) == (Verdict.PASS, Action.HOLD)
    late = judged(database, lease, T0 + 10_000)
    assert late.action is Action.ADVANCE
    assert read(database).weight == 5_000


def test_promotion_evidence_starts_again_in_each_stage(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, delivered=400)
    judged(database, lease, T0 + 10_000)
    assert judged(database, lease, T0 + 30_000).verdict is Verdict.INCONCLUSIVE


def test_outcomes_assigned_before_the_stage_count_against_the_canary_but_not_for_it(database):
    first, lease = a_live_rollout(database), a_lease(database)
    report(database, first, delivered=400)
    judged(database, lease, T0 + 10_000)
    report(database, first, delivered=400)
    assert judged(database, lease, T0 + 30_000).verdict is Verdict.INCONCLUSIVE
    report(database, first, failed=30)
    assert judged(database, lease, T0 + 41_000).action is Action.ROLLBACK


def test_all_stages_proven_ends_promoted(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    for step in range(1, 4):
        report(database, rollout, delivered=400)
        judged(database, lease, T0 + step * 20_000)
        rollout = read(database)
    assert rollout.phase is Phase.PROMOTED
    assert evaluate(database, [ROLLOUT], lease, T0 + 90_000) == []


def test_a_stage_waits_for_every_live_instance_to_apply_its_share(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    an_instance(database, "slow", T0 + 10_000, revision=0)
    report(database, rollout, delivered=400)
    found = judged(database, lease, T0 + 10_000)
    assert found.action is Action.HOLD
    assert "1 live instance" in found.message


def test_a_paused_rollout_is_still_judged_and_rolled_back(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    commands.pause(database, ROLLOUT, order())
    report(database, rollout, delivered=400)
    assert judged(database, lease, T0 + 60_000).action is Action.HOLD
    report(database, rollout, failed=40)
    assert judged(database, lease, T0 + 71_000).action is Action.ROLLBACK


def test_a_guard_that_pauses_does_not_roll_back(database):
    guards = [{"name": "delivery", "action": "pause"}]
    rollout, lease = a_live_rollout(database, guards=guards), a_lease(database)
    report(database, rollout, failed=4)
    assert judged(database, lease, T0 + 1_000).action is Action.PAUSE
    assert read(database).phase is Phase.PAUSED


def test_a_stale_leader_is_refused_by_its_term_and_writes_nothing(database):
    rollout = a_live_rollout(database)
    stale = a_lease(database, "one")
    with database.write() as connection:
        leases.release(connection, "one")
    a_lease(database, "two")
    report(database, rollout, failed=4)
    before = [count(database, table) for table in (analyses, ledger_table, decisions, audit, evidence_inbox)]
    with pytest.raises(StaleTerm):
        evaluate(database, [ROLLOUT], stale, T0 + 1_000)
    assert [count(database, table) for table in (analyses, ledger_table, decisions, audit, evidence_inbox)] == before
    assert read(database).phase is Phase.PROGRESSING


def test_evidence_is_taken_from_the_inbox_exactly_once(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, failed=1, delivered=9)
    judged(database, lease, T0 + 1_000)
    judged(database, lease, T0 + 2_000)
    assert count(database, evidence_inbox) == 0
    with database.read() as connection:
        rows = ledger.rows_between(connection, ROLLOUT, 1, 2)
    assert {seq: sum(row.total for row in found) for seq, found in rows.items()} == {1: 50_000}


def test_a_clock_that_jumps_back_neither_convicts_nor_stops_the_judge(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    report(database, rollout, delivered=10)
    judged(database, lease, T0 + 100_000)
    report(database, rollout, failed=4)
    assert judged(database, lease, T0 + 50_000).action in (Action.HOLD, Action.ROLLBACK)
    assert read(database).phase in (Phase.PROGRESSING, Phase.ROLLING_BACK)
