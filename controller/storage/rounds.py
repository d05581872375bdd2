"""Each start of a rollout as a row: where its evidence begins, what it was judged by, how it ended, and its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from controller.domain.plans import Mode
from controller.domain.rollouts import Phase, Rollout
from controller.domain.tallies import Counts
from controller.storage.tables import analyses, rounds


@dataclass(frozen=True, slots=True)
class Round:
    """One round.

    Attributes:
        first_seq, first_epoch: its first slot and evidence epoch.
        constants: their digest.
        control_failed, control_total: of the control's last day, from which an automatic floor was taken.
        shared: the rollback was for something that the control shared.
        label: whether a person called its rollback true or false; None: nobody has.
    """

    rollout: str
    round: int
    flag_key: str
    canary: str
    first_seq: int
    first_epoch: int
    constants: str
    mode: str
    started_by: str
    started_ms: int
    control_failed: int = 0
    control_total: int = 0
    ended_ms: int | None = None
    ended_as: str = ""
    ended_by: str = ""
    detected_ms: int | None = None
    decided_ms: int | None = None
    verified_ms: int | None = None
    verification: dict[str, Any] | None = None
    shared: bool = False
    label: bool | None = None
    labelled_by: str = ""
    label_reason: str = ""
    labelled_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Errors:
    """How often the judge was wrong, by what people said of it.

    Attributes:
        rollbacks: by the judge. false: labelled so. unlabelled: nobody has said.
        live_ms: how long rollouts were live under a judge that may act.
    """

    rollbacks: int
    false: int
    unlabelled: int
    live_ms: int

    @property
    def false_per_100_days(self) -> float | None:
        """False rollbacks per 100 rollout-days; None before there was any."""
        return self.false / (self.live_ms / 86_400_000) * 100 if self.live_ms else None


def begin(connection: Connection, rollout: Rollout, first_seq: int, control: Counts) -> None:
    """A round has begun with this rollout's present epoch and constants, beside a control of these counts."""
    row = Round(
        rollout=rollout.key,
        round=rollout.round,
        flag_key=rollout.flag_key,
        canary=rollout.canary,
        first_seq=first_seq,
        first_epoch=rollout.epoch,
        constants=rollout.constants or "",
        mode=rollout.plan.mode.value,
        started_by=rollout.started_by,
        started_ms=rollout.stage_started_ms or 0,
        control_failed=control.failed,
        control_total=control.failed + control.delivered,
    )
    connection.execute(insert(rounds).values({name: getattr(row, name) for name in Round.__slots__}))


def note_end(connection: Connection, rollout: Rollout, actor: str, at_ms: int, *, shared: bool = False) -> None:
    """A round has ended: by promotion, or by the decision to roll back."""
    connection.execute(
        update(rounds)
        .where(*_of(rollout))
        .values(
            ended_ms=at_ms,
            ended_as=rollout.phase.value,
            ended_by=actor,
            detected_ms=rollout.detected_ms,
            decided_ms=rollout.decided_ms,
            shared=shared,
        )
    )


def note_verified(connection: Connection, rollout: Rollout, verification: dict[str, Any]) -> None:
    """The round's rollback has reached everybody."""
    connection.execute(
        update(rounds)
        .where(*_of(rollout))
        .values(verified_ms=rollout.verified_ms, verification=verification, ended_as=rollout.phase.value)
    )


def label(connection: Connection, found: Round, *, true: bool, actor: str, reason: str, at_ms: int) -> None:
    """A person says whether a rollback was right."""
    connection.execute(
        update(rounds)
        .where(rounds.c.rollout == found.rollout, rounds.c.round == found.round)
        .values(label=true, labelled_by=actor, label_reason=reason, labelled_ms=at_ms)
    )


def of_rollout(connection: Connection, rollout: str) -> list[Round]:
    """The rounds of a rollout, the first one first."""
    statement = select(rounds).where(rounds.c.rollout == rollout).order_by(rounds.c.round)
    return [Round(**row._asdict()) for row in connection.execute(statement)]


def latest(connection: Connection, rollout: str) -> Round | None:
    """The newest round of a rollout."""
    statement = select(rounds).where(rounds.c.rollout == rollout).order_by(rounds.c.round.desc()).limit(1)
    row = connection.execute(statement).one_or_none()
    return None if row is None else Round(**row._asdict())


def last_seq(connection: Connection, rollout: str) -> int:
    """The number of the last slot that was ever closed for a rollout; 0 before the first."""
    statement = select(func.max(analyses.c.seq)).where(analyses.c.rollout == rollout)
    return int(connection.execute(statement).scalar_one() or 0)


def errors(connection: Connection, now_ms: int) -> Errors:
    """How often the judge was wrong so far."""
    by_judge = (rounds.c.ended_by == "judge") & rounds.c.ended_as.in_(_BACK)
    until: ColumnElement[int] = func.coalesce(rounds.c.ended_ms, now_ms)
    statement = select(
        func.count().filter(by_judge),
        func.count().filter(by_judge & rounds.c.label.is_(False)),
        func.count().filter(by_judge & rounds.c.label.is_(None)),
        func.coalesce(func.sum(until - rounds.c.started_ms), 0),
    ).where(rounds.c.mode == Mode.ENFORCE.value)
    rollbacks, false, unlabelled, live_ms = connection.execute(statement).one()
    return Errors(rollbacks, false, unlabelled, int(live_ms))


def verified(connection: Connection) -> list[tuple[int, int]]:
    """When each verified rollback was detected and verified."""
    columns = (rounds.c.detected_ms, rounds.c.verified_ms)
    statement = select(*columns).where(rounds.c.detected_ms.is_not(None), rounds.c.verified_ms.is_not(None))
    return [(row.detected_ms, row.verified_ms) for row in connection.execute(statement)]


_BACK = (Phase.ROLLING_BACK.value, Phase.ROLLED_BACK.value)


def _of(rollout: Rollout) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return rounds.c.rollout == rollout.key, rounds.c.round == rollout.round
