"""The outbox, and the line of each channel: every notice once in every channel that hears of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, inspect, or_, select, update

from controller.domain.deliveries import CLAIM_MS, Placed, State
from controller.domain.errors import NotFound
from controller.domain.notices import Notice
from controller.storage import snapshots
from controller.storage.tables import channels, deliveries, outbox

_OPEN = (State.WAITING.value, State.SENDING.value)
_OVER = (State.DELIVERED.value, State.QUIET.value)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice on its way to one channel.

    Attributes:
        deferred: it waits for the end of a quiet time.
        attempts: how often it was begun; whoever settles it names the attempt, so that a late word counts for nothing.
        since_ms: from when on it is counted whether to give up.
    """

    id: int
    notice: int
    channel: str
    kind: str
    topic: str
    state: str
    deferred: bool
    attempts: int
    created_ms: int
    since_ms: int
    due_ms: int
    claimed_ms: int | None
    settled_ms: int | None
    error: str


def ready(connection: Connection) -> bool:
    """Whether the schema has lines of channels at all: that of the release before has none."""
    return inspect(connection).has_table(deliveries.name)


def unsent(connection: Connection, limit: int) -> list[Notice]:
    """Notices that are in no line yet, the oldest first."""
    statement = select(outbox).where(outbox.c.delivered_ms.is_(None)).order_by(outbox.c.id).limit(limit)
    statement = statement.with_for_update(skip_locked=True)
    return [_notice(row) for row in connection.execute(statement)]


def notices(connection: Connection, numbers: Collection[int]) -> dict[int, Notice]:
    """Some notices by number."""
    rows = connection.execute(select(outbox).where(outbox.c.id.in_(sorted(numbers))))
    return {row.id: _notice(row) for row in rows}


def notice_of(told: Mapping[int, Notice], one: Delivery) -> Notice:
    """The notice of a delivery; one that is kept no longer is told by what the delivery knows of it."""
    return told.get(one.notice) or Notice(one.notice, one.created_ms, one.kind, one.topic.partition("#")[0])


def mark_sent(connection: Connection, numbers: Collection[int], now_ms: int) -> None:
    """These are in the lines of all their channels."""
    connection.execute(update(outbox).where(outbox.c.id.in_(sorted(numbers))).values(delivered_ms=now_ms))


def write_test(connection: Connection, channel: str, actor: str, now_ms: int) -> Notice:
    """A notice for one channel alone."""
    body = {"actor": actor, "reason": "", "message": "If you can read this, notices of this controller reach you."}
    values = {"at_ms": now_ms, "kind": "notify.test", "subject": f"channel/{channel}", "body": body}
    made = connection.execute(insert(outbox).values(**values, delivered_ms=now_ms).returning(outbox)).one()
    return _notice(made)


def put(connection: Connection, notice: Notice, channel: str, placed: Placed, now_ms: int) -> int:
    """Put a notice into a channel's line; returns its number there."""
    settled = now_ms if placed.state is State.QUIET else None
    values = {
        "notice": notice.id,
        "channel": channel,
        "kind": notice.kind,
        "topic": notice.topic,
        "state": placed.state.value,
        "deferred": placed.due_ms > now_ms,
        "attempts": 0,
        "created_ms": now_ms,
        "since_ms": placed.due_ms,
        "due_ms": placed.due_ms,
        "settled_ms": settled,
        "error": "",
    }
    return int(connection.execute(insert(deliveries).values(**values).returning(deliveries.c.id)).scalar_one())


def deferred(connection: Connection, channel: str, topic: str) -> Delivery | None:
    """The delivery of a topic that waits for the end of a quiet time."""
    here = _of(channel, topic) & deliveries.c.deferred & (deliveries.c.state == State.WAITING.value)
    row = connection.execute(select(deliveries).where(here, deliveries.c.attempts == 0)).first()
    return None if row is None else Delivery(**row._asdict())


def told_ms(connection: Connection, channel: str, topic: str, kind: str) -> int | None:
    """When the last one of a topic and kind was put into the line to be told."""
    untold = (State.QUIET.value, State.DEAD.value)
    here = _of(channel, topic) & (deliveries.c.kind == kind) & deliveries.c.state.not_in(untold)
    statement = select(func.max(deliveries.c.due_ms)).where(here, ~_still_deferred())
    found: int | None = connection.execute(statement).scalar_one()
    return found


