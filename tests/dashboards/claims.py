"""What each panel claims to show of the scene."""

from __future__ import annotations

from collections.abc import Callable

ROLLOUTS = {"convicted", "live", "close", "waits", "broken", "stuck"}

#: Values by the legend that a reader sees.
Seen = dict[str, float]
Claim = Callable[[Seen], bool]


def only(legend: str, claim: Callable[[float], bool]) -> Claim:
    """One figure, of which something is claimed."""
    return lambda seen: list(seen) == [legend] and claim(seen[legend])


def just(**values: float) -> Claim:
    """Exactly these figures."""
    return lambda seen: seen == values


def at(legend: str, claim: Callable[[float], bool]) -> Claim:
    """One of several figures."""
    return lambda seen: claim(seen.get(legend, float("nan")))


def both(*claims: Claim) -> Claim:
    """All of these."""
    return lambda seen: all(claim(seen) for claim in claims)


def each(claim: Callable[[float], bool], many: int = 1) -> Claim:
    """At least so many figures, and each of them so."""
    return lambda seen: len(seen) >= many and all(claim(value) for value in seen.values())


def quick(seconds: float) -> Claim:
    """A duration that was measured, and is not absurd."""
    return each(lambda value: 0 < value <= seconds)


def near(value: float) -> Callable[[float], bool]:
    """About this."""
    return lambda found: abs(found - value) < 0.001


CLAIMS: dict[str, dict[str, Claim]] = {
    "fleet": {
        "Live rollouts": just(live=4),  # live, close, waits and broken, of which two are paused
        "Open alerts": only("open", lambda n: n >= 3),
        "Instances that have not confirmed a rollback": just(instances=2),
        "Exposures after a rollback": just(exposures=3),
        "Detection to verified, p95": only("p95", lambda s: 0 < s <= 60),
        "False rollbacks per 100 rollout-days": only("per 100 days", lambda n: n > 100),  # one in some seconds
        "Evaluation gap": only("gap", lambda s: 0 <= s < 600),
        "Report lag, p95": only("p95", lambda s: 1 < s <= 30),
        "Canary share": both(lambda seen: set(seen) == ROLLOUTS, at("live", near(0.5)), at("stuck", near(0))),
        "Worst evidence": at("close", lambda ratio: 0.7 < ratio < 1),
        "Acts in 5 min": at("stuck rollback", lambda n: n > 0),
        "Rollbacks by the judge": just(true=0, false=1, unlabelled=0),
        "Alerts by name": both(at("sample_ratio", near(1)), at("margin/abandoned", near(1))),
    },
    "rollout": {
        "Phase": both(at("convicted: rolled_back", near(1)), at("stuck: rolling_back", near(1)), lambda s: len(s) == 6),
        "Canary share": at("close", near(0.5)),
        "Rollback unverified for": both(at("stuck", lambda s: s > 60), at("live", near(0))),
        "Instances that have not confirmed": both(at("stuck", near(2)), at("convicted", near(0))),
        "Patience used up": both(at("waits", lambda ratio: ratio >= 1), at("live", near(0))),
        "Evidence against the canary": at("close delivery pooled", lambda ratio: 0.7 < ratio < 1),
        "Control against its floor": both(at("live control", near(900 / 950)), at("live floor", near(0.96))),
        "Attempts without an outcome": at("live control", near(0.05)),
        "Delivery success, 5 min": only("flag-of-live unified agent_started", near(0.9)),
        "Outcomes per second": both(
            at("unified delivered", lambda n: n > 0), at("unified abandoned", lambda n: n > 0), each(lambda n: n >= 0)
        ),
        "Acts in 5 min": at("stuck rollback", lambda n: n > 0),
        "Open alerts": at("stuck control_below_floor", near(1)),
    },
    "controller": {
        "Leaders": just(leaders=1),
        "Replicas without their database": just(replicas=0),
        "Leader lease left": only("left", lambda s: 0 < s <= 10),
        "Oldest notice that waits": only("age", lambda s: s > 120),
        "Dead letters": just(dead=1),
        "Tick": both(quick(20), lambda seen: set(seen) == {"median", "p99"}),
        "Tick lateness, p99": each(lambda s: 0 <= s <= 30),
        "Evaluation of one group, p99": quick(5),
        "Judge errors in 5 min": only("errors", lambda n: n > 0),
        "Term of the lease": only("term", lambda n: n >= 1),
        "Reports per second": both(at("accepted", lambda n: n > 0), at("invalid", lambda n: n > 0)),
        "Rows per second": only("rows", lambda n: n > 0),
        "Acknowledgement": both(quick(5), lambda seen: set(seen) == {"median", "p99"}),
        "Reports that wait": each(lambda n: 0 <= n <= 256, many=2),
        "Evidence dropped, 5 min": only("rows", near(0)),
        "Instances": both(at("live", near(3)), at("expired", near(1)), at("unverifiable", near(0))),
        "Instances behind": both(at("now", lambda n: n >= 1), at("for a minute", near(1))),
        "Leases that ran out": only("expired", near(1 / 4)),
        "Attempts lost with an instance": only("unknown", near(20 / 100)),
        "Left out by clients, 5 min": both(at("dropped", lambda n: n > 0), at("breaker trips", lambda n: n > 0)),
        "Open streams": lambda seen: seen == {},  # nobody has one: pages and clients would
        "Stream messages per second": at("messages", near(0)),
        "Snapshot revision": lambda seen: len(seen) == 2 and len(set(seen.values())) == 1,
        "Deliveries of notices, 5 min": at("ops failed", lambda n: n >= 0),
        "Notices that wait": only("ops", near(2)),
        "CPU": each(lambda cores: 0 < cores < 8, many=2),
        "Memory": each(lambda size: 20e6 < size < 2e9, many=2),
        "Open files": each(lambda n: n > 5, many=2),
    },
}
