"""What is known of several rollouts besides their own rows: a few queries for all of them, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from controller.domain.alerts import Alert
from controller.domain.freezes import Active
from controller.domain.instances import Verification
from controller.domain.judge.constants import Constants, UnknownConstants
from controller.domain.ledger import Users
from controller.domain.rollouts import Rollout
from controller.storage import alerts, constants, freezes, ledger, quarantines, rollouts, users


@dataclass(frozen=True, slots=True)
class Gathered:
    """Rows by rollout (`quarantined`: by flag; `constants`: by digest); what is not there is left out.

    Attributes:
        analyses: the newest one of each, as a plain row.
        looked_at: when the judge last looked.
        constants: None for those that cannot be read any more: people see the rollout all the same.
        freezes: those that are on.
    """

    analyses: dict[str, dict[str, Any]]
    verifications: dict[str, Verification]
    looked_at: dict[str, int | None]
    users: dict[str, Users]
    alerts: dict[str, dict[str, Alert]]
    quarantined: dict[str, tuple[str, ...]]
    constants: dict[str, Constants | None]
    freezes: list[Active]


def gather(connection: Connection, found: Sequence[Rollout], now_ms: int) -> Gathered:
    """Read what is known of these rollouts."""
    keys = {rollout.key for rollout in found}
    newest = ledger.latest_analyses(connection, keys)
    digests = {row["constants_digest"] for row in newest.values() if row["findings"]}
    return Gathered(
        analyses=newest,
        verifications=rollouts.verifications(connection, keys),
        looked_at=ledger.looked_at(connection, keys),
        users=users.counts(connection, {(rollout.key, rollout.epoch) for rollout in found}),
        alerts=alerts.open_alerts(connection, keys),
        quarantined=quarantines.versions(connection),
        constants=_constants(connection, digests),
        freezes=freezes.active(connection, now_ms),
    )


def constants_of(connection: Connection, digest: str) -> Constants | None:
    """What something was judged by; None where that cannot be read any more."""
    try:
        return constants.get(connection, digest)
    except UnknownConstants:
        return None


def _constants(connection: Connection, digests: set[str]) -> dict[str, Constants | None]:
    constants.load(connection, digests)
    return {digest: constants_of(connection, digest) for digest in sorted(digests)}
