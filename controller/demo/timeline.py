"""What happened when, on one clock: seconds since the demo began."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.clock import Clock
from controller.wire.api.judging import DecisionView
from controller.wire.api.rollouts import RolloutView


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """One thing that happened."""

    at_ms: int
    text: str


class Timeline:
    """Moments in order; each is told once, as it is learnt."""

    def __init__(self, clock: Clock, tell: Callable[[str], None]) -> None:
        self._clock = clock
        self._tell = tell
        self.began_ms = clock()
        self._known: set[str] = set()
        self.moments: list[Moment] = []

    def happened(self, text: str) -> None:
        """Something happens now; the same words count once."""
        self._note([Moment(self._clock(), text)])

    def _note(self, moments: list[Moment]) -> None:
        for moment in sorted(moments):
            if moment.text not in self._known:
                self._known.add(moment.text)
                self.moments.append(moment)
                self._tell(self.line(moment))

    def line(self, moment: Moment) -> str:
        """`   12.3 s  rollback decided`."""
        return f"{self.seconds(moment.at_ms):7.1f} s  {moment.text}"

    def seconds(self, at_ms: int) -> float:
        """Seconds since the demo began."""
        return (at_ms - self.began_ms) / 1000

    def learn(self, view: RolloutView, decisions: list[DecisionView]) -> None:
        """Take in what the controller says of the rollout, in the order it happened."""
        self._note([*(Moment(d.at_ms, _of_decision(d)) for d in decisions), *_of_rollback(view)])


def _of_rollback(view: RolloutView) -> list[Moment]:
    """The clients' times, once all have confirmed: before that the last one is not known."""
    found = view.verification
    if found is None or not found.complete:
        return []
    told = {
        "rollback applied by the first back end": found.first_applied_ms,
        "rollback applied by the last back end": found.last_applied_ms,
        "last time anybody was given the canary": found.last_exposure_ms,
    }
    return [Moment(at_ms, text) for text, at_ms in told.items() if at_ms is not None]


def _of_decision(decision: DecisionView) -> str:
    share = f"{decision.share_percent:g} % of the users"
    match decision.action:
        case "start" | "advance":
            return f"{decision.action}: {share} ({decision.message})"
        case "rollback":
            return f"ROLLBACK decided: {decision.message}"
        case "verify":
            return f"{decision.message}"
        case _:
            return f"{decision.action}: {decision.message}"
