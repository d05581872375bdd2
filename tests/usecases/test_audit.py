"""The audit trail as a chain in the database: complete, append-only, and checked from end to end."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, delete, insert, text, update
from sqlalchemy.exc import DatabaseError

from controller.domain.chain import Head
from controller.domain.errors import Conflict
from controller.domain.flags import Flag
from controller.storage import audit as rows
from controller.storage.database import Database
from controller.storage.history import AuditFilter
from controller.storage.tables import audit, installation
from controller.usecases import flags
from controller.usecases.flags import FlagChange
from controller.usecases.views.audit import audit_check, audit_page, chain_page
from tests.builders import FLAG, ROLLOUT, T0, a_flag, a_lease, a_live_rollout, judged, read, report


def some_changes(database: Database, count: int = 5) -> None:
    a_flag(database)
    for version in range(1, count):
        wanted = FlagChange(description=f"words {version} ü")
        flags.change(database, FLAG, version, wanted, actor="ann", now_ms=T0 + version, request_id=f"r{version}")


def unlocked(connection: Connection) -> None:
    """What somebody with the database's own password can do."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        return
    for name in ("audit_no_update", "audit_no_delete"):
        connection.execute(text(f"DROP TRIGGER {name}"))


def test_every_entry_is_in_the_chain_once_its_change_is_committed(database: Database) -> None:
    some_changes(database)
    with database.read() as connection:
        found = audit_check(connection)
        entries = chain_page(connection, 0, 100).items
    assert (found.intact, found.entries, found.fault, found.unchained) == (True, 5, "", 0)
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert (entries[1].request_id, entries[1].after["description"]) == ("r1", "words 1 ü")


def test_what_the_judge_does_is_in_it_too(database: Database) -> None:
    report(database, a_live_rollout(database), failed=40)
    judged(database, a_lease(database), T0 + 1_000)
    assert read(database, ROLLOUT).phase.value == "rolling_back"
    with database.read() as connection:
        assert audit_page(connection, limit=1).items[0].actor == "judge"
        assert audit_check(connection).intact


def test_the_database_itself_refuses_to_change_or_remove_an_entry(database: Database) -> None:
    some_changes(database, 2)
    for statement in (update(audit).values(actor="bob"), delete(audit)):
        with pytest.raises(DatabaseError, match="append-only"), database.write() as connection:
            connection.execute(statement)
    with database.read() as connection:
        assert audit_check(connection).intact


@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        (update(audit).where(audit.c.seq == 3).values(actor="bob"), "entry 3 was changed"),
        (update(audit).where(audit.c.seq == 3).values(after={"key": "other"}), "entry 3 was changed"),
        (update(audit).where(audit.c.seq == 3).values(at_ms=1), "entry 3 was changed"),
        (delete(audit).where(audit.c.seq == 3), "entry 3 is missing"),
        (delete(audit).where(audit.c.seq == 1), "entry 1 is missing"),
        (delete(audit).where(audit.c.seq == 5), "the chain ends at entry 4; entries up to 5 are missing"),
        (delete(audit), "the chain ends at entry 0; entries up to 5 are missing"),
    ],
)
def test_whatever_is_changed_or_missing_is_found(database: Database, tamper: object, fault: str) -> None:
    some_changes(database)
    with database.write() as connection:
        unlocked(connection)
        connection.execute(tamper)  # type: ignore[call-overload]
    with database.read() as connection:
        found = audit_check(connection)
    assert (found.intact, found.fault) == (False, fault)


def test_a_chain_that_was_shortened_with_its_head_does_not_meet_the_head_that_was_noted(database: Database) -> None:
    some_changes(database)
    with database.write() as connection:
        noted = rows.head(connection)
        unlocked(connection)
        connection.execute(delete(audit).where(audit.c.seq > 2))
        [second] = rows.chained(connection, 1, 1)
        head = str(Head(2, second["digest"]))
        connection.execute(update(installation).where(installation.c.name == "audit_head").values(value=head))
    with database.read() as connection:
        assert audit_check(connection).intact  # nobody can tell from the database alone
        assert audit_check(connection, noted).fault == "the chain ends at entry 2; entries up to 5 are missing"


def test_changes_at_the_same_time_make_one_chain(database: Database) -> None:
    def create(number: int) -> None:
        flags.create(database, Flag(f"f{number}", {"a": 1, "b": 2}, "a", "a"), actor="ann")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(24)))
    with database.read() as connection:
        found = audit_check(connection)
    assert (found.intact, found.entries) == (True, 24)


def test_a_change_that_fails_leaves_no_gap(database: Database) -> None:
    some_changes(database, 2)
    with pytest.raises(Conflict):
        a_flag(database)
    with pytest.raises(RuntimeError, match="dies"):
        _dies_before_its_commit(database)
    some = Flag("g", {"a": 1, "b": 2}, "a", "a")
    flags.create(database, some, actor="ann")
    with database.read() as connection:
        found = audit_check(connection)
    assert (found.intact, found.entries) == (True, 3)


def _dies_before_its_commit(database: Database) -> None:
    with database.write() as connection:
        rows.add(connection, **entry("lost"))
        raise RuntimeError("dies before the commit")


def entry(actor: str) -> dict[str, object]:
    plain = {"actor": actor, "action": "flag.created", "subject": "flag/x", "reason": "", "request_id": ""}
    return {**plain, "at_ms": T0, "before": None, "after": None}


def test_what_the_release_before_writes_joins_the_chain_with_the_next_change(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(audit).values(**entry("an earlier release")))
    with database.read() as connection:
        assert (audit_check(connection).intact, audit_check(connection).unchained) == (True, 1)
    a_flag(database)
    with database.read() as connection:
        found = audit_check(connection)
        assert (found.intact, found.entries, found.unchained) == (True, 2, 0)


def test_entries_are_found_by_who_what_where_and_when(database: Database) -> None:
    some_changes(database)
    flags.change(database, FLAG, 5, FlagChange(enabled=False), actor="bob", now_ms=T0 + 99)
    with database.read() as connection:

        def found(**wanted: object) -> int:
            return len(audit_page(connection, wanted=AuditFilter(**wanted)).items)  # type: ignore[arg-type]

        assert found(actor="bob") == 1
        assert found(action="flag.killed", subject=f"flag/{FLAG}") == 1
        assert [found(subject="flag/"), found(subject="flag/%"), found(subject="rollout/")] == [6, 0, 0]
        assert found(since_ms=T0 + 2, until_ms=T0 + 4) == 2
