"""What clients report: checked against the flags as they are, made ready for the writer."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias

from controller.domain.errors import Invalid
from controller.domain.instances import Instance, InstanceArm
from controller.domain.metrics import POOLED, UnitKind
from controller.domain.outcomes import OutcomeClass
from controller.domain.retention import ALL, Detail
from controller.domain.samples import SHORT_TAG, SampleKey
from controller.domain.snapshots import PublishedRollout
from controller.domain.tallies import UNIT, Counts, EvidenceKey, Proof, Tally
from controller.domain.units import by_event
from controller.domain.windows import MOST_AGE_MS, WindowKey, event_time_ms, window_start
from controller.storage.batches import Batch, GaugeKey
from controller.storage.outcomes import Outcome
from controller.wire.reports import ArmRow, CountRow, EvidenceRow, OpenRow, OutcomeRow, Report, UserRow

#: A user's keyed hash as our clients write it; any other text is no identity.
_HASH = re.compile(r"[0-9a-f]{16,}")

_NamesVariant: TypeAlias = CountRow | ArmRow | OutcomeRow


def prepare(
    report: Report,
    received_ms: int,
    flags: Mapping[str, Collection[str]],
    rollouts: Mapping[str, PublishedRollout],
    detail: Callable[[str], Detail] = lambda _flag: ALL,
) -> Batch:
    """Check a report and turn its ages into times, by the server's clock: no client's is trusted.

    `flags` holds the variants' names by flag, `rollouts` the live rollouts by flag; those are only asked when the
    server is to count. `detail` says by flag which raw outcomes are stored; all are counted.

    Raises:
        Invalid: a row names an unknown flag or variant, or its figures contradict each other; the error names the
        field. Nothing of such a report is used.
    """
    for part, rows in (("counts", report.counts), ("arms", report.arms), ("outcomes", report.outcomes)):
        _check_names(part, rows, flags)
    _check_evidence(report.evidence)
    by_server = report.counted_by == "server"
    if by_server and (report.counts or report.evidence):
        field = "counts" if report.counts else "evidence"
        raise Invalid("the server counts from outcomes alone; leave this out or send counted_by: client", field=field)
    return Batch(
        id=report.batch,
        instance=_instance(report, received_ms),
        arms=_arms(report, received_ms),
        open_units=_open_units(report.open_units),
        windows=_counted(report, received_ms) if by_server else _windows(report, received_ms),
        evidence=_proved(report.outcomes, rollouts) if by_server else _evidence(report.evidence),
        users=_users(report.users),
        outcomes=tuple(_outcomes(report, received_ms, detail)),
    )


def _check_names(part: str, rows: Collection[_NamesVariant], flags: Mapping[str, Collection[str]]) -> None:
    named = {(row.flag, row.variant) for row in rows}
    if all(variant in flags.get(flag, ()) for flag, variant in named):
        return
    for at, row in enumerate(rows):
        variants = flags.get(row.flag)
        if variants is None:
            raise Invalid(f"there is no flag {row.flag!r}", field=f"{part}[{at}].flag")
        if row.variant not in variants:
            known = ", ".join(sorted(variants))
            raise Invalid(f"{row.variant!r} is not one of {row.flag}'s variants {known}", field=f"{part}[{at}].variant")


def _check_evidence(rows: Iterable[EvidenceRow]) -> None:
    for at, row in enumerate(rows):
        if row.failed > row.total:
            raise Invalid(f"{row.failed} failed of {row.total} cannot be", field=f"evidence[{at}].failed")
        if row.stream.rpartition("/")[2] == POOLED:
            raise Invalid("the pooled stream is added up by the server", field=f"evidence[{at}].stream")


def _instance(report: Report, received_ms: int) -> Instance:
    applied = report.applied_age_ms
    return Instance(
        id=report.instance,
        last_contact_ms=received_ms,
        revision=report.revision,
        applied_ms=None if applied is None else received_ms - report.age_ms - applied,
        seq=report.seq,
        first_seen_ms=received_ms,
        closed_ms=received_ms if report.closing else None,
        app_version=report.app_version,
        region=report.region,
        sdk=report.sdk,
        dropped=report.dropped,
        unadmitted=report.unadmitted,
        unproved=report.unproved,
        trips=report.trips,
        attempted=report.attempted,
        delivered=report.delivered,
        failed=report.failed,
        abandoned=report.abandoned,
        interrupted=report.interrupted,
        pending=report.pending,
    )


def _arms(report: Report, received_ms: int) -> tuple[InstanceArm, ...]:
    made_ms = received_ms - report.age_ms
    arms = {
        (row.flag, row.variant): InstanceArm(
            instance=report.instance,
            flag_key=row.flag,
            variant=row.variant,
            open_runs=row.open_runs,
            exposures=row.exposures,
            since_applied=row.since_applied,
            last_exposure_ms=None if row.exposure_age_ms is None else made_ms - row.exposure_age_ms,
        )
        for row in report.arms
    }
    return tuple(arms.values())


def _open_units(rows: Iterable[OpenRow]) -> dict[GaugeKey, int]:
    return {(row.rollout, row.arm, row.stream): row.open for row in rows}


def _windows(report: Report, received_ms: int) -> dict[WindowKey, Counts]:
    found: dict[WindowKey, Counts] = {}
    for row in report.counts:
        at_ms = event_time_ms(received_ms, row.age_ms + report.age_ms)
        key = WindowKey(row.flag, row.variant, row.event_type, window_start(at_ms))
        counts = Counts(row.attempts, row.delivered, row.failed, row.abandoned, row.interrupted, row.latency_ms)
        found[key] = found.get(key, Counts()).plus(counts)
    return found


def _counted(report: Report, received_ms: int) -> dict[WindowKey, Counts]:
    """The counts of a client that cannot count: one attempt and one outcome for each of its rows."""
    found: dict[WindowKey, Counts] = {}
    for row in report.outcomes:
        at_ms = event_time_ms(received_ms, row.age_ms + report.age_ms)
        key = WindowKey(row.flag, row.variant, row.event_type, window_start(at_ms))
        found[key] = found.get(key, Counts()).plus(_one(row))
    return found


def _one(row: OutcomeRow) -> Counts:
    """One outcome as counts; the latency summed up is that of deliveries."""
    latency_ms = (row.latency_ms or 0) if OutcomeClass(row.outcome) is OutcomeClass.DELIVERED else 0
    return Counts(attempts=1, latency_ms=latency_ms)._replace(**{row.outcome: 1})


def _evidence(rows: Iterable[EvidenceRow]) -> dict[EvidenceKey, Proof]:
    found: dict[EvidenceKey, Proof] = {}
    for row in rows:
        key = EvidenceKey(row.rollout, row.epoch, row.arm, row.stream)
        found[key] = found.get(key, Proof()).plus(Proof(Tally(row.failed, row.total), tuple(row.users)))
    return found


def _users(rows: Iterable[UserRow]) -> dict[SampleKey, set[str]]:
    found: dict[SampleKey, set[str]] = {}
    for row in rows:
        found.setdefault(SampleKey(row.rollout, row.epoch, row.arm), set()).update(row.tags)
    return found


def _proved(rows: Iterable[OutcomeRow], rollouts: Mapping[str, PublishedRollout]) -> dict[EvidenceKey, Proof]:
    """The evidence of a client that cannot count: only where each event is a unit, since units need a client's book."""
    found: dict[EvidenceKey, Proof] = {}
    for row in rows:
        rollout = rollouts.get(row.flag)
        if rollout is None or rollout.unit is not UnitKind.EVENT or row.event_type not in rollout.events:
            continue
        arm = rollout.arm_of(row.variant)
        if arm is None:
            continue
        epoch = row.epoch or rollout.epoch
        for stream, failed in by_event(rollout.rules(), row.event_type, OutcomeClass(row.outcome), row.latency_ms):
            key = EvidenceKey(rollout.key, epoch, arm.value, stream)
            users = (row.user[:SHORT_TAG],) if failed and _HASH.fullmatch(row.user) else ()
            found[key] = found.get(key, Proof()).plus(Proof(Tally(UNIT if failed else 0, UNIT), users))
    return found


def _outcomes(report: Report, received_ms: int, detail: Callable[[str], Detail]) -> Iterable[Outcome]:
    less = {flag: kept for flag in {row.flag for row in report.outcomes} if (kept := detail(flag)) != ALL}
    instance, age_ms = report.instance, report.age_ms
    oldest_ms = event_time_ms(received_ms, MOST_AGE_MS)
    for row in report.outcomes:
        if less and row.flag in less and not less[row.flag].keeps(row.outcome, row.run or row.user or row.event_id):
            continue
        # The inner loop of ingest: by position, in the order of Outcome's fields, and without any call but one.
        fields = (
            row.flag,
            row.variant,
            row.event_type,
            row.outcome,
            max(received_ms - row.age_ms - age_ms, oldest_ms),
            instance,
            row.epoch,
            row.event_id,
            row.latency_ms,
            row.status,
            row.reason,
            row.user,
            row.run,
        )
        yield tuple.__new__(Outcome, fields)