def silence(connection: Connection, number: int, now_ms: int) -> None:
    """A repeat that is not told."""
    values = {"state": State.QUIET.value, "settled_ms": now_ms}
    connection.execute(update(deliveries).where(deliveries.c.id == number).values(**values))


def silence_about(connection: Connection, channel: str, subject: str, now_ms: int) -> None:
    """Nothing that waits for the end of a quiet time is said about a subject any more."""
    topics = or_(deliveries.c.topic == subject, deliveries.c.topic.startswith(f"{subject}#", autoescape=True))
    here = (deliveries.c.channel == channel) & topics & _still_deferred()
    connection.execute(update(deliveries).where(here).values(state=State.QUIET.value, settled_ms=now_ms))


def repeats(connection: Connection, one: Delivery) -> int:
    """How many of its topic and kind were kept quiet since the last one that was told."""
    same = _of(one.channel, one.topic) & (deliveries.c.kind == one.kind) & (deliveries.c.id < one.id)
    told = select(func.max(deliveries.c.id)).where(same, deliveries.c.state != State.QUIET.value).scalar_subquery()
    quiet = same & (deliveries.c.state == State.QUIET.value) & (deliveries.c.id > func.coalesce(told, 0))
    return int(connection.execute(select(func.count()).select_from(deliveries).where(quiet)).scalar_one())


def anything(connection: Connection, busy: Collection[str], now_ms: int) -> bool:
    """Whether there is anything to do: a cheap look before a transaction that writes."""
    unsent_ = exists().where(outbox.c.delivered_ms.is_(None))
    free = select(channels.c.name).where(channels.c.enabled, channels.c.name.not_in(sorted(busy)))
    due = exists().where(_due(now_ms), deliveries.c.channel.in_(free))
    return bool(connection.execute(select(unsent_ | due)).scalar_one())


def begin_next(connection: Connection, busy: Collection[str], now_ms: int) -> list[Delivery]:
    """Begin the next delivery of each enabled channel that is not busy; the fewest attempts first, then the oldest.

    So a notice that comes now does not wait behind many that a channel failed to take.
    """
    ranked = (
        select(
            deliveries.c.id,
            func.row_number()
            .over(partition_by=deliveries.c.channel, order_by=(deliveries.c.attempts, deliveries.c.id))
            .label("rank"),
        )
        .join(channels, channels.c.name == deliveries.c.channel)
        .where(_due(now_ms), channels.c.enabled, deliveries.c.channel.not_in(sorted(busy)))
        .subquery()
    )
    chosen = select(ranked.c.id).where(ranked.c.rank == 1)
    begun = (
        update(deliveries)
        .where(deliveries.c.id.in_(chosen), _due(now_ms))  # asked of the row once it is locked: it settles a race
        .values(state=State.SENDING.value, claimed_ms=now_ms, attempts=deliveries.c.attempts + 1)
        .returning(deliveries)
    )
    return [Delivery(**row._asdict()) for row in connection.execute(begun)]


def settle(connection: Connection, one: Delivery, state: State, at_ms: int, error: str, now_ms: int) -> bool:
    """What came of an attempt; False where it has been begun again meanwhile, so that this word counts for nothing."""
    here = (deliveries.c.id == one.id) & (deliveries.c.attempts == one.attempts)
    values = {
        "state": state.value,
        "due_ms": at_ms if state is State.WAITING else one.due_ms,
        "settled_ms": None if state is State.WAITING else now_ms,
        "error": error,
    }
    here &= deliveries.c.state == State.SENDING.value
    return connection.execute(update(deliveries).where(here).values(**values)).rowcount == 1


