"""The local breaker: a client that judges its own outcomes, and goes back to the control by itself.

What it does with a conviction is the manifest's `breaker`. By default it acts only while the controller cannot be
reached: otherwise the controller sees the same outcomes, and those of all others. It never makes anything worse: what
it can do is to serve the control. What is served then is no evidence.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from controller.client.board import Own
from controller.client.holder import SnapshotHolder
from controller.client.pace import Clock, Pace
from controller.client.reporter import DeliveryReporter
from controller.domain.judge.constants import Constants
from controller.domain.judge.findings import Finding
from controller.domain.judge.local import judge_own, shared_out
from controller.domain.judge.state import JudgeState, fresh_state
from controller.domain.ledger import Gauges, LedgerRow, RowKey, Slot, ledger_rows
from controller.domain.metrics import DELIVERY
from controller.domain.outcomes import Arm
from controller.domain.plans import Breaker
from controller.domain.samples import active_users, open_units
from controller.domain.snapshots import PublishedBreaker, PublishedRollout, Snapshot
from controller.domain.tallies import UNIT, EvidenceKey, Proof, Tally

logger = logging.getLogger(__name__)

#: The metadata of answers that a breaker withholds.
BREAKER = "breaker"
#: Among how many clients alpha is shared out where the controller has never said how many there are.
UNKNOWN_CLIENTS = 1_000

_EVERY_S = 0.5
_NOTHING = Tally()


@dataclass(slots=True)
class _Watch:
    """One live rollout: the judge's memory, and what came of it."""

    rollout: PublishedRollout
    breaker: PublishedBreaker
    state: JudgeState
    finding: Finding | None = None
    acted: bool = False
    #: since when the controller is heard again after a trip, and how long that has to last
    heard_since: float | None = None
    return_after: float = 0.0


@dataclass(slots=True)
class _Judges:
    """The constants of the present number of clients; those that this release does not know are told of once."""

    unknown: set[str] = field(default_factory=set)

    def of(self, breaker: PublishedBreaker, clients: int) -> Constants | None:
        try:
            return shared_out(breaker.constants, clients or UNKNOWN_CLIENTS)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if breaker.constants not in self.unknown:
                self.unknown.add(breaker.constants)
                logger.warning("outcomes are not judged here: %s", error)
            return None


