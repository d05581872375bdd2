"""A snapshot made ready for an application: checked as a whole and compiled, with all answers prebuilt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntFlag
from functools import partial
from types import MappingProxyType
from typing import Any

from openfeature.flag_evaluation import FlagMetadata

from controller.domain.bucketing import WHOLE
from controller.domain.errors import Invalid
from controller.domain.evaluation import (
    Choice,
    Evaluation,
    Reason,
    compile_flag,
    compile_segments,
    keyless_answer,
    lapsed_answer,
)
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
#: The metadata that says why the control is served although a rollout is live: `lease`, `breaker` or `quarantine`.
WITHHELD = "reason"
LEASE = "lease"
QUARANTINE = "quarantine"


class Answer:
    """One answer that a flag can give, made once; it counts how often it was given, and when last (monotonic seconds).

    `count` and `at` are written without a lock by whoever asks. Under the interpreter's lock nothing is lost; on a
    build without one single exposures of simultaneous callers may be, but never all of them. `told` is how many of
    them the reporter has taken up; nobody else writes it.
    """

    __slots__ = ("at", "count", "flag", "metadata", "reason", "told", "value", "variant")

    def __init__(self, flag: str, evaluation: Evaluation, metadata: FlagMetadata) -> None:
        self.flag = flag
        self.variant = evaluation.variant
        self.value: Any = evaluation.value
        self.reason = evaluation.reason.value
        self.metadata = metadata
        self.count = self.told = 0
        self.at = 0.0


class Assigned(Mapping[str, bool | int | float | str]):
    """The flag metadata of an answer that a rollout governs; others have no `rollout` and no `epoch`.

    A thousand live rollouts have a thousand of them, so this holds two references and no table.
    """

    __slots__ = ("_plain", "rollout")

    def __init__(self, plain: FlagMetadata, rollout: PublishedRollout) -> None:
        self._plain = plain
        self.rollout = rollout

    def __getitem__(self, name: str) -> bool | int | float | str:
        if name == "rollout":
            return self.rollout.key
        return self.rollout.epoch if name == "epoch" else self._plain[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._plain
        yield from ("rollout", "epoch")

    def __len__(self) -> int:
        return len(self._plain) + 2

    def __repr__(self) -> str:
        return repr(dict(self))


class CompiledFlag:
    """One flag, ready to be asked.

    Attributes:
        kinds: the types it may be asked for, as bits of `Kind`; the same for all variants, so that no user sees an
            error that another does not.
        choose: the answer for a targeting key and attributes; None where it splits users and no key is given.
        lease: seconds without contact that the live rollout may be served for; infinite where none is live.
        rollout: the live rollout's key.
    """

    __slots__ = ("_keyless", "_lapsed", "_shared", "choose", "kinds", "lease", "published")

    def __init__(self, published: PublishedFlag, choose: Choice[Answer], lease: float, shared: _Shared) -> None:
        self.published = published
        self.kinds = shared.kinds(published.variants)
        self.choose = choose
        self.lease = lease
        self._shared = shared
        self._lapsed: Answer | None = None
        self._keyless: Answer | None = None

    @property
    def rollout(self) -> str | None:
        """The key of the live rollout whose lease is kept."""
        return self.published.rollout.key if self.published.rollout and self.lease != math.inf else None

    def lapsed(self) -> Answer:
        """Everybody's answer when the lease has run out; made when it is needed, which is hardly ever."""
        return self._lapsed or self.withheld(LEASE)

    def keyless(self) -> Answer:
        """What a split answers without a targeting key."""
        if self._keyless is None:
            self._keyless = self._shared.dress(self.published, keyless_answer(self.published))
        return self._keyless

    def withheld(self, reason: str) -> Answer:
        """The control for everybody, although a rollout is live, and why."""
        found = lapsed_answer(self.published) or keyless_answer(self.published)
        if reason == QUARANTINE:  # the controller's word is heard, and it is this
            found = replace(found, reason=Reason.DISABLED)
        self._lapsed = self._shared.dress(self.published, found, reason)
        return self._lapsed


