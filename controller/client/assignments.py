"""Which rollouts count, and how: what the applied snapshot says of them."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.metrics import UnitKind
from controller.domain.outcomes import Arm
from controller.domain.snapshots import PublishedRollout, Snapshot
from controller.domain.units import UnitRules

_MOST_EPOCH = 2**53


@dataclass(frozen=True, slots=True)
class _Live:
    flag: str
    published: PublishedRollout
    rules: UnitRules


class Assignments:
    """The live rollouts of one snapshot; immutable."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        flags = snapshot.flags.values() if snapshot else ()
        live = [(flag.key, flag.rollout) for flag in flags if flag.rollout]
        self._live = {rollout.key: _Live(key, rollout, rollout.rules()) for key, rollout in live}
        self._by_flag = {entry.flag: entry for entry in self._live.values()}
        self._controls = {flag.key: flag.control for flag in flags}

    def evidence_of(self, rollout: str | None, flag: str, variant: str, epoch: int) -> tuple[UnitRules, Arm] | None:
        """How an attempt under this assignment counts; None where it is no evidence.

        That is so without a rollout, when the rollout has ended or belongs to another flag, and for a variant that is
        not compared.
        """
        live = self._live.get(rollout) if rollout is not None else None
        if live is None or live.flag != flag or not 0 <= epoch < _MOST_EPOCH:
            return None
        arm = live.published.arm_of(variant)
        return (live.rules, arm) if arm else None

    def run_of(self, flag: str, variant: str) -> tuple[str, Arm] | None:
        """The rollout and arm whose units are this flag's runs; None where runs are not what counts."""
        live = self._by_flag.get(flag)
        if live is None or live.rules.kind is not UnitKind.RUN:
            return None
        arm = live.published.arm_of(variant)
        return (live.rules.rollout, arm) if arm else None

    def is_control(self, flag: str, variant: str) -> bool:
        """Whether this variant is known to be the flag's control."""
        return self._controls.get(flag) == variant