def get(connection: Connection, number: int) -> Delivery:
    """One delivery.

    Raises:
        NotFound: there is none of this number, or no longer.
    """
    row = connection.execute(select(deliveries).where(deliveries.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"there is no delivery {number}; `canary notify deliveries` shows them", field="id")
    return Delivery(**row._asdict())


def before(
    connection: Connection, number: int, limit: int, *, state: str | None = None, channel: str | None = None
) -> list[Delivery]:
    """Deliveries older than `number`, the newest first."""
    statement = select(deliveries).where(deliveries.c.id < number).order_by(deliveries.c.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(deliveries.c.state == state)
    if channel is not None:
        statement = statement.where(deliveries.c.channel == channel)
    return [Delivery(**row._asdict()) for row in connection.execute(statement)]


def revive(connection: Connection, number: int, now_ms: int) -> bool:
    """A dead letter is tried again from the beginning; False where it is none."""
    here = (deliveries.c.id == number) & (deliveries.c.state == State.DEAD.value)
    values = {"state": State.WAITING.value, "due_ms": now_ms, "since_ms": now_ms, "settled_ms": None, "attempts": 0}
    return connection.execute(update(deliveries).where(here).values(**values)).rowcount == 1


def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """How many deliveries there are by channel and state, of those that are open or dead."""
    listed = deliveries.c.state.in_((*_OPEN, State.DEAD.value))
    statement = select(deliveries.c.channel, deliveries.c.state, func.count()).where(listed)
    rows = connection.execute(statement.group_by(deliveries.c.channel, deliveries.c.state))
    return {(channel, state): int(count) for channel, state, count in rows}


def oldest_ms(connection: Connection, now_ms: int) -> int | None:
    """Since when the oldest notice waits that should have been told by now; None where there is none.

    Deferred repeats wait on purpose, those of a channel that is switched off as well, and dead letters do not wait.
    """
    unsent_ = connection.execute(select(func.min(outbox.c.at_ms)).where(outbox.c.delivered_ms.is_(None))).scalar_one()
    late = deliveries.c.state.in_(_OPEN) & (deliveries.c.since_ms <= now_ms) & channels.c.enabled
    joined = deliveries.join(channels, channels.c.name == deliveries.c.channel)
    waiting = select(func.min(deliveries.c.since_ms)).select_from(joined).where(late)
    found = [one for one in (unsent_, connection.execute(waiting).scalar_one()) if one is not None]
    return min(found, default=None)


def forget(connection: Connection, before_ms: int, limit: int) -> int:
    """Remove old deliveries that are over, and then notices that no delivery names; returns how many rows went."""
    old = select(deliveries.c.id).where(deliveries.c.state.in_(_OVER), deliveries.c.settled_ms < before_ms).limit(limit)
    gone = connection.execute(delete(deliveries).where(deliveries.c.id.in_(old))).rowcount
    named = exists().where(deliveries.c.notice == outbox.c.id)
    bare = select(outbox.c.id).where(outbox.c.delivered_ms < before_ms, ~named).limit(limit)
    return gone + connection.execute(delete(outbox).where(outbox.c.id.in_(bare))).rowcount


def key(connection: Connection, notice: int, channel: str) -> str:
    """The idempotency key of a notice on a channel: the same at each attempt, whoever makes it."""
    text = f"{notice}/{channel}".encode()
    return (
        "msg_"
        + blake2b(text, key=snapshots.hash_key(connection), digest_size=16, person=b"canary-delivery").hexdigest()
    )


def _notice(row: Any) -> Notice:
    body = row.body
    said = {name: str(body.get(name, ""))[:2_000] for name in ("actor", "reason", "message", "alert")}
    return Notice(row.id, row.at_ms, row.kind, row.subject, **said)


def _of(channel: str, topic: str) -> ColumnElement[bool]:
    return (deliveries.c.channel == channel) & (deliveries.c.topic == topic)


def _still_deferred() -> ColumnElement[bool]:
    return deliveries.c.deferred & (deliveries.c.state == State.WAITING.value) & (deliveries.c.attempts == 0)


def _due(now_ms: int) -> ColumnElement[bool]:
    waiting = (deliveries.c.state == State.WAITING.value) & (deliveries.c.due_ms <= now_ms)
    lost = (deliveries.c.state == State.SENDING.value) & (deliveries.c.claimed_ms <= now_ms - CLAIM_MS)
    return waiting | lost
