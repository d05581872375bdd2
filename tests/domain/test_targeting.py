"""Lists and rules before the split: their order, their checks, and what a rollback leaves of them."""

from typing import Any

import pytest

from controller.domain.conditions import Comparison, Condition, InSegment, Operator
from controller.domain.errors import Invalid
from controller.domain.evaluation import Evaluation, Reason, evaluate
from controller.domain.flags import Flag
from controller.domain.segments import Segment
from controller.domain.snapshots import PublishedFlag, PublishedRollout
from controller.domain.targeting import Rule, Targeting, share_salt, withdrawn
from controller.domain.units import UnitKind

VARIANTS = {"legacy": 1, "unified": 2, "other": 3}
ROLLOUT = PublishedRollout("r", "legacy", "unified", 10_000, "salt", 1, UnitKind.USER_10M, ("e",), 120_000)


def country(value: str) -> Comparison:
    return Comparison("country", Operator.EQUALS, (value,))


def asked(
    targeting: Targeting, key: str | None = "anna", rollout: PublishedRollout | None = None, **attributes: Any
) -> Evaluation:
    segments: dict[str, Condition] = {"german": country("DE")}
    flag = PublishedFlag("f", VARIANTS, "legacy", "legacy", True, 1, rollout, targeting)
    return evaluate(flag, key, attributes, segments=segments)


def said(answer: Evaluation) -> tuple[str, str, str]:
    return answer.variant, answer.reason.value, answer.rule


def test_deny_comes_before_allow_before_rules_before_the_split():
    targeting = Targeting(
        deny=("dora",),
        allow={"other": ("otto",), "unified": ("uma",)},
        rules=(Rule("other", country("FR"), name="france"), Rule("unified", InSegment("german"))),
    )
    assert said(asked(targeting, "dora", ROLLOUT, country="FR")) == ("legacy", "TARGETING_MATCH", "deny")
    assert said(asked(targeting, "otto", ROLLOUT, country="DE")) == ("other", "TARGETING_MATCH", "allow")
    assert said(asked(targeting, "uma")) == ("unified", "TARGETING_MATCH", "allow")
    assert said(asked(targeting, "anna", ROLLOUT, country="FR")) == ("other", "TARGETING_MATCH", "france")
    assert said(asked(targeting, "anna", country="DE")) == ("unified", "TARGETING_MATCH", "#2")
    assert said(asked(targeting, "anna", ROLLOUT)) == ("unified", "DEFAULT", "")
    assert said(asked(targeting, "anna")) == ("legacy", "DEFAULT", "")


def test_only_the_split_is_governed_by_the_rollout():
    targeting = Targeting(allow={"unified": ("uma",)}, rules=(Rule("unified", country("DE"), weight=5_000),))
    assert asked(targeting, "anna", ROLLOUT).governed
    assert not asked(targeting, "uma", ROLLOUT).governed
    assert not asked(targeting, "anna", ROLLOUT, country="DE").governed


def test_the_kill_switch_comes_before_everything():
    flag = PublishedFlag("f", VARIANTS, "legacy", "other", False, 1, ROLLOUT, Targeting(allow={"unified": ("uma",)}))
    answer = evaluate(flag, "uma")
    assert said(answer) == ("legacy", "DISABLED", "")


def test_a_lapsed_lease_overrides_rules_of_a_flag_with_a_live_rollout_and_of_no_other():
    targeting = Targeting(allow={"unified": ("uma",)})
    live = PublishedFlag("f", VARIANTS, "legacy", "legacy", True, 1, ROLLOUT, targeting)
    still = PublishedFlag("f", VARIANTS, "legacy", "legacy", True, 1, None, targeting)
    assert evaluate(live, "uma", lapsed=True).reason is Reason.STALE
    assert evaluate(still, "uma", lapsed=True).variant == "unified"


def test_a_rules_share_grows_without_taking_anybody_back():
    def served(weight: int) -> set[str]:
        targeting = Targeting(rules=(Rule("unified", weight=weight),))
        return {key for key in map(str, range(2_000)) if asked(targeting, key).variant == "unified"}

    small, large = served(500), served(2_500)
    assert small < large
    assert 60 < len(small) < 140
    assert 420 < len(large) < 580
    assert said(asked(Targeting(rules=(Rule("unified", weight=9_999),)), None)) == ("legacy", "DEFAULT", "")


def test_the_share_of_a_rule_has_a_bucket_of_its_own():
    assert share_salt("f") != share_salt("g")
    assert share_salt("f").isascii()


def test_a_rollback_withdraws_the_canary_from_lists_and_rules_too():
    targeting = Targeting(
        deny=("dora",),
        allow={"unified": ("uma",), "other": ("otto",)},
        rules=(Rule("unified", country("DE"), weight=5_000, name="germans"), Rule("other", country("FR"))),
    )
    left = withdrawn(targeting, {"unified"}, "legacy")
    for key in map(str, range(200)):
        assert asked(left, key, country="DE").variant == "legacy"
    assert asked(left, "uma").variant == "legacy"
    assert asked(left, "otto").variant == "other"
    assert asked(left, "anna", country="FR").variant == "other"


@pytest.mark.parametrize(
    ("targeting", "field"),
    [
        (Targeting(allow={"green": ("u",)}), "targeting.allow"),
        (Targeting(deny=("",)), "targeting.deny[0]"),
        (Targeting(deny=("u", "u")), "targeting.deny[1]"),
        (Targeting(deny=("u",), allow={"unified": ("v", "u")}), "targeting.allow.unified[1]"),
        (Targeting(deny=("x" * 1001,)), "targeting.deny[0]"),
        (Targeting(deny=tuple(map(str, range(10_001)))), "targeting"),
        (Targeting(rules=(Rule("green"),)), "targeting.rules[0].serve"),
        (Targeting(rules=(Rule("unified", weight=0),)), "targeting.rules[0].share"),
        (Targeting(rules=(Rule("unified", weight=10_001),)), "targeting.rules[0].share"),
        (Targeting(rules=(Rule("unified", name="a"), Rule("other", name="a"))), "targeting.rules[0].name"),
        (
            Targeting(rules=(Rule("unified", Comparison("a b", Operator.EQUALS, (1,))),)),
            "targeting.rules[0].when.attribute",
        ),
        (Targeting(rules=(Rule("unified"),) * 51), "targeting.rules"),
    ],
)
def test_targeting_that_does_not_fit_the_flag_names_the_field(targeting: Targeting, field: str):
    with pytest.raises(Invalid) as refused:
        Flag("f", VARIANTS, "legacy", "legacy", targeting=targeting)
    assert refused.value.field == field


def test_a_segment_is_checked_and_names_no_other():
    assert Segment("german", country("DE")).version == 1
    with pytest.raises(Invalid, match="names no other segment"):
        Segment("german", InSegment("european"))
    with pytest.raises(Invalid) as refused:
        Segment("german", Comparison("a b", Operator.EQUALS, (1,)))
    assert refused.value.field == "when.attribute"
