"""A snapshot made ready for an application: checked as a whole and compiled, with all answers prebuilt."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntFlag
from functools import partial
from types import MappingProxyType
from typing import Any

from openfeature.flag_evaluation import FlagMetadata

from controller.domain.bucketing import WHOLE
from controller.domain.errors import Invalid
from controller.domain.evaluation import Evaluation, Reason, compile_flag, compile_segments
from controller.domain.flags import Value, value_type
from controller.domain.matching import Matcher
from controller.domain.snapshots import PublishedFlag, PublishedRollout, Snapshot


class Kind(IntFlag):
    """The types that a flag may be asked for."""

    NONE = 0
    BOOLEAN = 1
    STRING = 2
    INTEGER = 4
    FLOAT = 8
    OBJECT = 16


_KINDS = {"boolean": Kind.BOOLEAN, "string": Kind.STRING, "object": Kind.OBJECT}
#: The metadata that says why the control is served although a rollout is live: `lease` or `breaker`.
WITHHELD = "reason"
LEASE = "lease"


class Answer:
    """One answer that a flag can give, made once; it counts how often it was given, and when last (monotonic seconds).

    `count` and `at` are written without a lock by whoever asks. Under the interpreter's lock nothing is lost; on a
    build without one single exposures of simultaneous callers may be, but never all of them. `told` is how many of
    them the reporter has taken up; nobody else writes it.
    """

    __slots__ = ("at", "count", "flag", "governed", "keyless", "metadata", "reason", "told", "value", "variant")

    def __init__(self, flag: str, evaluation: Evaluation, metadata: FlagMetadata) -> None:
        self.flag = flag
        self.variant = evaluation.variant
        self.value: Any = evaluation.value
        self.reason = evaluation.reason.value
        self.metadata = metadata
        self.governed = evaluation.governed
        self.keyless = evaluation.keyless
        self.count = self.told = 0
        self.at = 0.0


class CompiledFlag:
    """One flag, ready to be asked.

    Attributes:
        kinds: the types it may be asked for, as bits of `Kind`; the same for all variants, so that no user sees an
            error that another does not.
        choose: the answer for a targeting key and attributes.
        lease: seconds without contact that the live rollout may be served for; infinite where none is live.
        lapsed: the answer after that.
        answers: all that it can give, for counting.
    """

    __slots__ = ("answers", "choose", "kinds", "lapsed", "lease", "rollout")

    def __init__(
        self,
        kinds: int,
        choose: Callable[[str | None, Mapping[str, Any]], Answer],
        lease: float,
        lapsed: Answer | None,
        answers: tuple[Answer, ...],
        rollout: str | None = None,
    ) -> None:
        self.kinds = kinds
        self.choose = choose
        self.lease = lease
        self.lapsed = lapsed
        self.answers = answers
        self.rollout = rollout


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

    def leases(self) -> Iterator[tuple[str, float]]:
        """The live rollouts with their leases in seconds."""
        return ((flag.rollout, flag.lease) for flag in self.flags.values() if flag.rollout is not None)

    def withholding(self, reasons: Mapping[str, str]) -> CompiledSnapshot:
        """The same, with the control for everybody where a rollout is withheld; `reasons` by the rollout's key."""
        said = {key: reasons.get(flag.rollout) for key, flag in self.flags.items() if flag.rollout is not None}
        withheld = {
            key: _withheld(self.snapshot, key, self.flags[key], reason) for key, reason in said.items() if reason
        }
        return CompiledSnapshot(self.snapshot, {**self.flags, **withheld}, self.shortest_lease) if withheld else self


def compile_snapshot(snapshot: Snapshot, lease_share: float = 1.0) -> CompiledSnapshot:
    """Check a snapshot and prepare it; leases are used to this share of their length.

    Raises:
        Invalid: a flag could not be evaluated; the error names it. Nothing of such a snapshot may be used.
    """
    if snapshot.revision < 0:
        raise Invalid("a revision is not negative", field="revision")
    segments = compile_segments(snapshot.segments)
    flags = {key: _compile(snapshot, flag, segments, lease_share) for key, flag in snapshot.flags.items()}
    return CompiledSnapshot(snapshot, flags, min((flag.lease for flag in flags.values()), default=math.inf))


