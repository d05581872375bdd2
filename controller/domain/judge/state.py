"""What the judge remembers between slots: a handful of whole numbers per stream."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from controller.domain.judge.constants import Constants

#: An upper bound that has not been reached yet, in parts of a million.
NO_UPPER = 999_999


@dataclass(slots=True)
class Track:
    """One stream of a guard on one arm.

    Attributes:
        evidence, failed, total: since the last restart, per alternative.
        users: per alternative, up to three users who failed since then.
        block: failed and all milli-units of the open block.
        recent: failed and all milli-units of the latest slots, for a literal rule over the last units.
        latest: the up to three users who failed last.
    """

    evidence: list[int]
    failed: list[int]
    total: list[int]
    users: list[list[str]] = field(default_factory=list)
    block: list[int] = field(default_factory=lambda: [0, 0])
    recent: list[list[int]] = field(default_factory=list)
    latest: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing speaks against the canary here: every alternative's evidence is used up, or never began."""
        return all(evidence <= 0 or not total for evidence, total in zip(self.evidence, self.total, strict=True))

    def copy(self) -> Track:
        """An equal one that shares nothing; made for every slot, where `deepcopy` would cost more than the judging."""
        users, recent = [u[:] for u in self.users], [r[:] for r in self.recent]
        return Track(self.evidence[:], self.failed[:], self.total[:], users, self.block[:], recent, self.latest[:])

    def plain(self) -> list[Any]:
        """The stored form."""
        return [self.evidence, self.failed, self.total, self.users, self.block, self.recent, self.latest]


@dataclass(slots=True)
class PairState:
    """Both sides of one level of a margin since their common restart: evidence by alternative, failed and all."""

    worse: list[int]
    better: list[int]
    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    def copy(self) -> PairState:
        """An equal one that shares nothing."""
        return PairState(self.worse[:], self.better[:], self.counts[:])

    def plain(self) -> list[Any]:
        """The stored form."""
        return [self.worse, self.better, self.counts]


@dataclass(slots=True)
class Suspect:
    """The one instance from which a stream's failures came so far, in milli-units; `mixed` when there are others."""

    instance: str
    failed: int = 0
    total: int = 0
    others: int = 0
    mixed: bool = False


@dataclass(slots=True)
class Quiet:
    """Silence: when the arms were last heard of (by the slots' times), and what came since.

    Attributes:
        reporting: evidence that canary units do not speak, by alternative; with silent and due milli-units.
        due_since_ms: when units were first due after the last canary outcome.
        control_since: the control's milli-units since the last canary outcome.
    """

    reporting: list[int]
    silent: int = 0
    due: int = 0
    heard_ms: int | None = None
    due_since_ms: int | None = None
    control_since: int = 0


@dataclass(slots=True)
class PromotionState:
    """One stage's promotion evidence.

    Attributes:
        epoch: the evidence epoch these counts belong to.
        proven: streams shown to be better than their guard's threshold, as `guard/stream`.
        upper, lower: bounds reached for the canary's and the control's failure rate, in parts of a million.
        canary, control: failed and all milli-units by stream.
        frozen: the lower bound was taken over from the last stage that had a concurrent control.
    """

    epoch: int = 0
    proven: list[str] = field(default_factory=list)
    upper: int = NO_UPPER
    lower: int = 0
    canary: dict[str, list[int]] = field(default_factory=dict)
    control: dict[str, list[int]] = field(default_factory=dict)
    frozen: bool = False

    def copy(self) -> PromotionState:
        """An equal one that shares nothing."""
        canary = {name: cell[:] for name, cell in self.canary.items()}
        control = {name: cell[:] for name, cell in self.control.items()}
        return PromotionState(self.epoch, self.proven[:], self.upper, self.lower, canary, control, self.frozen)


