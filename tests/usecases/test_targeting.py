"""Targeting and segments of flags: what changing them does to live rollouts, and what a rollback leaves of them."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import select

from controller.domain.conditions import Comparison, Condition, InSegment, Operator
from controller.domain.errors import AlreadyExists, ChangedMeanwhile, Conflict, Invalid, TooLarge, UnknownSegment
from controller.domain.evaluation import evaluate
from controller.domain.flags import Flag
from controller.domain.segments import Segment
from controller.domain.snapshots import Snapshot
from controller.domain.targeting import Rule, Targeting
from controller.storage import flags as flag_rows
from controller.storage import snapshots
from controller.storage.database import Database
from controller.storage.tables import audit
from controller.usecases import flags, rollouts, segments
from controller.usecases.flags import FlagChange
from controller.wire.snapshots import from_wire
from tests.builders import FLAG, ROLLOUT, T0, a_draft, a_flag, a_live_rollout, an_instance, order, read

GERMAN = Comparison("country", Operator.EQUALS, ("DE",))
FRENCH = Comparison("country", Operator.EQUALS, ("FR",))
TO_GERMANS = Targeting(rules=(Rule("unified", InSegment("german"), name="germans"),))


def a_segment(database: Database, key: str = "german", when: Condition = GERMAN) -> Segment:
    return segments.create(database, Segment(key, when, created_ms=T0, updated_ms=T0), actor="ann")


def target(database: Database, targeting: Targeting, **but: Any) -> Flag:
    with database.read() as connection:
        version = flag_rows.get(connection, FLAG).version
    said = {"actor": "ann", "now_ms": T0, **but}
    return flags.change(database, FLAG, version, FlagChange(targeting=targeting), **said)


def published(database: Database) -> Snapshot:
    with database.read() as connection:
        found = snapshots.latest(connection)
    assert found is not None
    return from_wire(found.body)


def answer(database: Database, key: str = "anna", **attributes: Any) -> str:
    snapshot = published(database)
    return evaluate(snapshot.flags[FLAG], key, attributes, segments=snapshot.segments).variant


def test_targeting_is_stored_and_published_with_its_segments(database: Database) -> None:
    a_segment(database)
    a_flag(database)
    changed = target(database, TO_GERMANS)
    with database.read() as connection:
        assert flag_rows.get(connection, FLAG) == changed
    assert answer(database, country="DE") == "unified"
    assert answer(database, country="FR") == "legacy"


def test_a_rule_may_only_name_a_segment_that_exists(database: Database) -> None:
    a_flag(database)
    with pytest.raises(Invalid, match="no segment 'german'") as refused:
        target(database, TO_GERMANS)
    assert refused.value.field == "targeting.rules"
    with pytest.raises(Invalid, match="no segment"):
        flags.create(database, Flag("g", {"a": 1, "b": 2}, "a", "a", targeting=Targeting(rules=(
            Rule("b", InSegment("german")),))), actor="ann")  # fmt: skip


def test_a_segment_is_changed_at_the_version_it_was_read_at(database: Database) -> None:
    a_segment(database)
    with pytest.raises(AlreadyExists):
        a_segment(database)
    segments.change(database, "german", 1, actor="ann", now_ms=T0, when=FRENCH)
    with pytest.raises(ChangedMeanwhile, match="is at version 2"):
        segments.change(database, "german", 1, actor="ann", now_ms=T0, when=GERMAN)
    with pytest.raises(UnknownSegment):
        segments.change(database, "nobody", 1, actor="ann", now_ms=T0)


def test_a_segment_that_a_flag_names_cannot_be_removed(database: Database) -> None:
    a_segment(database)
    a_flag(database)
    target(database, TO_GERMANS)
    with pytest.raises(Conflict, match=f"flag '{FLAG}' names it"):
        segments.remove(database, "german", 1, actor="ann", now_ms=T0)
    target(database, Targeting())
    segments.remove(database, "german", 1, actor="ann", now_ms=T0)
    assert published(database).segments == {}


def test_removing_a_segment_and_naming_it_at_the_same_time_leaves_no_rule_without_its_segment(
    database: Database,
) -> None:
    for _ in range(5):
        a_segment(database)
        a_flag(database, FLAG) if not published_flag(database) else target(database, Targeting())
        both = [
            threading.Thread(target=attempt, args=(lambda: target(database, TO_GERMANS),)),
            threading.Thread(
                target=attempt, args=(lambda: segments.remove(database, "german", 1, actor="bob", now_ms=T0),)
            ),
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        snapshot = published(database)
        assert snapshot.flags[FLAG].targeting.segments <= snapshot.segments.keys()
        if "german" in snapshot.segments:
            target(database, Targeting())
            segments.remove(database, "german", 1, actor="ann", now_ms=T0)


def published_flag(database: Database) -> bool:
    with database.read() as connection:
        return any(flag.key == FLAG for flag in flag_rows.every(connection))


def attempt(act: Any) -> None:
    with suppress(Invalid, Conflict, UnknownSegment):
        act()


def test_new_targeting_begins_a_new_evidence_epoch_of_a_live_rollout(database: Database) -> None:
    before = a_live_rollout(database)
    target(database, Targeting(deny=("dora",)))
    after = read(database)
    assert (after.epoch, after.version, after.weight) == (before.epoch + 1, before.version + 1, before.weight)
    found = published(database).flags[FLAG].rollout
    assert found is not None
    assert found.epoch == after.epoch


def test_other_changes_of_a_flag_begin_none(database: Database) -> None:
    before = a_live_rollout(database)
    flags.change(database, FLAG, 1, FlagChange(description="words"), actor="ann", now_ms=T0)
    target(database, Targeting())
    assert read(database).epoch == before.epoch


def test_a_draft_has_no_epoch_to_begin(database: Database) -> None:
    before = a_draft(database)
    target(database, Targeting(deny=("dora",)))
    assert read(database) == before


def test_a_segments_new_condition_begins_an_epoch_where_it_is_named(database: Database) -> None:
    a_segment(database)
    a_segment(database, "others")
    a_live_rollout(database)
    target(database, TO_GERMANS)
    epoch = read(database).epoch
    segments.change(database, "others", 1, actor="ann", now_ms=T0, when=FRENCH)
    segments.change(database, "german", 1, actor="ann", now_ms=T0, description="words")
    assert read(database).epoch == epoch
    segments.change(database, "german", 2, actor="ann", now_ms=T0, when=FRENCH)
    assert read(database).epoch == epoch + 1


def test_a_rollback_takes_the_canary_from_lists_and_rules_as_well(database: Database) -> None:
    a_live_rollout(database)
    target(database, Targeting(allow={"unified": ("uma",)}, rules=(Rule("unified", GERMAN),)))
    an_instance(database, "one")
    assert answer(database, "uma") == answer(database, country="DE") == "unified"
    rollouts.rollback(database, ROLLOUT, order())
    assert answer(database, "uma") == answer(database, country="DE") == "legacy"
    with database.read() as connection:
        assert snapshots.withdrawn_variants(connection) == {FLAG: frozenset({"unified"})}


def test_what_was_withdrawn_comes_back_by_a_decision_of_people_alone(database: Database) -> None:
    a_live_rollout(database)
    target(database, Targeting(allow={"unified": ("uma",)}))
    rollouts.rollback(database, ROLLOUT, order())
    target(database, Targeting(allow={"unified": ("uma", "olga")}))
    assert answer(database, "olga") == "legacy"  # a rule alone does not bring it back
    with database.write() as connection:  # the rollback is verified
        connection.exec_driver_sql("UPDATE rollouts SET phase = 'rolled_back'")
    with database.read() as connection:
        version = flag_rows.get(connection, FLAG).version
    flags.change(database, FLAG, version, FlagChange(served="unified"), actor="ann", now_ms=T0)
    assert answer(database, "olga") == "unified"


def test_every_change_is_in_the_audit_trail_with_both_states(database: Database) -> None:
    a_segment(database)
    a_live_rollout(database)
    target(database, TO_GERMANS, reason="try it")
    segments.change(database, "german", 1, actor="bob", now_ms=T0, when=FRENCH, reason="wrong")
    with database.read() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.id)).all()
    acts = [(row.action, row.subject, row.actor) for row in rows]
    assert ("segment.created", "segment/german", "ann") in acts
    assert ("flag.retargeted", f"flag/{FLAG}", "ann") in acts
    assert acts.count(("rollout.retargeted", f"rollout/{ROLLOUT}", "ann")) == 1
    last = rows[-1]
    assert (last.action, last.reason) == ("segment.changed", "wrong")
    assert (last.before["condition"]["equals"], last.after["condition"]["equals"]) == ("DE", "FR")


def test_a_snapshot_that_clients_would_not_read_is_refused_with_the_change(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_flag(database)
    before = published(database)
    monkeypatch.setattr(snapshots, "MOST_BYTES", 2_000)
    with pytest.raises(TooLarge, match="shorten lists"):
        target(database, Targeting(deny=tuple(f"user-{number}" for number in range(1_000))))
    assert published(database) == before
    with database.read() as connection:
        assert not flag_rows.get(connection, FLAG).targeting
