"""The snapshot that clients fetch: `GET /sdk/v1/snapshot` and the data of the stream's events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from sys import intern
from typing import Any

import msgspec

from controller.domain.conditions import check_condition
from controller.domain.errors import Invalid
from controller.domain.metrics import Family, Metric, UnitKind
from controller.domain.plans import Breaker
from controller.domain.snapshots import PublishedBreaker, PublishedFlag, PublishedRollout, Snapshot
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


class BreakerForm(msgspec.Struct, omit_defaults=True):
    """What a client does when its own outcomes convict the canary; `judge` names an entry of the snapshot's `judges`.

    A mode or a judge that a client does not know trips nothing.
    """

    mode: str
    round: int
    judge: str


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
    breaker: BreakerForm | None = None


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
    judges: dict[str, msgspec.Raw] = {}


class SnapshotForm(msgspec.Struct, omit_defaults=True):
    """All flags of an environment at one revision; `judges` are constants that many rollouts have in common."""

    environment: str
    revision: int
    flags: dict[str, FlagForm]
    segments: dict[str, ConditionForm] = {}
    judges: dict[str, msgspec.Raw] = {}


def to_wire(snapshot: Snapshot) -> bytes:
    """The snapshot as sorted JSON: the same flags give the same bytes."""
    flags = {key: _flag_form(flag) for key, flag in snapshot.flags.items()}
    segments = {key: condition_form(condition) for key, condition in snapshot.segments.items()}
    breakers = [flag.rollout.breaker for flag in snapshot.flags.values() if flag.rollout and flag.rollout.breaker]
    judges = {_digest(text): msgspec.Raw(text.encode()) for text in {breaker.constants for breaker in breakers}}
    form = SnapshotForm(snapshot.environment, snapshot.revision, flags, segments, judges)
    return msgspec.json.encode(form, order="sorted")


def from_wire(body: bytes | bytearray) -> Snapshot:
    """The snapshot that a client evaluates.

    Raises:
        Malformed, Invalid: the document cannot be trusted; keep the last good one.
    """
    form = decode(body, _RawSnapshot)
    known = _Known({name: bytes(raw).decode() for name, raw in form.judges.items()})
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
        breaker=_breaker_form(rollout.breaker) if rollout.breaker else None,
    )


def _breaker_form(breaker: PublishedBreaker) -> BreakerForm:
    return BreakerForm(breaker.mode.value, breaker.round, _digest(breaker.constants))


@lru_cache(maxsize=256)
def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _read(key: str, raw: msgspec.Raw) -> FlagForm:
    try:
        return decode(raw, FlagForm)
    except Invalid as error:
        raise Invalid(error.detail, field=f"flags.{key}.{error.field}" if error.field else f"flags.{key}") from None


@dataclass(slots=True)
class _Known:
    """What flags hold in common: constants of judges by name, and the variants that most flags have alike."""

    judges: dict[str, str]
    variants: dict[tuple[object, ...], dict[str, Any]] = field(default_factory=dict)


def _flag(key: str, form: FlagForm, known: _Known) -> PublishedFlag:
    for name, variant in _named_variants(form):
        if variant not in form.variants:
            raise Invalid(f"{variant!r} is not one of the flag's variants", field=f"flags.{key}.{name}")
    variants = {intern(name): value for name, value in form.variants.items()}
    if all(isinstance(value, str | int | float) for value in variants.values()):
        variants = known.variants.setdefault(tuple((k, type(v), v) for k, v in variants.items()), variants)
    rollout = _rollout(form.rollout, known.judges) if form.rollout else None
    control, served = intern(form.control), intern(form.served)
    targeting = targeting_of(form.targeting, f"flags.{key}.targeting") if form.targeting else NO_TARGETING
    check_targeting(targeting, form.variants)
    return PublishedFlag(key, variants, control, served, form.enabled, form.version, rollout, targeting)


def _named_variants(form: FlagForm) -> list[tuple[str, str]]:
    named = [("control", form.control), ("served", form.served)]
    if form.rollout:
        named += [("rollout.control", form.rollout.control), ("rollout.canary", form.rollout.canary)]
    return named


def _rollout(form: RolloutForm, judges: Mapping[str, str]) -> PublishedRollout:
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
        breaker=_breaker(form.breaker, judges) if form.breaker else None,
    )


def _breaker(form: BreakerForm, judges: Mapping[str, str]) -> PublishedBreaker | None:
    if form.judge not in judges or form.mode not in set(Breaker):
        return None
    return PublishedBreaker(Breaker(form.mode), form.round, judges[form.judge])


@lru_cache(maxsize=64)
def _events(names: tuple[str, ...]) -> tuple[str, ...]:
    """One object for all rollouts that judge the same events."""
    return names
