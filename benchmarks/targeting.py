"""What targeting costs: nanoseconds of each kind of rule, compiled here, and of the same interpreted by flagd-core.

usage: python -m benchmarks.targeting [--rounds 7]

A flag has ten rules of a kind, none of which fits, so that all are tried and the split behind them answers. The price
of a rule is a tenth of the difference to the flag without rules. flagd-core evaluates what the export makes of them.
"""

from __future__ import annotations

import argparse
import json
import logging
import timeit
from collections.abc import Callable
from typing import Any

import msgspec
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from controller.client.compiled import compile_snapshot
from controller.domain.flagd import document
from controller.domain.metrics import UnitKind
from controller.domain.snapshots import PublishedFlag, PublishedRollout, Snapshot
from controller.wire.targeting import TargetingForm, targeting_of

RULES = 10
USER = "user-4711"
ATTRIBUTES: dict[str, Any] = {
    "country": "SE", "plan": "basic", "age": 17, "app": "2.4.1", "mail": "anna@example.org", "device": {"os": "ios"},
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "equals": {"attribute": "country", "equals": "DE"},
    "equals, nested attribute": {"attribute": "device.os", "equals": "android"},
    "in (20 values)": {"attribute": "country", "in": [f"C{number}" for number in range(20)]},
    "starts_with": {"attribute": "mail", "starts_with": "otto"},
    "ends_with": {"attribute": "mail", "ends_with": "@example.com"},
    "contains": {"attribute": "mail", "contains": "staff"},
    "at_least": {"attribute": "age", "at_least": 18},
    "semver": {"attribute": "app", "semver": ">= 3.0.0"},
    "and of two": {"and": [{"attribute": "plan", "equals": "basic"}, {"attribute": "age", "at_least": 18}]},
    "or of two": {"or": [{"attribute": "plan", "equals": "pro"}, {"attribute": "age", "at_least": 18}]},
    "not": {"not": {"attribute": "country", "equals": "SE"}},
    "segment of two conditions": {"segment": "grown-up"},
}
SEGMENTS = {"grown-up": {"and": [{"attribute": "plan", "equals": "basic"}, {"attribute": "age", "at_least": 18}]}}


def snapshot(conditions: list[dict[str, Any]], lists: dict[str, Any] | None = None) -> Snapshot:
    """One flag with these rules before a split in halves."""
    form = msgspec.convert(
        {"rules": [{"when": when, "serve": "on"} for when in conditions], **(lists or {})}, TargetingForm
    )
    rollout = PublishedRollout("r", "off", "on", 5_000, "0123456789abcdef", 1, UnitKind.USER_10M, ("sent",), 120_000)
    flag = PublishedFlag("f", {"off": False, "on": True}, "off", "off", True, 1, rollout, targeting_of(form))
    segments = msgspec.convert({"rules": [{"when": when, "serve": "on"} for when in SEGMENTS.values()]}, TargetingForm)
    named = dict(zip(SEGMENTS, (rule.when for rule in targeting_of(segments).rules), strict=True))
    return Snapshot("benchmark", 1, {"f": flag}, {key: when for key, when in named.items() if when is not None})


def compiled(found: Snapshot) -> Callable[[], Any]:
    """A call as the client makes it."""
    choose = compile_snapshot(found).flags["f"].choose
    return lambda: choose(USER, ATTRIBUTES)


def interpreted(found: Snapshot) -> Callable[[], Any]:
    """The same of flagd-core."""
    core = FlagdCore()
    core.set_flags(json.dumps(document(found)[0]))
    context = EvaluationContext(USER, ATTRIBUTES)
    return lambda: core.resolve_boolean_value("f", False, context)


def ns(call: Callable[[], Any], rounds: int, number: int) -> float:
    """The best round, in nanoseconds of a call: others are disturbed, never helped."""
    return min(timeit.repeat(call, number=number, repeat=rounds)) / number * 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    logging.getLogger("openfeature.contrib").setLevel(logging.CRITICAL + 1)
    bare = snapshot([])
    base, base_there = ns(compiled(bare), rounds, 50_000), ns(interpreted(bare), rounds, 2_000)
    listed = snapshot([], {"deny": [f"user-{number}" for number in range(1_000)]})
    print("| | compiled, ns | flagd-core, ns | ratio |\n|---|---|---|---|")
    print(f"| no rule: the split alone, a call | {base:,.0f} | {base_there:,.0f} | {base_there / base:.0f} |")
    print(f"| a list of 1,000 users before it, a call | {ns(compiled(listed), rounds, 50_000):,.0f} | | |")
    for name, condition in KINDS.items():
        found = snapshot([condition] * RULES)
        here = (ns(compiled(found), rounds, 20_000) - base) / RULES
        there = (ns(interpreted(found), rounds, 500) - base_there) / RULES
        print(f"| {name}, a rule | {here:,.0f} | {there:,.0f} | {there / here:.0f} |")


if __name__ == "__main__":
    main()
