"""A change of state with everything that must be written together with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.domain.flags import Flag
from controller.domain.rollouts import Action, Rollout
from controller.domain.segments import Segment


@dataclass(frozen=True, slots=True)
class Decision:
    """An act on a rollout and why, by the judge or a person.

    Attributes:
        seq: the ledger slot it rests on; None for a person's act.
        message: one sentence for people.
        arithmetic: the numbers behind it, for machines and for the curious.
    """

    rollout: str
    action: Action
    message: str
    seq: int | None = None
    arithmetic: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What happens in one transaction: rows changed by condition, an audit entry, notices, a decision.

    Attributes:
        actor: who: a token's name, or `judge`.
        action: what, in the past tense: `rollout.started`.
        reason: why, in the actor's words.
        rollout, flag, segment: the state after; `*_before` the state it was read at (None: it is new). A segment that
            has only a state before is removed.
        term: the leader term under which the judge acts; None for people.
        shared: a rollback for something that the control shares.
        quarantined: application versions that failed, with a rollback.
    """

    actor: str
    action: str
    reason: str
    at_ms: int
    rollout: Rollout | None = None
    rollout_before: Rollout | None = None
    flag: Flag | None = None
    flag_before: Flag | None = None
    decision: Decision | None = None
    term: int | None = None
    holder: str | None = None
    shared: bool = False
    quarantined: tuple[str, ...] = ()
    segment: Segment | None = None
    segment_before: Segment | None = None

    @property
    def subject(self) -> str:
        """`rollout/KEY`, `segment/KEY` or `flag/KEY`."""
        if self.rollout is not None:
            return f"rollout/{self.rollout.key}"
        if (segment := self.segment or self.segment_before) is not None:
            return f"segment/{segment.key}"
        return f"flag/{self.flag.key}" if self.flag is not None else "installation"
