"""The sweep deletes what is old, and nothing else; sums stay what they were."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select, text

from controller.domain.errors import ChangedMeanwhile, OutOfScope, UnknownFlag
from controller.domain.retention import DAY_MS, EVERY_FLAG, Kind
from controller.domain.scopes import scope_of
from controller.domain.tallies import Counts
from controller.domain.windows import WindowKey
from controller.storage import history, partitions, retention, windows
from controller.storage.database import Database
from controller.storage.tables import analyses, ledger, rollouts, rounds, sampled_users, user_counts
from controller.usecases import retention as commands
from tests.builders import FLAG, ROLLOUT, T0, a_flag, an_instance
from tests.clocks import FakeClock
from tests.storage.builders import a_batch, add_rollout, an_outcome, count, evidence, stored_outcomes, users, write

NOW = T0 + 500 * DAY_MS
HOUR_MS = 3_600_000


def swept(database: Database, now_ms: int = NOW) -> dict[str, int]:
    """What a sweep did besides making and dropping days, which only PostgreSQL has."""
    return {name: count for name, count in all_swept(database, now_ms).items() if not name.startswith("partitions")}


def all_swept(database: Database, now_ms: int = NOW) -> dict[str, int]:
    found = commands.sweep(database, now_ms)
    assert found.troubles == {}
    assert found.complete
    return found.counts


def outcomes_at(database: Database, *ages_ms: int, flag: str = FLAG) -> None:
    rows = tuple(an_outcome(at_ms=NOW - age, flag_key=flag, event_id=str(age)) for age in ages_ms)
    write(database, a_batch(f"of-{flag}-{len(rows)}-{min(ages_ms)}", at_ms=NOW, outcomes=rows))


def keep(database: Database, flag: str = EVERY_FLAG, detail: str | None = None, **words: str) -> None:
    with database.read() as connection:
        known = retention.policies(connection).by_flag.get(flag)
    said = {Kind(name): value for name, value in words.items()}
    version = known.version if known else 0
    commands.change(database, flag, version, keep=said, detail=detail, actor="ann", now_ms=NOW)


def test_raw_outcomes_older_than_a_week_go_and_younger_ones_stay(database: Database) -> None:
    outcomes_at(database, 0, 6 * DAY_MS, 9 * DAY_MS, 40 * DAY_MS)
    swept(database)
    assert [row.event_id for row in stored_outcomes(database)] == ["0", str(6 * DAY_MS)]


def test_a_flag_that_keeps_less_loses_more(database: Database) -> None:
    a_flag(database, "other")
    keep(database, "other", raw="2h")
    outcomes_at(database, 0, DAY_MS)
    outcomes_at(database, HOUR_MS, 3 * HOUR_MS, flag="other")
    swept(database)
    assert len(stored_outcomes(database)) == 2
    assert [row.event_id for row in stored_outcomes(database, "other")] == [str(HOUR_MS)]


def test_a_flag_that_keeps_more_keeps_its_days_for_all_but_only_its_own_rows(database: Database) -> None:
    a_flag(database, "other")
    keep(database, "other", raw="30d")
    keep(database, EVERY_FLAG, raw="3d")
    outcomes_at(database, 20 * DAY_MS, flag="other")
    swept(database)
    assert len(stored_outcomes(database, "other")) == 1


def test_windows_get_wider_with_age_and_keep_their_sums(database: Database) -> None:
    a_flag(database)
    ages = [HOUR_MS, 3 * DAY_MS, 3 * DAY_MS + 10_000, 40 * DAY_MS, 40 * DAY_MS + 600_000, 399 * DAY_MS, 401 * DAY_MS]
    found = {
        WindowKey(FLAG, variant, "agent_started", (NOW - age) // 10_000 * 10_000): Counts(7, 5, 2, latency_ms=age % 97)
        for age in ages
        for variant in ("legacy", "unified")
    }
    with database.write() as connection:
        windows.add(connection, found)
    with database.read() as connection:
        before = windows.health(connection, FLAG, NOW - 400 * DAY_MS)
    swept(database)
    with database.read() as connection:
        assert windows.health(connection, FLAG, 0) == before
        widths = {age: width_of(connection, NOW - age) for age in (HOUR_MS, 3 * DAY_MS, 40 * DAY_MS)}
    assert widths == {HOUR_MS: 10_000, 3 * DAY_MS: 60_000, 40 * DAY_MS: HOUR_MS}
    assert swept(database) == {}


def width_of(connection, at_ms: int) -> int:
    """The widest of the known widths at which a window of this moment begins."""
    series = windows.series(connection, FLAG, at_ms - HOUR_MS, 1)
    starts = [at for at in series["unified", "agent_started"] if at <= at_ms]
    return next(width for width in (HOUR_MS, 60_000, 10_000) if max(starts) == at_ms // width * width)


def test_evidence_of_rollouts_that_take_none_any_more_is_cleared_away(database: Database) -> None:
    add_rollout(database, "live")
    add_rollout(database, "over", "progressing")
    write(database, a_batch("one", at_ms=NOW, evidence=evidence(rollout="live")))
    write(database, a_batch("two", at_ms=NOW, evidence=evidence(rollout="over")))
    with database.write() as connection:
        connection.execute(rollouts.update().where(rollouts.c.key == "over").values(phase="rolled_back", ended_ms=NOW))
    assert swept(database)["evidence of rollouts that are over"] == 1
    assert count(database, "evidence_inbox") == 1


def test_users_of_epochs_that_are_over_are_forgotten_after_an_hour(database: Database) -> None:
    add_rollout(database, "live")
    for epoch in (1, 2):
        write(database, a_batch(f"e{epoch}", at_ms=NOW, users=users(f"{epoch:012x}", rollout="live", epoch=epoch)))
    with database.write() as connection:
        connection.execute(rollouts.update().values(epoch=2, stage_started_ms=NOW - HOUR_MS + 1))
    assert swept(database) == {}
    assert swept(database, NOW + 10) == {"users of epochs that are over": 1}
    with database.read() as connection:
        assert connection.execute(select(user_counts.c.epoch)).scalars().all() == [2]
        assert connection.execute(select(sampled_users.c.epoch)).scalars().all() == [2]


def test_batch_ids_are_known_for_a_week(database: Database) -> None:
    write(database, a_batch("old-batch", at_ms=NOW - 8 * DAY_MS), a_batch("new-batch", at_ms=NOW - 6 * DAY_MS))
    assert swept(database)["batch ids"] == 1
    assert write(database, a_batch("new-batch", at_ms=NOW)).fresh == []


def test_instances_that_nobody_has_heard_of_for_two_weeks_are_forgotten(database: Database) -> None:
    an_instance(database, "gone", NOW - 15 * DAY_MS)
    an_instance(database, "here", NOW - 13 * DAY_MS)
    assert swept(database)["instances"] == 1
    assert count(database, "instances") == 1


def an_ended_round(database: Database, number: int, slots: range, ended_ms: int | None) -> None:
    texts = dict.fromkeys(("constants", "mode", "started_by"), "x")
    numbers = {"first_epoch": 1, "first_seq": slots.start, "started_ms": 1, "ended_ms": ended_ms}
    with database.write() as connection:
        row = {"rollout": ROLLOUT, "round": number, "flag_key": FLAG, "canary": "unified", **numbers, **texts}
        connection.execute(insert(rounds).values(**row))
        said = {"gauges": {}, "circumstances": {}, "lacking": [], "findings": [], "evidence": []}
        words = dict.fromkeys(("verdict", "action", "message", "slot_digest", "state_digest", "constants_digest"), "x")
        for seq in slots:
            slot = {"rollout": ROLLOUT, "seq": seq, "epoch": 1}
            row = {**slot, "closed_ms": 1, "stage": 0, "weight": 1, "notes": [], **said, **words}
            connection.execute(insert(analyses).values(**row))
            connection.execute(insert(ledger).values(**slot, arm="canary", stream="a", failed=0, total=1000))


def seqs(database: Database, table) -> list[int]:
    with database.read() as connection:
        return sorted(connection.execute(select(table.c.seq)).scalars())


def test_the_ledger_of_a_round_that_ended_long_ago_goes_and_that_of_the_next_round_stays(database: Database) -> None:
    add_rollout(database, ROLLOUT, flag=FLAG)
    an_ended_round(database, 1, range(1, 4), NOW - 100 * DAY_MS)
    an_ended_round(database, 2, range(4, 6), NOW - 80 * DAY_MS)
    assert swept(database) == {"ledger rows": 3, "analyses": 3}
    assert seqs(database, ledger) == [4, 5]
    with database.read() as connection:
        assert retention.purged_through(connection, ROLLOUT) == (3, NOW)


def test_the_newest_analysis_always_stays_since_slots_are_counted_from_it(database: Database) -> None:
    add_rollout(database, ROLLOUT, "rolled_back", flag=FLAG)
    an_ended_round(database, 1, range(1, 4), NOW - 100 * DAY_MS)
    swept(database)
    assert seqs(database, ledger) == []
    assert seqs(database, analyses) == [3]
    with database.read() as connection:
        assert retention.purged_through(connection, ROLLOUT) == (3, NOW)


def test_a_live_round_loses_nothing_however_old_it_is(database: Database) -> None:
    add_rollout(database, ROLLOUT, flag=FLAG)
    an_ended_round(database, 1, range(1, 4), None)
    assert swept(database) == {}
    assert seqs(database, ledger) == [1, 2, 3]


def test_the_audit_trail_is_never_swept(database: Database) -> None:
    a_flag(database, now_ms=1)
    before = count(database, "audit")
    assert before
    swept(database)
    assert count(database, "audit") == before


def test_a_change_of_a_policy_is_in_the_audit_trail_and_needs_the_version_it_was_read_at(database: Database) -> None:
    a_flag(database)
    keep(database, FLAG, detail="failures", raw="2d")
    with database.read() as connection:
        [entry] = history.audit_before(connection, 2**53, 1)
    assert (entry["action"], entry["subject"], entry["before"]) == ("retention.changed", f"flag/{FLAG}", None)
    assert entry["after"]["raw"] == "2d"
    with pytest.raises(ChangedMeanwhile):
        commands.change(database, FLAG, 0, keep={Kind.RAW: "3d"}, detail=None, actor="bob", now_ms=NOW)
    with pytest.raises(UnknownFlag):
        commands.change(database, "nothing", 0, keep={}, detail="all", actor="bob", now_ms=NOW)


def test_a_sweep_that_is_told_to_stop_goes_on_the_next_time(database: Database) -> None:
    outcomes_at(database, 40 * DAY_MS)
    write(database, a_batch("old-batch", at_ms=NOW - 8 * DAY_MS))
    assert not commands.sweep(database, NOW, lambda: False).complete
    swept(database)
    assert stored_outcomes(database) == []


def test_days_are_made_ahead_and_dropped_whole(postgresql_database: Database, clock: FakeClock) -> None:
    database = postgresql_database
    now_ms = clock() // DAY_MS * DAY_MS
    assert all_swept(database, now_ms)["partitions made"] == 9
    with database.read() as connection:
        made = {one.first_ms for one in partitions.days(connection)}
    assert set(range(now_ms - DAY_MS, now_ms + 8 * DAY_MS, DAY_MS)) <= made
    later_ms = now_ms + 30 * DAY_MS
    assert all_swept(database, later_ms)["partitions dropped"] >= 9
    with database.read() as connection:
        assert min(one.first_ms for one in partitions.days(connection)) == later_ms - DAY_MS


def test_rows_that_came_before_their_day_was_made_move_into_it(postgresql_database: Database) -> None:
    database = postgresql_database
    outcomes_at(database, 0, HOUR_MS)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM outcomes_rest")).scalar_one() == 2
    swept(database)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM outcomes_rest")).scalar_one() == 0
    assert len(stored_outcomes(database)) == 2


def test_a_step_that_meets_a_lock_is_left_for_the_next_sweep_and_the_others_are_done(
    postgresql_database: Database, opened, postgresql_url: str
) -> None:
    database, other = postgresql_database, opened(postgresql_url)
    write(database, a_batch("old-batch", at_ms=NOW - 8 * DAY_MS))
    with other.write() as connection:
        connection.execute(text("LOCK TABLE outcomes_rest IN ROW EXCLUSIVE MODE"))
        found = commands.sweep(database, NOW)
    assert "lock" in found.troubles["partitions made"]
    assert found.counts["batch ids"] == 1
    assert all_swept(database)["partitions made"] == 9


def test_whoever_may_change_some_flags_changes_the_policies_of_those_alone(database: Database) -> None:
    a_flag(database)
    with pytest.raises(OutOfScope, match="outside"):
        commands.change(
            database, FLAG, 0, keep={}, detail="all", actor="bob", now_ms=NOW, scope=scope_of(["another.*"])
        )