class LocalBreaker:
    """Judges the outcomes of one process, on a thread of its own while there is a rollout to judge.

    Args:
        holder: whose rollouts are withheld.
        reporter: whose outcomes are judged; it tells the controller of trips.
        chance: spreads the return.
    """

    def __init__(
        self,
        holder: SnapshotHolder,
        reporter: DeliveryReporter,
        pace: Pace,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._holder = holder
        self._reporter = reporter
        self._pace = pace
        self._clock = clock
        self._chance = chance
        self._judges = _Judges()
        self._begin()

    def _begin(self) -> None:
        self._snapshot: Snapshot | None = None
        self._watches: dict[str, _Watch] = {}
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def applied(self, snapshot: Snapshot) -> None:
        """These rollouts are live now; called by whoever holds the snapshot's lock, so nothing is done here."""
        self._snapshot = snapshot
        if self._thread is None and any(True for _ in _breakers(snapshot)):
            self._reporter.keep_own_outcomes()
            self._thread = threading.Thread(target=self._run, name="canary-breaker", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; what is withheld stays withheld."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2 * _EVERY_S)
        self._begin()

    def restart_in_child(self) -> None:
        """After a fork: the thread is gone, and the parent's outcomes are its own. `applied` begins anew."""
        self._begin()

    def look(self) -> None:
        """Judge what has come since the last look, and act; called by the thread."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        self._follow(self._snapshot)
        own = self._reporter.own_outcomes()
        found: dict[str, dict[EvidenceKey, Proof]] = {}
        for key, proof in own.evidence.items():
            found.setdefault(key.rollout, {})[key] = proof
        for watch in self._watches.values():
            if mine := found.get(watch.rollout.key):
                self._judge(watch, mine, own)
            self._act(watch)

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_S):
            try:
                self.look()
            except Exception:
                logger.exception("judging this process's outcomes failed; it is tried again")

    def _follow(self, snapshot: Snapshot | None) -> None:
        live = dict(_breakers(snapshot)) if snapshot is not None else {}
        for key in self._watches.keys() - live.keys():
            del self._watches[key]  # the holder has forgotten its trip
        for key, (rollout, breaker) in live.items():
            known = self._watches.get(key)
            if known is not None and (known.breaker.round, known.breaker.constants) == (
                breaker.round,
                breaker.constants,
            ):
                known.rollout, known.breaker = rollout, breaker
            elif (constants := self._judges.of(breaker, 1)) is not None:
                if known is not None and known.acted:
                    self._holder.trip(key, None)
                self._watches[key] = _Watch(rollout, breaker, fresh_state(constants, rollout.epoch))

    def _judge(self, watch: _Watch, found: Mapping[EvidenceKey, Proof], own: Own) -> None:
        constants = self._judges.of(watch.breaker, self._holder.instances)
        if constants is not None:
            slot = _slot(watch, found, own, int(self._clock() * 1000))
            watch.finding = judge_own(constants, watch.state, slot)

    def _act(self, watch: _Watch) -> None:
        if watch.acted:
            self._return(watch)
        elif watch.finding is not None and self._may_act(watch.breaker.mode):
            watch.acted, watch.heard_since = True, None
            self._reporter.tripped()
            words = _words(watch.finding)
            if watch.breaker.mode is Breaker.REPORT:
                logger.warning("the canary of %s fails here: %s", watch.rollout.key, words)
                return
            self._holder.trip(watch.rollout.key, BREAKER)
            logger.warning("%s is back on its control here: %s", watch.rollout.key, words)

    def _may_act(self, mode: Breaker) -> bool:
        return mode is not Breaker.WHEN_BLIND or self._holder.out_of_reach

    def _return(self, watch: _Watch) -> None:
        """Where the controller is heard again for long enough to have judged, its word counts."""
        if watch.breaker.mode is not Breaker.WHEN_BLIND:
            return
        if self._holder.out_of_reach:
            watch.heard_since = None
            return
        now = self._clock()
        if watch.heard_since is None:
            watch.heard_since = now
            watch.return_after = self._pace.return_after + self._pace.return_spread * self._chance()
        if now - watch.heard_since >= watch.return_after:
            watch.acted = False
            self._holder.trip(watch.rollout.key, None)


def _breakers(snapshot: Snapshot) -> Iterable[tuple[str, tuple[PublishedRollout, PublishedBreaker]]]:
    for flag in snapshot.flags.values():
        if flag.enabled and flag.rollout is not None and flag.rollout.breaker is not None:
            yield flag.rollout.key, (flag.rollout, flag.rollout.breaker)


def _slot(watch: _Watch, found: Mapping[EvidenceKey, Proof], own: Own, now_ms: int) -> Slot:
    rollout = watch.rollout
    tallies: dict[RowKey, Tally] = {}
    failing: dict[str, tuple[str, ...]] = {}
    for (_, epoch, arm, stream), (tally, users) in found.items():
        tallies[epoch, arm, stream] = tallies.get((epoch, arm, stream), _NOTHING).plus(tally)
        if users and arm == Arm.CANARY:
            failing[stream] = tuple(dict.fromkeys((*failing.get(stream, ()), *users)))
    rows: tuple[LedgerRow, ...] = ledger_rows(tallies, rollout.unit, (DELIVERY, *rollout.metrics), rollout.events)
    mine = {(arm, stream): count for (key, arm, stream), count in own.gauges.items() if key == rollout.key and count}
    gauges = Gauges(
        open=open_units(mine, Arm.CANARY.value),
        control_open=open_units(mine, Arm.CONTROL.value),
        active=active_users(mine, Arm.CANARY.value),
        failing=failing,
    )
    return Slot(watch.state.seq + 1, now_ms, rollout.epoch, rollout.weight, rows, gauges)


def _words(finding: Finding) -> str:
    return f"{finding.stream}: {finding.failed // UNIT:,} of {finding.total // UNIT:,} units failed"
