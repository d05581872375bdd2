"""The snapshot that clients fetch: `GET /sdk/v1/snapshot` and the data of the stream's events."""

from __future__ import annotations

from functools import lru_cache
from sys import intern
from typing import Any

import msgspec

from controller.domain.conditions import check_condition
from controller.domain.errors import Invalid
from controller.domain.metrics import Family, Metric, UnitKind
from controller.domain.snapshots import PublishedFlag, PublishedRollout, Snapshot
from controller.domain.targeting import NO_TARGETING, check_targeting
from controller.wire.codec import decode
from controller.wire.targeting import (
    ConditionForm,
    TargetingForm,
    condition_form,
    condition_of,
    form_of,
    targeting_of,
)

#: Clients read no larger snapshot, so none is published.
MOST_BYTES = 8 * 1024 * 1024

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
    targeting: TargetingForm | None = None


class _RawSnapshot(msgspec.Struct):
    """The same with its flags unread, so that each is read by itself and its errors name it."""

    environment: str
    revision: int
    flags: dict[str, msgspec.Raw]
    segments: dict[str, ConditionForm] = {}


class SnapshotForm(msgspec.Struct, omit_defaults=True):
    """All flags of an environment at one revision."""

    environment: str
    revision: int
    flags: dict[str, FlagForm]
    segments: dict[str, ConditionForm] = {}


def to_wire(snapshot: Snapshot) -> bytes:
    """The snapshot as sorted JSON: the same flags give the same bytes."""
    flags = {key: _flag_form(flag) for key, flag in snapshot.flags.items()}
    segments = {key: condition_form(condition) for key, condition in snapshot.segments.items()}
    form = SnapshotForm(snapshot.environment, snapshot.revision, flags, segments)
    return msgspec.json.encode(form, order="sorted")


def from_wire(body: bytes | bytearray) -> Snapshot:
    """The snapshot that a client evaluates.

    Raises:
        Malformed, Invalid: the document cannot be trusted; keep the last good one.
    """
    form = decode(body, _RawSnapshot)
    known: dict[tuple[object, ...], dict[str, Any]] = {}
    flags = {key: _flag(key, _read(key, raw), known) for key, raw in form.flags.items()}
    segments = {key: condition_of(segment, f"segments.{key}") for key, segment in form.segments.items()}
    for key, condition in segments.items():
        check_condition(condition, f"segments.{key}")
    return Snapshot(form.environment, form.revision, flags, segments)


def _flag_form(flag: PublishedFlag) -> FlagForm:
    return FlagForm(
        variants=dict(flag.variants),
        control=flag.control,
        served=flag.served,
        enabled=flag.enabled,
        version=flag.version,
        rollout=_rollout_form(flag.rollout) if flag.rollout else None,
        targeting=form_of(flag.targeting) if flag.targeting else None,
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


def _read(key: str, raw: msgspec.Raw) -> FlagForm:
    try:
        return decode(raw, FlagForm)
    except Invalid as error:
        raise Invalid(error.detail, field=f"flags.{key}.{error.field}" if error.field else f"flags.{key}") from None


def _flag(key: str, form: FlagForm, known: dict[tuple[object, ...], dict[str, Any]]) -> PublishedFlag:
    """`known` are the variants of other flags: most flags have the same, and hold them in common."""
    for name, variant in _named_variants(form):
        if variant not in form.variants:
            raise Invalid(f"{variant!r} is not one of the flag's variants", field=f"flags.{key}.{name}")
    variants = {intern(name): value for name, value in form.variants.items()}
    if all(isinstance(value, str | int | float) for value in variants.values()):
        variants = known.setdefault(tuple((k, type(v), v) for k, v in variants.items()), variants)
    rollout = _rollout(form.rollout) if form.rollout else None
    control, served = intern(form.control), intern(form.served)
    targeting = targeting_of(form.targeting, f"flags.{key}.targeting") if form.targeting else NO_TARGETING
    check_targeting(targeting, form.variants)
    return PublishedFlag(key, variants, control, served, form.enabled, form.version, rollout, targeting)


def _named_variants(form: FlagForm) -> list[tuple[str, str]]:
    named = [("control", form.control), ("served", form.served)]
    if form.rollout:
        named += [("rollout.control", form.rollout.control), ("rollout.canary", form.rollout.canary)]
    return named


def _rollout(form: RolloutForm) -> PublishedRollout:
    return PublishedRollout(
        key=form.key,
        control=intern(form.control),
        canary=intern(form.canary),
        weight=form.weight,
        salt=form.salt,
        epoch=form.epoch,
        unit=UnitKind(form.unit) if form.unit in set(UnitKind) else UnitKind.USER_10M,
        events=_events(tuple(form.events)),
        lease_ms=form.lease_ms,
        metrics=tuple(
            Family(Metric(m.metric), m.deadline_ms, m.opens, m.closes) for m in form.metrics if m.metric in _KNOWN
        ),
        quarantined=tuple(form.quarantined),
    )


@lru_cache(maxsize=64)
def _events(names: tuple[str, ...]) -> tuple[str, ...]:
    """One object for all rollouts that judge the same events."""
    return names