class _Shared:
    """What the flags of one snapshot have in common, held once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.answers: list[Answer] = []
        self._snapshot = snapshot
        self._plain: dict[tuple[int, str], FlagMetadata] = {}
        self._kinds: dict[int, int] = {}
        self._assigned: Assigned | None = None

    def kinds(self, variants: Mapping[str, Value]) -> int:
        """The types of these variants; equal variants are one object by now."""
        if id(variants) not in self._kinds:
            self._kinds[id(variants)] = _kinds(variants).value
        return self._kinds[id(variants)]

    def dress(self, flag: PublishedFlag, evaluation: Evaluation, withheld: str = "") -> Answer:
        """An answer with its metadata, counted from now on."""
        metadata = self.plain(flag.version, withheld)
        if evaluation.governed and flag.rollout is not None:
            if self._assigned is None or self._assigned.rollout is not flag.rollout:
                self._assigned = Assigned(metadata, flag.rollout)
            metadata = self._assigned
        elif evaluation.rule:
            metadata = MappingProxyType({**metadata, "rule": evaluation.rule})
        answer = Answer(flag.key, evaluation, metadata)
        self.answers.append(answer)
        return answer

    def plain(self, version: int, withheld: str) -> FlagMetadata:
        """The metadata that all answers have; `reason` where a rollout is withheld."""
        if (version, withheld) not in self._plain:
            said: dict[str, int | str] = {"revision": self._snapshot.revision, "version": version}
            said["flagSetId"] = self._snapshot.environment
            self._plain[version, withheld] = MappingProxyType(said | ({WITHHELD: withheld} if withheld else {}))
        return self._plain[version, withheld]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledSnapshot:
    """All flags at one revision.

    Attributes:
        shortest_lease: in seconds, infinite where no rollout is live.
        answers: everything that can be answered; it grows by those that are made when needed.
    """

    snapshot: Snapshot
    flags: Mapping[str, CompiledFlag]
    shortest_lease: float
    answers: list[Answer]

    @property
    def revision(self) -> int:
        """The snapshot's revision."""
        return self.snapshot.revision

    def leases(self) -> Iterator[tuple[str, float]]:
        """The live rollouts with their leases in seconds."""
        return ((flag.rollout, flag.lease) for flag in self.flags.values() if flag.rollout is not None)

    def quarantining(self, app_version: str) -> Iterator[str]:
        """The live rollouts in which this application version has failed."""
        for flag in self.snapshot.flags.values():
            if app_version and flag.rollout is not None and app_version in flag.rollout.quarantined:
                yield flag.rollout.key

    def withholding(self, reasons: Mapping[str, str]) -> CompiledSnapshot:
        """The same, with the control for everybody where a rollout is withheld; `reasons` by the rollout's key."""
        said = {key: reasons.get(flag.rollout) for key, flag in self.flags.items() if flag.rollout is not None}
        withheld = {key: _withheld(self.flags[key], reason) for key, reason in said.items() if reason}
        if not withheld:
            return self
        return CompiledSnapshot(self.snapshot, {**self.flags, **withheld}, self.shortest_lease, self.answers)


def compile_snapshot(snapshot: Snapshot, lease_share: float = 1.0) -> CompiledSnapshot:
    """Check a snapshot and prepare it; leases are used to this share of their length.

    Raises:
        Invalid: a flag could not be evaluated; the error names it. Nothing of such a snapshot may be used.
    """
    if snapshot.revision < 0:
        raise Invalid("a revision is not negative", field="revision")
    segments, shared = compile_segments(snapshot.segments), _Shared(snapshot)
    leases = {f.rollout.lease_ms: f.rollout.lease_ms / 1000 * lease_share for f in snapshot.flags.values() if f.rollout}
    flags = {key: _compile(flag, segments, leases, shared) for key, flag in snapshot.flags.items()}
    shortest = min((flag.lease for flag in flags.values()), default=math.inf)
    return CompiledSnapshot(snapshot, flags, shortest, shared.answers)


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
    flag: PublishedFlag, segments: Mapping[str, Matcher], leases: Mapping[int, float], shared: _Shared
) -> CompiledFlag:
    _check(flag)
    try:
        choose = compile_flag(flag, segments, partial(shared.dress, flag))
    except Invalid as error:
        raise Invalid(error.detail, field=f"flags.{flag.key}.targeting") from None
    live = flag.rollout is not None and flag.enabled
    return CompiledFlag(flag, choose, leases[flag.rollout.lease_ms] if live and flag.rollout else math.inf, shared)


def _withheld(flag: CompiledFlag, reason: str) -> CompiledFlag:
    held = CompiledFlag(flag.published, flag.choose, flag.lease, flag._shared)  # noqa: SLF001 - its own kind
    answer = held.withheld(reason)
    held.choose = lambda _key, _attributes: answer
    return held


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
