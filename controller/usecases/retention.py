"""What is kept and for how long: changing the policies, and the sweep that carries them out, a small step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from controller.domain import retention as rules
from controller.domain.errors import ChangedMeanwhile, Refusal, SchemaBefore
from controller.domain.retention import DAY_MS, EVERY_FLAG, Kind, Policies, Policy
from controller.domain.scopes import EVERYWHERE, Scope
from controller.storage import flags, partitions, record, retention, rollup
from controller.storage.database import Database


@dataclass
class Swept:
    """What a sweep did.

    Attributes:
        counts: rows deleted or merged, partitions made or dropped, by what they were.
        troubles: steps that could not be done now, and why; the next sweep tries them again.
        complete: nothing was left to do.
    """

    counts: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    complete: bool = True

    def add(self, name: str, count: int) -> None:
        """Enter what one step did."""
        if count:
            self.counts[name] = self.counts.get(name, 0) + count


def change(  # noqa: PLR0913 - a command names all it may change
    database: Database,
    flag_key: str,
    version: int,
    *,
    keep: Mapping[Kind, str | None],
    detail: str | None,
    actor: str,
    now_ms: int,
    reason: str = "",
    request_id: str = "",
    scope: Scope = EVERYWHERE,
) -> Policy:
    """Change the policy of a flag, or of every flag (`*`), at the version it was read at.

    Raises:
        UnknownFlag, ChangedMeanwhile, OutOfScope; Invalid: a value cannot be used. Refusal: the schema has no policies
        yet.
    """
    with database.write() as connection:
        if not retention.ready(connection):
            raise SchemaBefore("run `canary db upgrade` once, then say it again")
        if flag_key != EVERY_FLAG:
            flags.get(connection, flag_key)
            scope.check(flag_key)
        before = retention.policies(connection).by_flag.get(flag_key) or Policy(flag_key, {})
        if before.version != version:
            raise ChangedMeanwhile(f"the policy of {flag_key!r} is at version {before.version}", field="version")
        after = rules.changed(before, keep, detail, now_ms)
        retention.keep(connection, before, after)
        record.note(
            connection,
            actor=actor,
            action="retention.changed",
            subject="installation" if flag_key == EVERY_FLAG else f"flag/{flag_key}",
            reason=reason,
            at_ms=now_ms,
            before=before.plain() if before.version else None,
            after=after.plain(),
            request_id=request_id,
        )
    return after


def sweep(database: Database, now_ms: int, go_on: Callable[[], bool] = lambda: True) -> Swept:
    """Make the partitions of the days to come, and delete what is older than its policy, until done or told to stop.

    Each step is one short transaction. One that cannot be done now (a lock, say) is left for the next sweep and keeps
    nothing else from being done.
    """
    swept = Swept()
    with database.read() as connection:
        policies = retention.policies(connection)
    for name, steps in _work(database, policies, now_ms):
        try:
            for count in steps:
                swept.add(name, count)
                if not go_on():
                    swept.complete = False
                    return swept
        except Refusal as trouble:
            swept.troubles[name] = trouble.detail
            swept.complete = False
    return swept


def _work(database: Database, policies: Policies, now_ms: int) -> Iterator[tuple[str, Iterator[int]]]:
    """What there is to do, the most urgent first."""
    yield "partitions made", _make_partitions(database, now_ms)
    yield "partitions dropped", _drop_partitions(database, now_ms - policies.longest_ms(Kind.RAW))
    yield "raw outcomes", _delete_raw(database, policies, now_ms)
    yield "evidence of rollouts that are over", _again(database, retention.delete_strays)
    epochs = partial(retention.delete_epochs, before_ms=now_ms - rules.LATE_MS)
    yield "users of epochs that are over", _again(database, epochs)
    yield "batch ids", _again(database, partial(retention.delete_batches, before_ms=now_ms - rules.BATCHES_MS))
    yield "windows merged", _merge_windows(database, now_ms)
    yield "windows", _delete_windows(database, policies, now_ms)
    yield "ledger rows", _delete_evidence(database, policies, now_ms, Kind.LEDGER)
    yield "analyses", _delete_evidence(database, policies, now_ms, Kind.ANALYSES)
    yield "instances", _again(database, partial(retention.delete_instances, before_ms=now_ms - rules.INSTANCES_MS))


def _again(database: Database, act: Callable[..., int]) -> Iterator[int]:
    """A delete, a batch at a time, until nothing is left."""
    while True:
        with database.write() as connection:
            count = act(connection)
        yield count
        if count == 0:
            return


def _make_partitions(database: Database, now_ms: int) -> Iterator[int]:
    with database.read() as connection:
        wanted = partitions.missing(connection, now_ms) if partitions.partitioned(connection) else []
    for first_ms in wanted:
        with database.write() as connection:
            partitions.make(connection, first_ms)
        yield 1


def _drop_partitions(database: Database, before_ms: int) -> Iterator[int]:
    """Days that ended before a time, and the table from before the partitions when it is as old."""
    with database.read() as connection:
        there = partitions.days(connection) if partitions.partitioned(connection) else []
        since = partitions.before_since(connection) if partitions.has_before(connection) else None
    for one in there:
        if one.first_ms + DAY_MS <= before_ms:
            with database.write() as connection:
                partitions.drop(connection, one)
            yield 1
    if since is not None and since < before_ms:
        with database.write() as connection:
            partitions.drop_before(connection)
        yield 1


def _delete_raw(database: Database, policies: Policies, now_ms: int) -> Iterator[int]:
    """What partitions cannot do: a table without days, and flags that keep less than the longest."""
    if database.embedded:
        yield from _walk(database, now_ms - policies.longest_ms(Kind.RAW), None)
        for flag_key, kept_ms in policies.shorter(Kind.RAW).items():
            yield from _walk(database, now_ms - kept_ms, flag_key)
        return
    with database.read() as connection:
        names = partitions.tables(connection)
    longest_ms = now_ms - policies.longest_ms(Kind.RAW)
    for name in (name for name in names if name in ("outcomes", partitions.REST)):
        yield from _again(database, partial(retention.delete_raw, name=name, before_ms=longest_ms))
    for flag_key, kept_ms in policies.shorter(Kind.RAW).items():
        for name in names:
            old = partial(retention.delete_raw, name=name, before_ms=now_ms - kept_ms, flag_key=flag_key)
            yield from _again(database, old)


def _walk(database: Database, before_ms: int, flag_key: str | None) -> Iterator[int]:
    """The rows of an embedded database from the first on, until nothing older can follow."""
    row: int | None = 0
    while row is not None:
        with database.write() as connection:
            count, row = retention.walk_raw(connection, row, before_ms, flag_key)
        yield count


def _merge_windows(database: Database, now_ms: int) -> Iterator[int]:
    for age_ms, width_ms in rules.STEPS:
        chunk_ms = rollup.CHUNK * width_ms
        last_ms = (now_ms - age_ms) // chunk_ms * chunk_ms
        with database.read() as connection:
            keys = [flag.key for flag in flags.every(connection)]
            done_ms = rollup.merged_until(connection, width_ms)
            if done_ms is None:
                starts = [at for key in keys if (at := rollup.first_start(connection, key)) is not None]
                done_ms = min(starts, default=last_ms) // chunk_ms * chunk_ms
        for from_ms in range(done_ms, last_ms, chunk_ms):
            for key in keys:
                with database.write() as connection:
                    saved = rollup.merge(connection, key, from_ms, from_ms + chunk_ms, width_ms)
                yield saved
            with database.write() as connection:
                rollup.note_merged(connection, width_ms, from_ms + chunk_ms)


def _delete_windows(database: Database, policies: Policies, now_ms: int) -> Iterator[int]:
    with database.read() as connection:
        keys = [flag.key for flag in flags.every(connection)]
    for key in keys:
        before_ms = now_ms - policies.keep_ms(key, Kind.WINDOWS)
        yield from _again(database, partial(retention.delete_windows, flag_key=key, before_ms=before_ms))


def _delete_evidence(database: Database, policies: Policies, now_ms: int, kind: Kind) -> Iterator[int]:
    """Ledger or analyses of rounds that ended long ago, each rollout by the policy of its flag."""
    act = retention.delete_ledger if kind is Kind.LEDGER else retention.delete_analyses
    with database.read() as connection:
        if not retention.ready(connection):
            return
        flag_of = retention.flags_of(connection)
        ended: dict[int, dict[str, int]] = {}
        for kept_ms in {policies.keep_ms(flag, kind) for flag in flag_of.values()}:
            ended[kept_ms] = retention.ended_rounds(connection, now_ms - kept_ms)
    for rollout, flag_key in flag_of.items():
        through = ended[policies.keep_ms(flag_key, kind)].get(rollout)
        if through is not None:
            yield from _again(database, partial(act, rollout=rollout, through_seq=through, now_ms=now_ms))
