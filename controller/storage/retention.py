"""Retention policies as rows, and the deletes that follow from them: bounded, and each in a transaction of its own.

A schema that a newer release has not migrated yet has no policies: the defaults hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    any_,
    column,
    delete,
    exists,
    func,
    insert,
    inspect,
    literal_column,
    select,
    table,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from controller.domain.errors import ChangedMeanwhile
from controller.domain.retention import NO_POLICIES, Detail, Kind, Policies, Policy
from controller.domain.rollouts import UNFINISHED
from controller.domain.samples import ACTIVE_USER
from controller.storage import upserts
from controller.storage.tables import (
    analyses,
    batches,
    evidence_inbox,
    instance_arms,
    instances,
    ledger,
    ledger_purges,
    open_units,
    retention_policies,
    rollouts,
    rounds,
    sampled_users,
    user_counts,
    windows,
)

#: Rows deleted in one transaction: few enough that nobody waits behind it.
BATCH = 5_000

#: Beyond every slot's number.
_ANY_SEQ = 2**62
#: Rows looked at in one transaction of an embedded database.
_WALK = 20_000
_TAKING = tuple(phase.value for phase in UNFINISHED)


def ready(connection: Connection) -> bool:
    """Whether the schema has policies at all."""
    return inspect(connection).has_table(retention_policies.name)


def policies(connection: Connection) -> Policies:
    """All policies; none on a schema that has no room for them yet."""
    if not ready(connection):
        return NO_POLICIES
    rows = connection.execute(select(retention_policies))
    return Policies({row.flag_key: _policy(row._asdict()) for row in rows})


def keep(connection: Connection, before: Policy, after: Policy) -> None:
    """Write a policy, on condition that it is still as it was read.

    Raises:
        ChangedMeanwhile: it is not.
    """
    values = _values(after)
    if before.version == 0:
        try:
            with connection.begin_nested():
                connection.execute(insert(retention_policies).values(**values))
        except IntegrityError:
            raise _raced(before) from None
        return
    here = (retention_policies.c.flag_key == before.flag_key) & (retention_policies.c.version == before.version)
    if connection.execute(update(retention_policies).where(here).values(**values)).rowcount != 1:
        raise _raced(before)


def delete_raw(connection: Connection, name: str, before_ms: int, flag_key: str | None = None) -> int:
    """Delete raw outcomes older than a time from one of their tables, a batch of them; returns how many."""
    at_ms: ColumnElement[int] = column("at_ms")
    flag: ColumnElement[str] = column("flag_key")
    old = at_ms < before_ms if flag_key is None else and_(flag == flag_key, at_ms < before_ms)
    return _delete_some(connection, name, old)


def walk_raw(
    connection: Connection, after_row: int, before_ms: int, flag_key: str | None = None
) -> tuple[int, int | None]:
    """Delete raw outcomes older than a time among the next rows of an embedded database.

    Rows lie in the order of their arrival there, so no index is needed to find the old ones: they come first.

    Returns:
        how many were deleted, and the row to go on after; None where nothing older can follow.
    """
    row: ColumnElement[int] = literal_column("rowid")
    here = table("outcomes", column("at_ms"), column("flag_key"))
    some = select(row.label("row"), here.c.at_ms).where(row > after_row).order_by(row).limit(_WALK).subquery()
    last, first_ms = connection.execute(select(func.max(some.c.row), func.min(some.c.at_ms))).one()
    if last is None or first_ms >= before_ms:
        return 0, None
    old = and_(row > after_row, row <= last, here.c.at_ms < before_ms)
    if flag_key is not None:
        old = and_(old, here.c.flag_key == flag_key)
    return connection.execute(delete(here).where(old)).rowcount, int(last)


def delete_of_user(connection: Connection, name: str, user_hash: str) -> int:
    """Delete a user's raw outcomes from one of their tables; returns how many."""
    found = delete(table(name)).where(column("user_hash") == user_hash)
    return connection.execute(found).rowcount


