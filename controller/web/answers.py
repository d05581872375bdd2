"""Flags compiled to answers in the form of OFREP: every answer is written once, and asking joins what is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from controller.domain.evaluation import (
    Choice,
    Evaluation,
    Reason,
    compile_flag,
    compile_segments,
    keyless_answer,
    lapsed_answer,
)
from controller.domain.snapshots import PublishedFlag, Snapshot

#: The protocol knows no DEFAULT and no STALE.
_REASONS = {Reason.DEFAULT: "UNKNOWN", Reason.STALE: "UNKNOWN"}


@dataclass(frozen=True, slots=True, eq=False)
class AnsweringFlag:
    """One flag: its answers as JSON, and what is answered when this process has lost its database.

    Attributes:
        lease_s: how old knowledge may be that a live rollout is answered from; None where none is live.
    """

    choose: Choice[bytes]
    keyless: bytes
    lapsed: bytes
    lease_s: float | None

    def answer(self, targeting_key: str, attributes: Mapping[str, Any], age_s: float) -> bytes:
        """The answer for this user; beyond the contact lease it is the control."""
        if self.lease_s is not None and age_s > self.lease_s:
            return self.lapsed
        return self.choose(targeting_key, attributes) or self.keyless


class Answers:
    """All flags of a snapshot. Answers say nothing of its revision: a change of one flag leaves the others alone."""

    def __init__(self, snapshot: Snapshot) -> None:
        segments = compile_segments(snapshot.segments)
        self.metadata = msgspec.json.encode({"flagSetId": snapshot.environment})
        self._flags: dict[str, AnsweringFlag] = {}
        for key in sorted(snapshot.flags):
            flag = snapshot.flags[key]

            def dress(evaluation: Evaluation, flag: PublishedFlag = flag) -> bytes:
                return _written(snapshot.environment, flag, evaluation)

            rollout = flag.rollout if flag.enabled else None
            self._flags[key] = AnsweringFlag(
                choose=compile_flag(flag, segments, dress),
                keyless=dress(keyless_answer(flag)),
                lapsed=dress(lapsed_answer(flag) or keyless_answer(flag)),
                lease_s=rollout.lease_ms / 1000 if rollout else None,
            )
        self._shortest_s = min((flag.lease_s for flag in self._flags.values() if flag.lease_s is not None), default=0.0)

    def one(self, key: str, targeting_key: str, attributes: Mapping[str, Any], age_s: float) -> bytes | None:
        """One flag's answer; None where there is no such flag."""
        flag = self._flags.get(key)
        return flag.answer(targeting_key, attributes, age_s) if flag is not None else None

    def every(self, targeting_key: str, attributes: Mapping[str, Any], age_s: float) -> tuple[bytes, str]:
        """All flags' answers as the members of a JSON array, and the hash of exactly these answers."""
        flags = self._flags.values()
        if age_s > self._shortest_s:
            members = [flag.answer(targeting_key, attributes, age_s) for flag in flags]
        else:
            members = [flag.choose(targeting_key, attributes) or flag.keyless for flag in flags]
        body = b",".join(members)
        return body, blake2b(body, digest_size=16, person=b"canary-ofrep").hexdigest()

    def __contains__(self, key: str) -> bool:
        return key in self._flags


def _written(environment: str, flag: PublishedFlag, evaluation: Evaluation) -> bytes:
    metadata: dict[str, str | int] = {"flagSetId": environment, "version": flag.version}
    if evaluation.governed and flag.rollout is not None:
        metadata |= {"rollout": flag.rollout.key, "epoch": flag.rollout.epoch}
    elif evaluation.rule:
        metadata["rule"] = evaluation.rule
    elif evaluation.reason is Reason.STALE:
        metadata["reason"] = "lease"
    reason = _REASONS.get(evaluation.reason, evaluation.reason.value)
    said = {"key": flag.key, "reason": reason, "variant": evaluation.variant, "value": evaluation.value}
    return msgspec.json.encode({**said, "metadata": metadata})
