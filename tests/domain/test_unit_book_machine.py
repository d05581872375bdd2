"""Whatever clients do to the unit book: each outcome enters once, the gauge is true, nothing stays."""

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from controller.domain.metrics import LATER, REPORTING, UnitKind
from controller.domain.outcomes import OutcomeClass
from controller.domain.tallies import EvidenceKey, Tally
from controller.domain.unit_book import UnitBook
from controller.domain.units import Ticket, UnitRules
from tests.domain.builders import MINUTE, NOW

RULES = UnitRules("r", UnitKind.RUN, frozenset({"a", "b"}))


@dataclass(eq=False)
class Unit:
    """What the specification says of one unit, kept beside the book."""

    opened: int
    firsts: dict[str, "Attempt"] = field(default_factory=dict)
    later: list["Attempt"] = field(default_factory=list)
    over: bool = False
    closed: bool = False
    entered: tuple[int, int] = (0, 0)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            known = [a.outcome for a in self.later if a.outcome and a.outcome.in_rate]
            if known:
                share = Fraction(sum(o is OutcomeClass.FAILED for o in known), len(known))
                self.entered = (int(1_000 * share), 1_000)

    def closes_if_over(self) -> None:
        if self.over and all(attempt.outcome for attempt in self.later):
            self.close()


@dataclass(eq=False)
class Attempt:
    ticket: Ticket
    at: int
    unit: Unit
    outcome: OutcomeClass | None = None


class UnitBookMachine(RuleBasedStateMachine):
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.book, self.now, self.swept = UnitBook(), NOW, NOW
        self.live: dict[str, Unit] = {}
        self.units: list[Unit] = []
        self.drained: dict[EvidenceKey, Tally] = {}

    @rule(target=attempts, run=st.sampled_from(["x", "y", "z"]), event=st.sampled_from(["a", "b"]))
    def attempt(self, run: str, event: str) -> Attempt:
        unit = self.live.get(run)
        if unit is None or self.now - unit.opened >= 10 * MINUTE:
            if unit:
                unit.close()
            unit = self.live[run] = Unit(self.now)
            self.units.append(unit)
        given = {"arm": "canary", "epoch": 1, "user": run, "run": run, "event_type": event, "now_ms": self.now}
        ticket = self.book.attempt(RULES, **given)
        made = Attempt(ticket, self.now, unit)
        if event in unit.firsts:
            unit.later.append(made)
        else:
            unit.firsts[event] = made
        return made

    @rule(attempt=attempts, outcome=st.sampled_from(list(OutcomeClass)))
    def settle(self, attempt: Attempt, outcome: OutcomeClass) -> None:
        self.book.settle(attempt.ticket, outcome)
        if attempt.outcome is None:
            attempt.outcome = outcome
            attempt.unit.closes_if_over()
            self._forget_closed()

    @rule(run=st.sampled_from(["x", "y", "z"]))
    def end_run(self, run: str) -> None:
        self.book.end_run("r", "canary", run)
        if unit := self.live.get(run):
            unit.over = True
            unit.closes_if_over()
            self._forget_closed()

    @rule(seconds=st.sampled_from([1, 30, 61, 300, 601]))
    def pass_time(self, seconds: int) -> None:
        self.now += 1_000 * seconds

    @rule()
    def sweep(self) -> None:
        self.book.sweep(self.now)
        self.swept = self.now
        for unit in self.live.values():
            if self.now - unit.opened >= 10 * MINUTE:
                unit.close()
        self._forget_closed()

    @rule()
    def drain(self) -> None:
        for key, proof in self.book.drain().items():
            self.drained[key] = self.drained.get(key, Tally()).plus(proof.tally)

    def _forget_closed(self) -> None:
        self.live = {run: unit for run, unit in self.live.items() if not unit.closed}

    def _entered(self, event: str) -> tuple[int, int]:
        settled = [u.firsts[event].outcome for u in self.units if event in u.firsts]
        rated = [outcome for outcome in settled if outcome and outcome.in_rate]
        return 1_000 * sum(o is OutcomeClass.FAILED for o in rated), 1_000 * len(rated)

    @invariant()
    def each_outcome_has_entered_once(self) -> None:
        self.drain()
        later = (sum(u.entered[0] for u in self.units), sum(u.entered[1] for u in self.units))
        expected = {"a": self._entered("a"), "b": self._entered("b"), LATER: later}
        found = {key.stream: tuple(tally) for key, tally in self.drained.items() if key.stream in expected}
        assert found == {stream: tally for stream, tally in expected.items() if tally[1]}

    @invariant()
    def each_unit_is_due_at_most_once_and_none_is_left_out_that_spoke_or_was_due(self) -> None:
        due = self.drained.get(EvidenceKey("r", 1, "canary", REPORTING), Tally()).total
        known = [
            any(a.outcome for a in (*unit.firsts.values(), *unit.later)) or self.swept - unit.opened >= 5_000
            for unit in self.units
        ]
        assert due == 1_000 * sum(known)

    @invariant()
    def the_gauge_shows_the_firsts_that_are_waited_for(self) -> None:
        waiting = [
            event
            for unit in self.live.values()
            for event, first in unit.firsts.items()
            if first.outcome is None and self.swept - first.at < MINUTE
        ]
        assert self.book.open_units() == {
            ("r", "canary", event): waiting.count(event) for event in ("a", "b") if event in waiting
        }

    @invariant()
    def only_live_units_are_remembered(self) -> None:
        assert len(self.book) == len(self.live)

    def teardown(self) -> None:
        self.book.sweep(self.now + 11 * MINUTE)
        self.book.drain()
        assert [len(self.book), self.book._open, self.book._open_firsts, self.book._proofs] == [0, {}, {}, {}]
        assert not self.book._due


UnitBookMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
TestUnitBook = UnitBookMachine.TestCase
