"""The export to flagd against flagd's own evaluators: Python's hashes CBOR, JavaScript's hashes raw text."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from controller.domain.conditions import AllOf, AnyOf, Comparison, Condition, InSegment, Not, Operator, check_condition
from controller.domain.evaluation import evaluate
from controller.domain.flagd import REFUSED, document
from controller.domain.snapshots import PublishedFlag, PublishedRollout, Snapshot
from controller.domain.targeting import NO_TARGETING, Rule, Targeting
from controller.domain.units import UnitKind
from tests.js.node import Node

VARIANTS: dict[str, Any] = {"legacy": "L", "unified": "U", "other": "O"}
ROLLOUT = PublishedRollout(
    "ramp", "legacy", "unified", 5_000, "0123456789abcdef", 1, UnitKind.USER_10M, ("sent",), 120_000
)
USERS = [f"user-{number}" for number in range(4_000)] + ["x" * size for size in (1, 50, 102, 103, 104, 119, 120, 500)]
BEYOND_ASCII = ["é", "żółw", "🎉", "用户-7", "ü" * 60, "ü" * 200, "a" * 119 + "é"]
#: What JSON may hold, and so what a context in another language may.
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 0.5, 5, 18, 19, 17.9, "", "DE", "1", "0", "true", "True", "false", "None", "null",
    "x" * 300, "é", "🎉", [], ["DE"], [["DE"]], [None], [1], [19], [True], ["nn"], {}, {"plan": "pro"}, {"plan": 1},
    {"plan": True}, {"plan": {"name": "x"}}, {"length": 3}, "anna", "xDEx", "1.2.3", "v2.0.0", "2", "2.1", "2.1.0-rc.1",
    "1.0", 3, "latest", "1.2.3.4", "2.1.0+b", "-1", "1e3", "10", "[object Object]",
]  # fmt: skip


def compare(operator: str, *operands: Any, attribute: str = "a") -> Comparison:
    return Comparison(attribute, Operator(operator), operands)


CONDITIONS: list[Condition] = [
    *[compare("equals", value) for value in ("DE", 1, 0, True, False, 18, 0.5, "")],
    compare("in", "DE", 1, 0.5, "1", True), compare("in", 1, 0), compare("in", True), compare("in", "a", "b", 7),
    compare("starts_with", "D", "a"), compare("ends_with", "E", "na"), compare("contains", "DE", "nn"),
    compare("contains", "l"), compare("more_than", 18), compare("at_least", 18), compare("less_than", 1),
    compare("at_most", 0), compare("at_least", -1), compare("more_than", 0.25),
    compare("equals", "pro", attribute="a.plan"), compare("equals", 1, attribute="a.plan"),
    compare("equals", "x", attribute="a.plan.name"), compare("more_than", 0, attribute="a.plan"),
    *[compare("semver", s) for s in ("1.2.3", "!= 1.2.3", ">= 2", "> 2.1.0-rc.0", "<= 2.1", "< 2.1.0", "^ 2", "~ 2.1")],
    Not(compare("equals", "DE")), Not(compare("more_than", 1)), Not(compare("semver", "!= 2")),
    Not(compare("contains", "D")), Not(Not(compare("starts_with", "D"))),
    AllOf((compare("in", "DE", "FR"), Not(compare("equals", 1, attribute="b")))),
    AnyOf((compare("equals", "DE"), compare("at_least", 18))),
    compare("starts_with", "us", attribute="targetingKey"), Not(compare("ends_with", "r", attribute="targetingKey")),
    InSegment("german"), Not(InSegment("german")),
]  # fmt: skip


class Oracles:
    """Both evaluators, on one document at a time."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._python = FlagdCore()

    def set(self, snapshot: Snapshot) -> None:
        text = json.dumps(document(snapshot)[0])
        self._python = FlagdCore()
        self._python.set_flags(text)
        self._node.ask(document=text)

    def python(self, flag: str, contexts: list[dict[str, Any]]) -> list[Any]:
        def one(said: dict[str, Any]) -> str | None:
            context = EvaluationContext(
                said.get("targetingKey"), {k: v for k, v in said.items() if k != "targetingKey"}
            )
            return self._python.resolve_string_value(flag, "none", context).variant

        return [one(said) for said in contexts]

    def javascript(self, flag: str, contexts: list[dict[str, Any]]) -> list[Any]:
        return [variant for variant, _ in self._node.ask(flag=flag, contexts=contexts)]


@pytest.fixture(scope="module")
def oracles() -> Iterator[Oracles]:
    logging.getLogger("openfeature.contrib").setLevel(logging.CRITICAL + 1)  # it complains of each odd version
    with Node("flagd.mjs") as node:
        yield Oracles(node)


def flag(**fields: Any) -> PublishedFlag:
    said = {"key": "f", "variants": VARIANTS, "control": "legacy", "served": "legacy", "enabled": True, "version": 1}
    return PublishedFlag(**{**said, **fields})


def snapshot(*flags: PublishedFlag) -> Snapshot:
    return Snapshot("prod", 1, {found.key: found for found in flags}, {"german": compare("in", "DE", "AT")})


def ours(found: Snapshot, key: str, contexts: list[dict[str, Any]]) -> list[str]:
    return [
        evaluate(found.flags[key], said.get("targetingKey"), said, segments=found.segments).variant for said in contexts
    ]


