"""What the judge remembers between slots: a handful of whole numbers per stream."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

from controller.domain.judge.constants import Constants

#: An upper bound that has not been reached yet, in permille.
NO_UPPER = 999


@dataclass(slots=True)
class StreamState:
    """One stream: evidence, failed and all milli-units since the last restart per alternative, and the open block."""

    evidence: list[int]
    failed: list[int]
    total: list[int]
    block_failed: int = 0
    block_total: int = 0

    def copy(self) -> StreamState:
        """An equal one that shares nothing; made for every slot, where `deepcopy` would cost more than the judging."""
        return StreamState(self.evidence[:], self.failed[:], self.total[:], self.block_failed, self.block_total)


@dataclass(slots=True)
class PromotionState:
    """One stage's promotion evidence.

    Attributes:
        epoch: the evidence epoch these counts belong to.
        proven: event types shown to deliver more than 95 %.
        upper, lower: bounds reached for the canary's and the control's failure rate, in permille.
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
    """The judge's whole memory of one rollout."""

    seq: int
    boundary: int
    streams: dict[str, StreamState]
    promotion: PromotionState

    def copy(self) -> JudgeState:
        """An equal one that shares nothing."""
        streams = {name: stream.copy() for name, stream in self.streams.items()}
        return JudgeState(self.seq, self.boundary, streams, self.promotion.copy())

    def canonical(self) -> str:
        """The stored form: sorted JSON without spaces."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """A short hash of the whole memory; replay compares it slot by slot."""
        return blake2b(self.canonical().encode(), digest_size=16).hexdigest()


def fresh_state(constants: Constants, now_boundary: int = 0) -> JudgeState:
    """The memory at the start of a rollout."""
    alternatives = len(constants.scores)
    streams = {
        name: StreamState([constants.start] * alternatives, [0] * alternatives, [0] * alternatives)
        for name in constants.streams
    }
    return JudgeState(0, now_boundary, streams, PromotionState())


def state_from(text: str) -> JudgeState:
    """The memory as it was stored."""
    raw: dict[str, Any] = json.loads(text)
    return JudgeState(
        raw["seq"],
        raw["boundary"],
        {name: StreamState(**stream) for name, stream in raw["streams"].items()},
        PromotionState(**raw["promotion"]),
    )