def delete_tag(connection: Connection, tag: str) -> int:
    """Take a user out of the samples of distinct users; the epochs' numbers stay as they were counted."""
    return connection.execute(delete(sampled_users).where(sampled_users.c.tag == tag)).rowcount


def delete_active(connection: Connection, tag: str) -> int:
    """Take a user out of the gauges of active users, where they stand for ten minutes."""
    return connection.execute(delete(open_units).where(open_units.c.stream == ACTIVE_USER + tag)).rowcount


def delete_batches(connection: Connection, before_ms: int) -> int:
    """Forget batch ids received before a time."""
    return _delete_some(connection, batches.name, column("received_ms") < before_ms)


def delete_windows(connection: Connection, flag_key: str, before_ms: int) -> int:
    """Delete a flag's windows that begin before a time."""
    old = and_(column("flag_key") == flag_key, column("starts_ms") < before_ms)
    return _delete_some(connection, windows.name, old)


def delete_strays(connection: Connection) -> int:
    """Delete evidence that waits for rollouts that take none any more: nobody will ever judge it."""
    taking = exists().where(rollouts.c.key == column("rollout"), rollouts.c.phase.in_(_TAKING))
    return _delete_some(connection, evidence_inbox.name, ~taking)


def delete_epochs(connection: Connection, before_ms: int) -> int:
    """Delete the distinct users of epochs that have been over since a time; returns how many epochs.

    The epoch's row goes first: a writer takes it before it touches the samples, so the two wait for each other.
    """
    over = select(user_counts.c.rollout, user_counts.c.epoch).where(
        ~exists().where(
            rollouts.c.key == user_counts.c.rollout,
            (rollouts.c.phase.in_(_TAKING) & (rollouts.c.epoch <= user_counts.c.epoch))
            | (rollouts.c.ended_ms > before_ms)
            | (rollouts.c.stage_started_ms > before_ms),
        )
    )
    found = [
        tuple(row) for row in connection.execute(over.order_by(user_counts.c.rollout, user_counts.c.epoch).limit(50))
    ]
    for epochs in (user_counts, sampled_users):
        if found:
            connection.execute(delete(epochs).where(tuple_(epochs.c.rollout, epochs.c.epoch).in_(found)))
    return len(found)


def delete_instances(connection: Connection, before_ms: int) -> int:
    """Forget instances not heard of since a time, with all that they last said."""
    old = select(instances.c.id).where(instances.c.last_contact_ms < before_ms).order_by(instances.c.id).limit(500)
    gone = list(connection.execute(old).scalars())
    if gone:
        for gauges in (open_units, instance_arms):
            connection.execute(delete(gauges).where(gauges.c.instance.in_(gone)))
        still = (instances.c.id.in_(gone)) & (instances.c.last_contact_ms < before_ms)
        connection.execute(delete(instances).where(still))
    return len(gone)


def ended_rounds(connection: Connection, before_ms: int) -> dict[str, int]:
    """Rollouts of which rounds ended before a time, and the last slot of the newest such round.

    A round without an end of its own (aborted, or given up by a release before this one) ends with its rollout.
    """
    columns = (rounds.c.rollout, rounds.c.first_seq, rounds.c.ended_ms, rollouts.c.ended_ms.label("rollout_ended_ms"))
    joined = rounds.join(rollouts, rollouts.c.key == rounds.c.rollout)
    rows = connection.execute(select(*columns).select_from(joined).order_by(rounds.c.rollout, rounds.c.round.desc()))
    found: dict[str, int] = {}
    following: dict[str, int] = {}
    for row in rows:
        ended_ms = row.ended_ms or row.rollout_ended_ms
        if row.rollout not in found and ended_ms is not None and ended_ms < before_ms:
            found[row.rollout] = following.get(row.rollout, _ANY_SEQ) - 1
        following[row.rollout] = row.first_seq
    return found


def flags_of(connection: Connection) -> dict[str, str]:
    """The flag of each rollout."""
    return {row.key: row.flag_key for row in connection.execute(select(rollouts.c.key, rollouts.c.flag_key))}


