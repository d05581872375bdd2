"""A snapshot made ready for evaluation: checked as a whole, immutable, with everything prebuilt that answers share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag
from types import MappingProxyType

from openfeature.flag_evaluation import FlagMetadata

from controller.client.privacy import clean_key
from controller.domain.bucketing import WHOLE, sees_canary
from controller.domain.errors import Invalid
from controller.domain.flags import Value, value_type
from controller.domain.snapshots import Evaluation, PublishedFlag, PublishedRollout, Reason, Snapshot, evaluate


class Kind(IntFlag):
    """The types that a flag may be asked for."""

    NONE = 0
    BOOLEAN = 1
    STRING = 2
    INTEGER = 4
    FLOAT = 8
    OBJECT = 16


_KINDS = {"boolean": Kind.BOOLEAN, "string": Kind.STRING, "object": Kind.OBJECT}


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Both answers of a split between users, made once instead of with each call."""

    salt: str
    weight: int
    canary: Evaluation
    control: Evaluation

    def answer(self, targeting_key: str) -> Evaluation:
        """What `controller.domain.snapshots.evaluate` answers for this targeting key."""
        return self.canary if sees_canary(self.salt, targeting_key, self.weight) else self.control


@dataclass(frozen=True, slots=True, eq=False)
class CompiledFlag:
    """One flag, ready to be evaluated.

    Attributes:
        kinds: the types it may be asked for, as bits of `Kind`; the same for all variants, so that no user sees an
            error that another does not.
        assigned, plain, expired: flag metadata of an answer that the rollout governs; that it does not; that the
            lapsed contact lease decided. Only the first names the rollout, since only such answers are evidence.
        lease: seconds without contact that a live rollout may be served for; None where none is live.
        arms: flag and variant as the reporter counts them, by variant.
        answer, lapsed: what everybody gets, with contact and without; `answer` is None where users are split.
        split: who gets which answer then.
    """

    published: PublishedFlag
    kinds: int
    assigned: FlagMetadata
    plain: FlagMetadata
    expired: FlagMetadata
    lease: float | None
    arms: Mapping[str, tuple[str, str]]
    answer: Evaluation | None
    lapsed: Evaluation
    split: Split | None

    def metadata(self, reason: Reason) -> FlagMetadata:
        """The flag metadata that goes with an answer of this reason."""
        if reason is Reason.STALE:
            return self.expired
        return self.plain if reason is Reason.DISABLED else self.assigned


@dataclass(frozen=True, slots=True, eq=False)
class CompiledSnapshot:
    """All flags at one revision; `shortest_lease` in seconds, infinite where no rollout is live."""

    snapshot: Snapshot
    flags: Mapping[str, CompiledFlag]
    shortest_lease: float

    @property
    def revision(self) -> int:
        """The snapshot's revision."""
        return self.snapshot.revision


def compile_snapshot(snapshot: Snapshot) -> CompiledSnapshot:
    """Check a snapshot and prepare it.

    Raises:
        Invalid: a flag could not be evaluated; the error names it. Nothing of such a snapshot may be used.
    """
    if snapshot.revision < 0:
        raise Invalid("a revision is not negative", field="revision")
    flags = {key: _compile(snapshot, flag) for key, flag in snapshot.flags.items()}
    return CompiledSnapshot(
        snapshot, flags, min((flag.lease for flag in flags.values() if flag.lease), default=math.inf)
    )


def changed_flags(before: CompiledSnapshot | None, after: CompiledSnapshot) -> list[str]:
    """The keys of the flags that were added, removed or changed in any way."""
    old = before.snapshot.flags if before else {}
    new = after.snapshot.flags
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))


def _compile(snapshot: Snapshot, flag: PublishedFlag) -> CompiledFlag:
    _check(flag)
    plain: dict[str, int | str] = {"revision": snapshot.revision, "version": flag.version}
    plain["flagSetId"] = snapshot.environment
    rollout = flag.rollout
    answer, split = evaluate(flag, None), _split(flag)
    named: dict[str, int | str] = {"rollout": rollout.key, "epoch": rollout.epoch} if rollout else {}
    return CompiledFlag(
        published=flag,
        kinds=_kinds(flag.variants).value,
        assigned=MappingProxyType(plain | named),
        plain=MappingProxyType(plain),
        expired=MappingProxyType(plain | {"lease": "expired"}),
        lease=rollout.lease_ms / 1000 if rollout else None,
        arms={variant: (clean_key(flag.key), clean_key(variant)) for variant in flag.variants},
        answer=None if split else answer,
        lapsed=evaluate(flag, None, lapsed=True),
        split=split,
    )


def _split(flag: PublishedFlag) -> Split | None:
    control, rollout = evaluate(flag, None), flag.rollout
    if rollout is None or control.reason is not Reason.SPLIT:
        return None
    canary = Evaluation(rollout.canary, flag.variants[rollout.canary], Reason.SPLIT)
    return Split(rollout.salt, rollout.weight, canary, control)


def _check(flag: PublishedFlag) -> None:
    named = {"control": flag.control, "served": flag.served}
    if flag.rollout:
        named |= {"rollout.control": flag.rollout.control, "rollout.canary": flag.rollout.canary}
        _check_rollout(flag.key, flag.rollout)
    for name, variant in named.items():
        if variant not in flag.variants:
            raise Invalid(f"{variant!r} is not one of the variants", field=f"flags.{flag.key}.{name}")


def _check_rollout(key: str, rollout: PublishedRollout) -> None:
    if not 0 <= rollout.weight <= WHOLE:
        raise Invalid(f"{rollout.weight} is not within 0 and {WHOLE}", field=f"flags.{key}.rollout.weight")
    if rollout.lease_ms <= 0:
        raise Invalid(f"{rollout.lease_ms} is not a duration", field=f"flags.{key}.rollout.lease_ms")


def _kinds(variants: Mapping[str, Value | None]) -> Kind:
    types = {value_type(value) if value is not None else "null" for value in variants.values()}
    if len(types) != 1 or "null" in types:
        return Kind.NONE  # whoever asks is told of the mismatch and uses the default
    if types == {"number"}:
        whole = all(isinstance(value, int) for value in variants.values())
        return Kind.INTEGER | Kind.FLOAT if whole else Kind.FLOAT
    return _KINDS[types.pop()]