@pytest.mark.parametrize("weight", [1, 100, 1_250, 5_000, 7_500, 9_999])
def test_every_share_serves_everybody_what_we_serve(oracles: Oracles, weight: int) -> None:
    found = snapshot(flag(rollout=replace(ROLLOUT, weight=weight)))
    oracles.set(found)
    contexts = [{"targetingKey": user} for user in USERS]
    expected = ours(found, "f", contexts)
    assert oracles.python("f", contexts) == expected
    assert oracles.javascript("f", contexts) == expected


def test_ids_beyond_ascii_agree_where_cbor_is_hashed(oracles: Oracles) -> None:
    found = snapshot(flag(rollout=ROLLOUT))
    oracles.set(found)
    contexts = [{"targetingKey": user} for user in BEYOND_ASCII]
    assert oracles.python("f", contexts) == ours(found, "f", contexts)


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_every_condition_decides_alike_for_everything_that_a_context_may_hold(
    oracles: Oracles, condition: Condition
) -> None:
    if not isinstance(condition, Comparison) or condition.operands != ("",):
        check_condition(condition, "when")
    found = snapshot(flag(served="other", targeting=Targeting(rules=(Rule("unified", condition),))))
    oracles.set(found)
    contexts = [{"targetingKey": "user", **({} if value is None else {"a": value})} for value in VALUES]
    expected = ours(found, "f", contexts)
    assert dict(enumerate(oracles.python("f", contexts))) == dict(enumerate(expected))
    assert dict(enumerate(oracles.javascript("f", contexts))) == dict(enumerate(expected))


@pytest.mark.parametrize("rollout", [None, ROLLOUT, replace(ROLLOUT, weight=10_000), replace(ROLLOUT, weight=0)])
def test_lists_rules_and_shares_decide_in_our_order(oracles: Oracles, rollout: PublishedRollout | None) -> None:
    targeting = Targeting(
        deny=("user-1", "user-2"),
        allow={"other": ("user-3",), "unified": ("user-4", "user-5")},
        rules=(
            Rule("other", compare("equals", "FR")),
            Rule("unified", InSegment("german"), weight=3_000),
            Rule("other", weight=1_000),
        ),
    )
    found = snapshot(flag(rollout=rollout, served="unified", targeting=targeting))
    oracles.set(found)
    contexts = [{"targetingKey": user, "a": country} for user in USERS[:500] for country in ("FR", "DE", "US")]
    expected = ours(found, "f", contexts)
    assert len(set(expected)) == 3
    assert oracles.python("f", contexts) == expected
    assert oracles.javascript("f", contexts) == expected


@pytest.mark.parametrize("targeting", [NO_TARGETING, Targeting(rules=(Rule("other", weight=5_000),))])
@pytest.mark.parametrize("context", [{}, {"targetingKey": ""}, {"a": 1}])
def test_whoever_has_no_key_gets_the_control(oracles: Oracles, targeting: Targeting, context: dict[str, Any]) -> None:
    found = snapshot(flag(rollout=ROLLOUT, targeting=targeting), flag(key="g", served="other", targeting=targeting))
    oracles.set(found)
    for key in "fg":
        expected = ours(found, key, [context])
        assert expected == ["other" if key == "g" and not targeting else "legacy"]
        assert oracles.python(key, [context]) == oracles.javascript(key, [context]) == expected


def test_a_killed_flag_serves_its_control_and_not_the_callers_default(oracles: Oracles) -> None:
    targeting = Targeting(allow={"unified": ("user-1",)})
    found = snapshot(flag(rollout=ROLLOUT, served="unified", enabled=False, targeting=targeting))
    oracles.set(found)
    contexts = [{"targetingKey": "user-1"}, {}]
    assert oracles.python("f", contexts) == oracles.javascript("f", contexts) == ["legacy", "legacy"]


def test_values_of_every_type_are_served(oracles: Oracles) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "boolean": {"a": True, "b": False},
        "string": {"a": "x", "b": "y"},
        "number": {"a": 1.5, "b": 2.0},
        "object": {"a": {"deep": [1, {"x": None}]}, "b": {}},
    }
    found = snapshot(*(flag(key=kind, variants=values, control="a", served="a") for kind, values in kinds.items()))
    oracles.set(found)
    for kind, values in kinds.items():
        [(variant, value)] = oracles._node.ask(flag=kind, kind=kind, contexts=[{"targetingKey": "u"}])
        assert (variant, value) == ("a", values["a"])


def test_a_flag_that_flagd_cannot_have_is_left_out_with_the_reason() -> None:
    listed = flag(key="listed", variants={"a": [1], "b": [2]}, control="a", served="a")
    exported, refused = document(snapshot(listed, flag()))
    assert set(exported["flags"]) == {"f"}
    assert refused == {"listed": "a variant is a list, and flagd has objects only"}
    assert exported["metadata"][REFUSED] == "listed: a variant is a list, and flagd has objects only"


def test_the_document_is_the_same_for_the_same_flags_in_whatever_order_they_are_kept() -> None:
    one, other = flag(rollout=ROLLOUT), flag(key="g", targeting=Targeting(deny=("u",)))
    assert document(snapshot(one, other)) == document(snapshot(other, one))
    assert REFUSED not in document(snapshot(one))[0]["metadata"]
