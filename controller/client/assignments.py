"""Which rollouts count, and how: what the applied snapshot says of them."""

from __future__ import annotations

from collections.abc import Mapping

from controller.domain.metrics import UnitKind
from controller.domain.outcomes import Arm
from controller.domain.snapshots import PublishedFlag, PublishedRollout, Snapshot
from controller.domain.units import UnitRules

_MOST_EPOCH = 2**53


class Assignments:
    """The live rollouts of one snapshot. What an attempt needs of one is made when the first attempt asks."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self._flags: Mapping[str, PublishedFlag] = snapshot.flags if snapshot else {}
        self._rules: dict[str, UnitRules] = {}

    def evidence_of(self, rollout: str | None, flag: str, variant: str, epoch: int) -> tuple[UnitRules, Arm] | None:
        """How an attempt under this assignment counts; None where it is no evidence.

        That is so without a rollout, when the rollout has ended or belongs to another flag, and for a variant that is
        not compared.
        """
        live = self._live(flag)
        if live is None or live.key != rollout or not 0 <= epoch < _MOST_EPOCH:
            return None
        arm = live.arm_of(variant)
        return (self._rules_of(live), arm) if arm else None

    def run_of(self, flag: str, variant: str) -> tuple[str, Arm] | None:
        """The rollout and arm whose units are this flag's runs; None where runs are not what counts."""
        live = self._live(flag)
        if live is None or live.unit is not UnitKind.RUN:
            return None
        arm = live.arm_of(variant)
        return (live.key, arm) if arm else None

    def is_control(self, flag: str, variant: str) -> bool:
        """Whether this variant is known to be the flag's control."""
        known = self._flags.get(flag)
        return known is not None and known.control == variant

    def _live(self, flag: str) -> PublishedRollout | None:
        known = self._flags.get(flag)
        return known.rollout if known is not None else None

    def _rules_of(self, live: PublishedRollout) -> UnitRules:
        if live.key not in self._rules:
            self._rules[live.key] = live.rules()
        return self._rules[live.key]
