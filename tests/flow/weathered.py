"""What came of outages: the answers meanwhile, the time until all worked again, and what must not have happened."""

from __future__ import annotations

from dataclasses import dataclass, field

#: What may pass between two analyses, beyond an outage.
_MOST_GAP_S = 15.0
#: A user who waits longer for client and reporter has waited for the network.
_MOST_MS = 1_000.0
_DECISIONS = {"advance": 1, "rollback": 1, "verify": 1}
#: What has to work again: both replicas write and answer, the judge looks, clients report and are told of changes.
SIGNS = ("writes", "reads", "judged", "reported", "followed")
HEAD = (
    f"{'':26}{'done / 503':>30}{'':9}{'again after (s)':>25}\n"
    f"{'outage':8}{'lasts':>7}{'evaluated':>11}{'writes':>15}{'reads':>15}{'slowest':>9}"
    + "".join(f"{name:>10}" for name in SIGNS)
)


@dataclass
class Weathered:
    """One outage: how long it lasted, what was answered meanwhile, and seconds until each part worked again.

    Attributes:
        evaluated: users whom the applications served while it lasted.
        writes, reads: answers by status, until everything worked again. slowest_s: the one that took longest.
    """

    name: str
    what: str
    lasted_s: float = 0.0
    evaluated: int = 0
    writes: dict[int, int] = field(default_factory=dict)
    reads: dict[int, int] = field(default_factory=dict)
    slowest_s: float = 0.0
    after_s: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """A row of the table under `HEAD`."""
        after = "".join(f"{self.after_s[name]:>10.1f}" for name in SIGNS)
        answered = "".join(f"{_said(found):>15}" for found in (self.writes, self.reads))
        return f"{self.name:8}{self.lasted_s:>7.1f}{self.evaluated:>11,}{answered}{self.slowest_s:>9.1f}{after}"


@dataclass
class Found:
    """The whole run.

    Attributes:
        sent: outcomes by the applications' own count, and `before` the canary broke; the others are the controller's.
        batches: acknowledged to applications, and stored of theirs.
        reports, changes: acknowledged to probes, and stored.
        gap_s: the longest time between two analyses beyond an outage.
        slowest_ms: the longest that a user waited for client and reporter.
        ofrep: evaluations by the controller, all of which must be answered, and the seconds that the slowest took.
    """

    outages: list[Weathered]
    sent: dict[str, int]
    stored: dict[str, int]
    evidence: tuple[int, int]
    batches: tuple[int, int]
    reports: tuple[int, int]
    changes: tuple[int, int]
    decisions: dict[str, int]
    terms: int
    gap_s: float
    differing: int
    phase: str
    verified: bool
    slowest_ms: float
    ofrep: tuple[int, float]
    faults: list[str]

    def wrong(self) -> list[str]:
        """What must not have happened, in words."""
        unjudged = [one.name for one in self.outages if one.after_s["judged"] > _MOST_GAP_S]
        unserved = [one.name for one in self.outages if not one.evaluated]
        checks = {
            f"outcomes sent {self.sent}, in windows and raw rows {self.stored}": self.sent == self.stored,
            f"evidence sent and in the ledger: {self.evidence}": len(set(self.evidence)) == 1,
            f"batches acknowledged and stored: {self.batches}": len(set(self.batches)) == 1,
            f"reports of probes acknowledged and counted: {self.reports}": len(set(self.reports)) == 1,
            f"changes acknowledged and in the trail: {self.changes}": len(set(self.changes)) == 1,
            f"decisions: {self.decisions}": self.decisions == _DECISIONS,
            f"{self.gap_s:.1f} s without an evaluation": self.gap_s <= _MOST_GAP_S,
            f"not evaluated for 15 s after {unjudged}": not unjudged,
            f"nobody was served during {unserved}": not unserved,
            f"{self.differing} analyses differ in the replay": not self.differing,
            f"the rollout is {self.phase}, verified: {self.verified}": self.phase == "rolled_back" and self.verified,
            f"a user waited for {self.slowest_ms:.0f} ms": self.slowest_ms <= _MOST_MS,
        }
        return [words for words, holds in checks.items() if not holds] + self.faults

    def lines(self) -> list[str]:
        """The sums for people."""
        stored = self.stored
        return [
            f"outcomes: {self.sent['windows']:,} sent, {stored['windows']:,} in windows, {stored['raw']:,} raw rows",
            f"evidence until the canary broke: {self.evidence[0]:,} sent, {self.evidence[1]:,} in the ledger",
            f"batches of applications: {self.batches[0]:,} acknowledged, {self.batches[1]:,} stored",
            f"reports of probes: {self.reports[0]:,} acknowledged, {self.reports[1]:,} counted",
            f"changes: {self.changes[0]:,} acknowledged, {self.changes[1]:,} in the trail",
            f"decisions: {self.decisions}; {self.terms} terms; {self.differing} analyses differ in the replay",
            f"longest time between two analyses, less an outage's: {self.gap_s:.1f} s",
            f"longest that client and reporter kept a user waiting: {self.slowest_ms:.0f} ms",
            f"OFREP: {self.ofrep[0]:,} evaluations, the slowest answered after {self.ofrep[1]:g} s",
            f"the rollout: {self.phase}, {'verified' if self.verified else 'not verified'}",
        ]


def _said(answered: dict[int, int]) -> str:
    """Those that were done, and those that were told to come back."""
    return f"{sum(n for status, n in answered.items() if 200 <= status < 300)} / {answered.get(503, 0)}"
