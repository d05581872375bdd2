"""The snapshot that clients fetch: `GET /sdk/v1/snapshot` and the data of the stream's events."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.domain.errors import Invalid
from controller.domain.metrics import Family, Metric, UnitKind
from controller.domain.snapshots import PublishedFlag, PublishedRollout, Snapshot
from controller.wire.codec import decode

_KNOWN = {Metric.WITHIN.value, Metric.COMPLETENESS.value}


class MetricForm(msgspec.Struct, omit_defaults=True):
    """What is counted besides delivery; a metric that a client does not know is not counted by it."""

    metric: str
    deadline_ms: int
    opens: str = ""
    closes: str = ""


class RolloutForm(msgspec.Struct, omit_defaults=True):
    """A live rollout; unknown fields are ignored, so that older clients read newer snapshots."""

    key: str
    control: str
    canary: str
    weight: int
    salt: str
    epoch: int
    unit: str = UnitKind.USER_10M.value
    events: list[str] = []
    lease_ms: int = 120_000
    metrics: list[MetricForm] = []
    quarantined: list[str] = []


class FlagForm(msgspec.Struct, omit_defaults=True):
    """A flag."""

    variants: dict[str, Any]
    control: str
    served: str
    enabled: bool = True
    version: int = 1
    rollout: RolloutForm | None = None


class SnapshotForm(msgspec.Struct):
    """All flags of an environment at one revision."""

    environment: str
    revision: int
    flags: dict[str, FlagForm]


def to_wire(snapshot: Snapshot) -> bytes:
    """The snapshot as sorted JSON: the same flags give the same bytes."""
    flags = {key: _flag_form(flag) for key, flag in snapshot.flags.items()}
    form = SnapshotForm(snapshot.environment, snapshot.revision, flags)
    return msgspec.json.encode(form, order="sorted")


def from_wire(body: bytes) -> Snapshot:
    """The snapshot that a client evaluates.

    Raises:
        Malformed, Invalid: the document cannot be trusted; keep the last good one.
    """
    form = decode(body, SnapshotForm)
    flags = {key: _flag(key, flag) for key, flag in form.flags.items()}
    return Snapshot(form.environment, form.revision, flags)


def _flag_form(flag: PublishedFlag) -> FlagForm:
    return FlagForm(
        variants=dict(flag.variants),
        control=flag.control,
        served=flag.served,
        enabled=flag.enabled,
        version=flag.version,
        rollout=_rollout_form(flag.rollout) if flag.rollout else None,
    )


def _rollout_form(rollout: PublishedRollout) -> RolloutForm:
    return RolloutForm(
        key=rollout.key,
        control=rollout.control,
        canary=rollout.canary,
        weight=rollout.weight,
        salt=rollout.salt,
        epoch=rollout.epoch,
        unit=rollout.unit.value,
        events=list(rollout.events),
        lease_ms=rollout.lease_ms,
        metrics=[MetricForm(m.metric.value, m.deadline_ms, m.opens, m.closes) for m in rollout.metrics],
        quarantined=list(rollout.quarantined),
    )


def _flag(key: str, form: FlagForm) -> PublishedFlag:
    for name, variant in _named_variants(form):
        if variant not in form.variants:
            raise Invalid(f"{variant!r} is not one of the flag's variants", field=f"flags.{key}.{name}")
    rollout = _rollout(form.rollout) if form.rollout else None
    return PublishedFlag(key, form.variants, form.control, form.served, form.enabled, form.version, rollout)


def _named_variants(form: FlagForm) -> list[tuple[str, str]]:
    named = [("control", form.control), ("served", form.served)]
    if form.rollout:
        named += [("rollout.control", form.rollout.control), ("rollout.canary", form.rollout.canary)]
    return named


def _rollout(form: RolloutForm) -> PublishedRollout:
    return PublishedRollout(
        key=form.key,
        control=form.control,
        canary=form.canary,
        weight=form.weight,
        salt=form.salt,
        epoch=form.epoch,
        unit=UnitKind(form.unit) if form.unit in set(UnitKind) else UnitKind.USER_10M,
        events=tuple(form.events),
        lease_ms=form.lease_ms,
        metrics=tuple(
            Family(Metric(m.metric), m.deadline_ms, m.opens, m.closes) for m in form.metrics if m.metric in _KNOWN
        ),
        quarantined=tuple(form.quarantined),
    )
