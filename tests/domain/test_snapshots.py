"""How an answer is reached from a snapshot."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.bucketing import bucket
from controller.domain.evaluation import Reason, evaluate
from controller.domain.metrics import UnitKind
from controller.domain.outcomes import Arm
from controller.domain.snapshots import PublishedFlag, PublishedRollout
from controller.domain.units import UnitRules
from tests.domain.builders import steady

ROLLOUT = PublishedRollout(
    key="r",
    control="legacy",
    canary="unified",
    weight=5_000,
    salt="0123456789abcdef",
    epoch=3,
    unit=UnitKind.USER_10M,
    events=("a", "b"),
    lease_ms=120_000,
)


def flag(rollout: PublishedRollout | None = ROLLOUT, **fields: Any) -> PublishedFlag:
    variants = {"legacy": False, "unified": True}
    given = {"key": "f", "variants": variants, "control": "legacy", "served": "legacy", "enabled": True, "version": 1}
    return PublishedFlag(**{**given, "rollout": rollout, **fields})


def share(weight: int) -> PublishedFlag:
    return flag(replace(ROLLOUT, weight=weight))


@pytest.mark.parametrize(
    ("asked", "key", "lapsed", "variant", "reason"),
    [
        (flag(None), "u", False, "legacy", Reason.STATIC),
        (flag(None), "u", True, "legacy", Reason.STATIC),
        (flag(None, served="unified"), "u", False, "unified", Reason.STATIC),
        (flag(None, served="unified"), None, True, "unified", Reason.STATIC),
        (flag(None, served="unified", enabled=False), "u", False, "legacy", Reason.DISABLED),
        (flag(enabled=False), "u", False, "legacy", Reason.DISABLED),
        (flag(enabled=False), "u", True, "legacy", Reason.DISABLED),
        (share(0), "u", False, "legacy", Reason.STATIC),
        (share(10_000), "u", False, "unified", Reason.STATIC),
        (share(10_000), None, False, "unified", Reason.STATIC),
        (share(10_000), "u", True, "legacy", Reason.STALE),
        (share(9_999), None, False, "legacy", Reason.DEFAULT),
        (share(9_999), "u", True, "legacy", Reason.STALE),
    ],
)
def test_the_answer_and_its_reason(asked: PublishedFlag, key: str | None, lapsed: bool, variant: str, reason: Reason):
    answer = evaluate(asked, key, lapsed=lapsed)
    assert (answer.variant, answer.reason) == (variant, reason)
    assert answer.value is (variant == "unified")


@steady
@given(key=st.text(min_size=1, max_size=200), weight=st.integers(1, 9_999))
def test_a_split_follows_the_bucket(key: str, weight: int):
    answer = evaluate(share(weight), key)
    expected = "unified" if bucket(ROLLOUT.salt, key) < weight else "legacy"
    assert (answer.variant, answer.reason) == (expected, Reason.SPLIT)


@pytest.mark.parametrize("key", ["", None])
def test_whoever_has_no_key_cannot_be_held_to_a_bucket_and_gets_the_control(key: str | None):
    answer = evaluate(share(9_999), key)
    assert (answer.variant, answer.reason, answer.governed) == ("legacy", Reason.DEFAULT, False)


def test_the_rollouts_control_is_served_while_it_is_live_even_if_the_flag_serves_another_variant():
    third = flag(replace(ROLLOUT, weight=0), variants={"legacy": 1, "unified": 2, "older": 3}, served="older")
    assert evaluate(third, "u").variant == "legacy"


def test_a_variant_stands_for_an_arm_or_is_not_compared():
    assert ROLLOUT.arm_of("unified") is Arm.CANARY
    assert ROLLOUT.arm_of("legacy") is Arm.CONTROL
    assert ROLLOUT.arm_of("older") is None


def test_clients_count_by_the_rules_of_the_rollout():
    assert ROLLOUT.rules() == UnitRules("r", UnitKind.USER_10M, frozenset({"a", "b"}))
