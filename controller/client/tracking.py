"""Tracking events as outcomes: what `client.track` of OpenFeature tells, for the rollouts that judge such events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller.client.compiled import Answer, CompiledSnapshot
from controller.client.holder import SnapshotHolder
from controller.client.pace import Clock
from controller.client.reporter import DeliveryReporter
from controller.domain.outcomes import OutcomeClass

_LONGEST_RUN = 200


class Tracker:
    """Finds the variant that a user has, and reports the outcome under its assignment. Never raises, never waits.

    Attributes:
        unplaced: events that no live rollout judges, and that named no flag; they are not reported.
    """

    def __init__(self, holder: SnapshotHolder, reporter: DeliveryReporter | None, clock: Clock) -> None:
        self.unplaced = 0
        self._holder = holder
        self._reporter = reporter
        self._clock = clock
        self._judging: tuple[CompiledSnapshot | None, dict[str, list[str]]] = (None, {})

    def track(
        self, event: object, targeting_key: object, attributes: Mapping[str, Any], said: Mapping[str, Any]
    ) -> int:
        """Report one event; how many flags it was reported for. Of anything that is not as it should be, none."""
        compiled, reporter = self._holder.compiled, self._reporter
        outcome = _outcome(said.get("outcome"))
        if compiled is None or reporter is None or outcome is None or not isinstance(event, str) or not event:
            self.unplaced += 1
            return 0
        key = targeting_key if isinstance(targeting_key, str) else None
        attributes = attributes if hasattr(attributes, "get") else {}
        named = said.get("flag")
        flags = [named] if isinstance(named, str) and named in compiled.flags else self._flags(compiled, event, named)
        self.unplaced += not flags
        for flag in flags:
            answer = self._answer(compiled, flag, key, attributes)
            self._report(reporter, answer, event, key, outcome, said)
        return len(flags)

    def _flags(self, compiled: CompiledSnapshot, event: str, named: object) -> list[str]:
        if named is not None:
            return []
        held, judging = self._judging
        if held is not compiled:
            judging = {}
            for key, flag in compiled.snapshot.flags.items():
                for name in flag.rollout.events if flag.rollout else ():
                    judging.setdefault(name, []).append(key)
            self._judging = (compiled, judging)
        return judging.get(event, [])

    def _answer(self, compiled: CompiledSnapshot, flag: str, key: str | None, attributes: Mapping[str, Any]) -> Answer:
        found = compiled.flags[flag]
        if self._clock() - self._holder.contact > found.lease:
            return found.lapsed()
        return found.choose(key, attributes) or found.keyless()

    def _report(
        self,
        reporter: DeliveryReporter,
        answer: Answer,
        event: str,
        key: str | None,
        outcome: OutcomeClass,
        said: Mapping[str, Any],
    ) -> None:
        run = said.get("run")
        attempt = reporter.attempt(
            flag=answer.flag,
            variant=answer.variant,
            event_type=event,
            user_id=key,
            run_id=run[:_LONGEST_RUN] if isinstance(run, str) else None,
            rollout=_text(answer.metadata.get("rollout")),
            epoch=int(answer.metadata.get("epoch", 0)),
        )
        reporter.settle_attempt(attempt, outcome, status="tracked", latency_ms=_latency(said.get("latency_ms")) or 0)


def _outcome(text: object) -> OutcomeClass | None:
    if text is None:
        return OutcomeClass.DELIVERED
    return OutcomeClass(text) if isinstance(text, str) and text in set(OutcomeClass) else None


def _latency(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