def delete_ledger(connection: Connection, rollout: str, through_seq: int, now_ms: int) -> int:
    """Delete a batch of a rollout's oldest ledger rows up to a slot, and note up to which slot it is gone."""
    old = and_(column("rollout") == rollout, column("seq") <= through_seq)
    count = _delete_some(connection, ledger.name, old)
    if count:
        _note_purge(connection, rollout, _last_seq(connection, rollout, through_seq), now_ms)
    return count


def delete_analyses(connection: Connection, rollout: str, through_seq: int, now_ms: int) -> int:
    """Delete a batch of a rollout's analyses up to a slot, but never the newest one: slots go on from its number."""
    through = _last_seq(connection, rollout, through_seq)
    newest = _last_seq(connection, rollout, _ANY_SEQ)
    old = and_(column("rollout") == rollout, column("seq") <= through_seq, column("seq") < newest)
    count = _delete_some(connection, analyses.name, old)
    if count:
        _note_purge(connection, rollout, through, now_ms)
    return count


def purged_through(connection: Connection, rollout: str) -> tuple[int, int] | None:
    """Up to which slot a rollout's ledger or analyses are gone, and when they went; None: all of it is there."""
    if not ready(connection):
        return None
    said = select(ledger_purges.c.through_seq, ledger_purges.c.at_ms).where(ledger_purges.c.rollout == rollout)
    row = connection.execute(said).one_or_none()
    return None if row is None else (int(row.through_seq), int(row.at_ms))


def _last_seq(connection: Connection, rollout: str, through_seq: int) -> int:
    """The newest slot of a rollout up to a number."""
    here = select(analyses.c.seq).where(analyses.c.rollout == rollout, analyses.c.seq <= through_seq)
    return int(connection.execute(here.order_by(analyses.c.seq.desc()).limit(1)).scalar_one_or_none() or 0)


def _note_purge(connection: Connection, rollout: str, through_seq: int, now_ms: int) -> None:
    said = upserts.insert(connection.dialect.name, ledger_purges).values(
        rollout=rollout, through_seq=through_seq, at_ms=now_ms
    )
    newest = {
        "through_seq": upserts.larger(said.excluded.through_seq, ledger_purges.c.through_seq),
        "at_ms": said.excluded.at_ms,
    }
    connection.execute(said.on_conflict_do_update(index_elements=[ledger_purges.c.rollout], set_=newest))


def _delete_some(connection: Connection, name: str, condition: ColumnElement[bool]) -> int:
    """Delete up to BATCH rows; neither database can limit a DELETE itself, both name a row by where it lies."""
    where: ColumnElement[Any] = literal_column("ctid" if connection.dialect.name == "postgresql" else "rowid")
    here = table(name)
    some = select(where).select_from(here).where(condition).limit(BATCH)
    if connection.dialect.name == "postgresql":
        # As an array, and not in a subquery, or PostgreSQL would join instead of going straight to the rows.
        chosen = where == any_(func.array(some.scalar_subquery()))
    else:
        chosen = where.in_(some)
    return connection.execute(delete(here).where(chosen)).rowcount


def _raced(before: Policy) -> ChangedMeanwhile:
    return ChangedMeanwhile(
        f"the policy of {before.flag_key!r} is no longer at version {before.version}", field="version"
    )


def _policy(row: Mapping[str, Any]) -> Policy:
    kept = {kind: int(row[f"{kind.value}_ms"]) for kind in Kind if row[f"{kind.value}_ms"] is not None}
    detail = None if row["one_in"] is None else Detail(row["one_in"])
    return Policy(row["flag_key"], kept, detail, row["version"], row["updated_ms"])


def _values(policy: Policy) -> dict[str, Any]:
    kept = {f"{kind.value}_ms": policy.keep_ms.get(kind) for kind in Kind}
    one_in = None if policy.detail is None else policy.detail.one_in
    said = {"flag_key": policy.flag_key, "version": policy.version, "updated_ms": policy.updated_ms}
    return {**kept, **said, "one_in": one_in}
