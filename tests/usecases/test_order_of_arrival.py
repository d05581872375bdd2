"""Reports that come late, twice or in another order neither cause a breach nor hide one."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from controller.domain.rollouts import Action, Phase
from controller.domain.tallies import EvidenceKey, Proof, Tally
from controller.storage import ledger
from controller.usecases import rollouts as commands
from controller.usecases import starting
from controller.usecases.verification import check_rollback
from tests.builders import EVENTS, ROLLOUT, T0, a_lease, a_live_rollout, judged, order, read
from tests.storage.builders import a_batch, write

USERS = ("0000000a", "0000000b", "0000000c")


def batch(rollout, name, instance="chat-a", seq=1, *, failed=0, delivered=0, users=USERS):
    """A report of so many units of the epoch that the rollout is in."""
    proof = Proof(Tally(1000 * failed, 1000 * (failed + delivered)), users[: min(3, failed)])
    proofs = {EvidenceKey(rollout.key, rollout.epoch, "canary", stream): proof for stream in EVENTS}
    return a_batch(name, instance, seq, T0, revision=99, evidence=proofs)


def many(rollout, *, failing):
    """Twelve reports of three instances, each of which tells of twenty units; so many of the reports of failures."""
    names = [(f"{rollout.round}-{at:02}", f"chat-{at % 3}", at) for at in range(12)]
    bad = [batch(rollout, *name, failed=20) for name in names[:failing]]
    return bad + [batch(rollout, *name, delivered=20) for name in names[failing:]]


def state_digest(database):
    with database.read() as connection:
        return ledger.state(connection, ROLLOUT).digest()


def test_one_failed_report_that_is_sent_again_and_again_is_one_failed_report(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    for sending in range(6):
        write(database, batch(rollout, "again-and-again", failed=2, delivered=1))
        assert judged(database, lease, T0 + 10_000 * (sending + 1)).action is Action.HOLD
    write(database, batch(rollout, "another", seq=2, failed=2, users=("0000000d",)))
    assert judged(database, lease, T0 + 70_000).action is Action.ROLLBACK


def test_delivered_reports_that_are_sent_again_hide_no_breach(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    for sending in range(20):
        write(database, batch(rollout, "fine", delivered=10))
        if sending % 5 == 0:
            write(database, batch(rollout, f"bad-{sending}", seq=sending, failed=3))
    assert judged(database, lease, T0 + 10_000).action is Action.ROLLBACK


@pytest.mark.parametrize("failing", [0, 2, 12])
def test_the_order_in_which_reports_arrive_for_a_slot_changes_nothing(database, failing):
    rollout, lease, chance = a_live_rollout(database, cool_down="0s"), a_lease(database), Random(failing)
    said = set()
    for turn in range(1, 5):
        reports = [*many(rollout, failing=failing), *many(rollout, failing=failing)[:5]]
        chance.shuffle(reports)
        for at in range(0, len(reports), 4):
            write(database, *reports[at : at + 4])
        found = judged(database, lease, T0 + 5_000 * turn)
        with database.read() as connection:
            row = ledger.latest_analysis(connection, ROLLOUT)
        said.add((found.action, found.verdict, str(row["evidence"]), str(row["findings"])))
        rollout = another_round(database, lease, T0 + 5_000 * turn)
    assert len(said) == 1
    assert {action for action, *_ in said} == ({Action.ROLLBACK} if failing else {Action.HOLD})


def another_round(database, lease, now_ms):
    """The same rollout from its beginning."""
    if read(database).phase is Phase.PROGRESSING:
        commands.rollback(database, ROLLOUT, order(now_ms))
    assert check_rollback(database, ROLLOUT, lease, now_ms).complete
    commands.re_arm(database, ROLLOUT, [], order(now_ms))
    return starting.start(database, ROLLOUT, order(now_ms))[0]


@pytest.mark.parametrize("turn", list(itertools.permutations(range(3))))
def test_a_breach_is_found_whenever_its_reports_arrive(sqlite_database, turn):
    rollout, lease = a_live_rollout(sqlite_database), a_lease(sqlite_database)
    reports = [
        batch(rollout, "healthy", seq=1, delivered=30),
        batch(rollout, "breaking", seq=2, failed=4),
        batch(rollout, "broken", seq=3, failed=26, users=("0000000d", "0000000e", "0000000f")),
    ]
    acts = set()
    for at, which in enumerate(turn, start=1):
        write(sqlite_database, reports[which])
        if read(sqlite_database).phase is Phase.PROGRESSING:
            acts.add(judged(sqlite_database, lease, T0 + 10_000 * at).action)
    assert Action.ROLLBACK in acts


def test_a_late_report_counts_in_the_epoch_that_its_users_were_assigned_in(database):
    first, lease = a_live_rollout(database), a_lease(database)
    write(database, batch(first, "on-time", delivered=400))
    assert judged(database, lease, T0 + 20_000).action is Action.ADVANCE
    write(database, batch(first, "late", seq=2, delivered=400))
    assert judged(database, lease, T0 + 40_000).action is Action.HOLD  # proves nothing of the second stage
    write(database, batch(read(database), "of-the-second", seq=3, delivered=400))
    assert judged(database, lease, T0 + 45_000).action is Action.ADVANCE
    write(database, batch(first, "late-and-bad", seq=2, failed=40))
    assert judged(database, lease, T0 + 50_000).action is Action.ROLLBACK


def test_a_report_older_than_the_newest_one_of_its_instance_is_evidence_all_the_same(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    write(database, batch(rollout, "newer", seq=9, delivered=5))
    write(database, batch(rollout, "older", seq=3, failed=6))
    assert judged(database, lease, T0 + 10_000).action is Action.ROLLBACK


def test_reports_judged_one_by_one_come_to_the_same_memory_as_the_same_slots_judged_again(database):
    rollout, lease = a_live_rollout(database), a_lease(database)
    reports = many(rollout, failing=0)
    for at, report in enumerate(reports):
        write(database, report)
        judged(database, lease, T0 + 1_000 * at)
    before = state_digest(database)
    for report in reports:
        write(database, report)
    judged(database, lease, T0 + 11_500)
    assert state_digest(database) == before