def changed_flags(before: CompiledSnapshot | None, after: CompiledSnapshot) -> list[str]:
    """The keys of the flags that were added, removed or changed in any way; with a segment, all that name it."""
    old = before.snapshot if before else Snapshot("", 0, {})
    new = after.snapshot
    moved = {key for key in {*old.segments, *new.segments} if old.segments.get(key) != new.segments.get(key)}
    return sorted(
        key
        for key in {*old.flags, *new.flags}
        if old.flags.get(key) != new.flags.get(key) or (moved and new.flags[key].targeting.segments & moved)
    )


def _compile(
    snapshot: Snapshot, flag: PublishedFlag, segments: Mapping[str, Matcher], lease_share: float
) -> CompiledFlag:
    _check(flag)
    made: list[Answer] = []
    dress = partial(_dress, made, flag.key, _metadata(snapshot, flag))
    try:
        compiled = compile_flag(flag, segments, dress)
    except Invalid as error:
        raise Invalid(error.detail, field=f"flags.{flag.key}.targeting") from None
    rollout = flag.rollout if compiled.lapsed is not None else None
    return CompiledFlag(
        kinds=_kinds(flag.variants).value,
        choose=compiled.choose,
        lease=rollout.lease_ms / 1000 * lease_share if rollout else math.inf,
        lapsed=compiled.lapsed,
        answers=tuple(made),
        rollout=rollout.key if rollout else None,
    )


class _Metadata:
    """The flag metadata of each kind of answer, built once: those that the rollout governs name it, no others do."""

    def __init__(self, plain: dict[str, int | str], assigned: dict[str, int | str]) -> None:
        self.plain: FlagMetadata = MappingProxyType(plain)
        self.assigned: FlagMetadata = MappingProxyType(plain | assigned) if assigned else self.plain

    def of(self, answer: Evaluation) -> FlagMetadata:
        if answer.governed:
            return self.assigned
        if answer.reason is Reason.STALE:
            return MappingProxyType({**self.plain, WITHHELD: LEASE})
        return MappingProxyType({**self.plain, "rule": answer.rule}) if answer.rule else self.plain


def _metadata(snapshot: Snapshot, flag: PublishedFlag) -> _Metadata:
    plain: dict[str, int | str] = {"revision": snapshot.revision, "version": flag.version}
    plain["flagSetId"] = snapshot.environment
    rollout = flag.rollout
    return _Metadata(plain, {"rollout": rollout.key, "epoch": rollout.epoch} if rollout else {})


def _dress(made: list[Answer], key: str, metadata: _Metadata, evaluation: Evaluation) -> Answer:
    answer = Answer(key, evaluation, metadata.of(evaluation))
    made.append(answer)
    return answer


def _withheld(snapshot: Snapshot, key: str, flag: CompiledFlag, reason: str) -> CompiledFlag:
    published = snapshot.flags[key]
    control = published.rollout.control if published.rollout else published.control
    evaluation = Evaluation(control, published.variants[control], Reason.STALE)
    metadata: FlagMetadata = MappingProxyType({**_metadata(snapshot, published).plain, WITHHELD: reason})
    answer = Answer(key, evaluation, metadata)
    return CompiledFlag(
        flag.kinds, lambda _key, _attributes: answer, flag.lease, answer, (*flag.answers, answer), flag.rollout
    )


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
    if not rollout.salt.isascii():
        raise Invalid("a salt is ASCII", field=f"flags.{key}.rollout.salt")


def _kinds(variants: Mapping[str, Value | None]) -> Kind:
    types = {value_type(value) if value is not None else "null" for value in variants.values()}
    if len(types) != 1 or "null" in types:
        return Kind.NONE  # whoever asks is told of the mismatch and uses the default
    if types == {"number"}:
        whole = all(isinstance(value, int) for value in variants.values())
        return Kind.INTEGER | Kind.FLOAT if whole else Kind.FLOAT
    return _KINDS[types.pop()]
