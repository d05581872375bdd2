"""Batches: what has been taken, as reports that keep to the limits of the wire."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from controller.client.board import Taken
from controller.client.tallying import Cells, CountKey
from controller.domain.samples import SHORT_TAG
from controller.domain.tallies import EvidenceKey, Proof
from controller.wire.codec import encode
from controller.wire.reports import MOST_BYTES, MOST_ROWS, CountRow, EvidenceRow, OpenRow, OutcomeRow, Report, UserRow

_T = TypeVar("_T")

#: Room for the head of a report.
_HEAD_BYTES = 8 * 1024
#: Names and numbers of a row.
_ROW_BYTES = 320
_GZIP_ABOVE = 1024
#: A user's tag with its quotes and comma, in the measure of `_Budget.fit`.
_TAG_TEXTS = 4


@dataclass(frozen=True, slots=True)
class Frozen:
    """A batch that will be sent, unchanged but for its age, until it is acknowledged or refused.

    Attributes:
        made_ms: when, by the monotonic clock.
        more: something is left for the next batch.
        parted: it is a part of a refused one.
    """

    report: Report
    made_ms: int
    more: bool = False
    parted: bool = False

    def body(self, now_ms: int) -> tuple[bytes, dict[str, str]]:
        """The request's body as of now, and the headers that describe it."""
        body = encode(msgspec.structs.replace(self.report, age_ms=max(0, now_ms - self.made_ms)))
        headers = {"Content-Type": "application/json"}
        if len(body) > _GZIP_ABOVE:
            return gzip.compress(body, 5, mtime=0), headers | {"Content-Encoding": "gzip"}
        return body, headers


class _Budget:
    """How many bytes of a report are left, by an upper bound of what the rows take."""

    def __init__(self) -> None:
        self._left = MOST_BYTES - _HEAD_BYTES

    def fit(self, items: Iterable[_T], texts: Callable[[_T], int]) -> tuple[list[_T], list[_T]]:
        """The first items that fit, and the rest; `texts` is the number of characters in an item's texts."""
        fitting: list[_T] = []
        rest: list[_T] = []
        for item in items:
            size = _ROW_BYTES + 4 * texts(item)
            if rest or len(fitting) >= MOST_ROWS or size > self._left:
                rest.append(item)
            else:
                self._left -= size
                fitting.append(item)
        return fitting, rest


def new_batch() -> str:
    """An idempotency key."""
    return uuid.uuid4().hex


def pack(taken: Taken, head: Report, now_ms: int) -> tuple[Frozen, Taken]:
    """The report of as much as fits, and the rest.

    Evidence goes first and as a whole, gauges with it, so that the judge sees failures and successes of one moment
    together; then counts, oldest first; details come last.
    """
    budget, rest = _Budget(), Taken()
    evidence, late = budget.fit(taken.evidence.items(), lambda e: len(e[0].rollout) + len(e[0].stream))
    rest.evidence = dict(late)
    gauges, unsaid = budget.fit(taken.open_units.items(), lambda e: sum(map(len, e[0])))
    rest.open_units = dict(unsaid)
    seen, unseen = budget.fit(taken.users.items(), lambda e: len(e[0].rollout) + _TAG_TEXTS * len(e[1]))
    rest.users = dict(unseen)
    arms, rest.arms = budget.fit(taken.arms, lambda a: len(a.flag) + len(a.variant))
    by_age = sorted(taken.counts.items(), key=lambda row: row[0][3])
    counts, later = budget.fit(by_age, lambda row: len(row[0][0]) + len(row[0][1]) + len(row[0][2]))
    rest.counts = dict(later)
    outcomes, rest.outcomes = budget.fit(taken.outcomes, lambda entry: _texts(entry[1]))
    report = msgspec.structs.replace(
        head,
        batch=new_batch(),
        counts=[_count_row(key, cells, now_ms) for key, cells in counts],
        evidence=[_evidence_row(key, proof) for key, proof in evidence],
        open_units=[OpenRow(rollout, arm, stream, count) for (rollout, arm, stream), count in gauges],  # type: ignore[arg-type]
        users=[UserRow(key.rollout, key.epoch, key.arm, tags) for key, tags in seen],  # type: ignore[arg-type]
        arms=arms,
        outcomes=[_aged(row, now_ms - settled_ms) for settled_ms, row in outcomes],
    )
    return Frozen(report, now_ms, more=bool(rest)), rest


def parts_of(frozen: Frozen, seq: Callable[[], int]) -> list[Frozen]:
    """A refused batch as one batch per flag and per rollout, so that one that is unknown costs the others nothing."""
    report = frozen.report
    groups: dict[tuple[str, str], Report] = {}

    def part(kind: str, key: str) -> Report:
        if (kind, key) not in groups:
            groups[kind, key] = msgspec.structs.replace(
                report,
                batch=new_batch(),
                seq=seq(),
                counts=[],
                evidence=[],
                open_units=[],
                users=[],
                arms=[],
                outcomes=[],
            )
        return groups[kind, key]

    for field, kind in (
        ("evidence", "rollout"),
        ("open_units", "rollout"),
        ("users", "rollout"),
        ("counts", "flag"),
        ("arms", "flag"),
        ("outcomes", "flag"),
    ):
        for row in getattr(report, field):
            getattr(part(kind, getattr(row, kind)), field).append(row)
    for earlier in list(groups.values())[:-1]:
        earlier.closing = False
    return [Frozen(part, frozen.made_ms, parted=True) for part in groups.values()]


def _count_row(key: CountKey, cells: Cells, now_ms: int) -> CountRow:
    flag, variant, event_type, second = key
    return CountRow(flag, variant, event_type, max(0, now_ms - 1000 * second), *cells)


def _evidence_row(key: EvidenceKey, proof: Proof) -> EvidenceRow:
    users = [user[:SHORT_TAG] for user in proof.users]
    return EvidenceRow(key.rollout, key.epoch, key.arm, key.stream, *proof.tally, users)  # type: ignore[arg-type]


def _aged(row: OutcomeRow, age_ms: int) -> OutcomeRow:
    row.age_ms = max(0, age_ms)
    return row


def _texts(row: OutcomeRow) -> int:
    names = len(row.flag) + len(row.variant) + len(row.event_type)
    return names + len(row.event_id) + len(row.status) + len(row.reason) + len(row.user) + len(row.run)