@dataclass(slots=True)
class JudgeState:
    """The judge's whole memory of one round of a rollout.

    Attributes:
        first_epoch: rows of older epochs belong to an earlier round and count nowhere.
        chain: the digest of the last slot.
        canary, control: per guard, its streams. margins: per margin of the constants, its levels.
        shared_since_ms: since when a conviction is withheld because the control is bad as well.
        versions: by application version, the canary's failed and all milli-units since all streams last were healthy.
    """

    seq: int
    boundary: int
    first_epoch: int
    canary: list[dict[str, Track]]
    control: list[dict[str, Track]]
    margins: list[list[PairState]]
    quiet: Quiet
    promotion: PromotionState
    chain: str = ""
    shared_since_ms: int | None = None
    suspects: dict[str, Suspect] = field(default_factory=dict)
    versions: dict[str, list[int]] = field(default_factory=dict)

    def copy(self) -> JudgeState:
        """An equal one that shares nothing."""
        quiet = self.quiet
        return JudgeState(
            self.seq,
            self.boundary,
            self.first_epoch,
            [{name: track.copy() for name, track in streams.items()} for streams in self.canary],
            [{name: track.copy() for name, track in streams.items()} for streams in self.control],
            [[pair.copy() for pair in pairs] for pairs in self.margins],
            Quiet(quiet.reporting[:], quiet.silent, quiet.due, quiet.heard_ms, quiet.due_since_ms, quiet.control_since),
            self.promotion.copy(),
            self.chain,
            self.shared_since_ms,
            {
                name: Suspect(one.instance, one.failed, one.total, one.others, one.mixed)
                for name, one in self.suspects.items()
            },
            {name: counts[:] for name, counts in self.versions.items()},
        )

    def canonical(self) -> str:
        """The stored form: sorted JSON without spaces."""
        return json.dumps(self._plain(), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """A short hash of the whole memory; replay compares it slot by slot."""
        return digest_of(self.canonical())

    def _plain(self) -> dict[str, Any]:
        quiet, passed = self.quiet, self.promotion
        return {
            "seq": self.seq,
            "boundary": self.boundary,
            "first_epoch": self.first_epoch,
            "chain": self.chain,
            "canary": [{name: track.plain() for name, track in streams.items()} for streams in self.canary],
            "control": [{name: track.plain() for name, track in streams.items()} for streams in self.control],
            "margins": [[pair.plain() for pair in pairs] for pairs in self.margins],
            "quiet": [getattr(quiet, name) for name in Quiet.__slots__],
            "promotion": {name: getattr(passed, name) for name in PromotionState.__slots__},
            "shared_since_ms": self.shared_since_ms,
            "suspects": {
                name: [getattr(one, slot) for slot in Suspect.__slots__] for name, one in self.suspects.items()
            },
            "versions": self.versions,
        }


def digest_of(canonical: str) -> str:
    """The digest of a memory in its stored form."""
    return blake2b(canonical.encode(), digest_size=16).hexdigest()


def fresh_state(constants: Constants, first_epoch: int = 0, last_seq: int = 0) -> JudgeState:
    """The memory at the start of a round; `last_seq` is the last slot of the round before."""
    return JudgeState(
        seq=last_seq,
        boundary=0,
        first_epoch=first_epoch,
        canary=_tracks(constants),
        control=_tracks(constants),
        margins=[
            [
                PairState([constants.start] * len(pair.worse.scores), [constants.start] * len(pair.better.scores))
                for pair in margin.pairs
            ]
            for margin in constants.margins
        ],
        quiet=Quiet([0] * len(constants.silence.reporting)),
        promotion=PromotionState(),
    )


def state_from(text: str) -> JudgeState:
    """The memory as it was stored."""
    raw: dict[str, Any] = json.loads(text)
    return JudgeState(
        raw["seq"],
        raw["boundary"],
        raw["first_epoch"],
        [{name: Track(*track) for name, track in streams.items()} for streams in raw["canary"]],
        [{name: Track(*track) for name, track in streams.items()} for streams in raw["control"]],
        [[PairState(*pair) for pair in pairs] for pairs in raw["margins"]],
        Quiet(*raw["quiet"]),
        PromotionState(**raw["promotion"]),
        raw["chain"],
        raw["shared_since_ms"],
        {name: Suspect(*one) for name, one in raw["suspects"].items()},
        raw["versions"],
    )


def _tracks(constants: Constants) -> list[dict[str, Track]]:
    return [
        {lines.stream: _track(constants.start, len(test.scores)) for lines in test.streams} for test in constants.tests
    ]


def _track(start: int, alternatives: int) -> Track:
    users: list[list[str]] = [[] for _ in range(alternatives)]
    return Track([start] * alternatives, [0] * alternatives, [0] * alternatives, users)
