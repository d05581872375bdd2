"""Conditions: what fits, and that nothing which an application may pass can break them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.conditions import AllOf, AnyOf, Comparison, Condition, InSegment, Not, Operator, check_condition
from controller.domain.errors import Invalid
from controller.domain.matching import compile_condition
from tests.domain.builders import steady

#: Everything that may stand in a context, and some things that may not.
HOSTILE: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 0.5, math.nan, math.inf, -math.inf, 10**400, "", "DE", "1", "true", "None",
    "x" * 10_000, "\x00", "\ud800", "é", [], ["DE"], [["DE"]], [None], {}, {"plan": "pro"}, {"plan": {}}, b"DE",
    object(), (1, 2), {1, 2}, int, print,
]  # fmt: skip


def compare(attribute: str, operator: str, *operands: Any) -> Comparison:
    return Comparison(attribute, Operator(operator), operands)


def fits(condition: Condition, key: str | None = "anna", **attributes: Any) -> bool:
    check_condition(condition, "when")
    return compile_condition(condition, {})(key, attributes)


@pytest.mark.parametrize(
    ("operator", "operands", "fitting", "others"),
    [
        ("equals", ["DE"], ["DE"], ["de", "DEU", None, ["DE"]]),
        ("equals", [1], [1, 1.0], [True, "1", 2]),
        ("equals", [True], [True], [1, "true", False]),
        ("in", ["DE", 7, False], ["DE", 7, 7.0, False], ["FR", 0, "7", True, None]),
        ("starts_with", ["a", "b"], ["anna", "bob", "a"], ["canna", "", None, ["a"]]),
        ("ends_with", ["@a.com", "@b.com"], ["x@a.com", "@b.com"], ["x@a.com.x", "a.com"]),
        ("contains", ["nn"], ["anna", ["x", "nn"], ("nn",)], ["ana", ["anna"], [], 7]),
        ("more_than", [18], [18.5, 19, math.inf], [18, "19", True, None, math.nan, -math.inf]),
        ("at_least", [18], [18, 18.0], [17.9, math.nan]),
        ("less_than", [0], [-1, -math.inf], [0, False, math.nan, "-1"]),
        ("at_most", [0], [0, -0.0], [0.1, None]),
        ("semver", [">= 2.1.0"], ["2.1.0", "v3"], ["2.0.9", "x", 3, None]),
    ],
)
def test_a_comparison_is_strict_about_types(operator: str, operands: Any, fitting: list[Any], others: list[Any]):
    condition = compare("a", operator, *operands)
    assert [value for value in fitting if not fits(condition, a=value)] == []
    assert [value for value in others if fits(condition, a=value)] == []


def test_the_targeting_key_is_an_attribute_of_its_own():
    condition = compare("targetingKey", "starts_with", "an")
    assert fits(condition)
    assert not fits(condition, None)
    assert not fits(condition, "bob", targetingKey="anna")


def test_dots_lead_into_objects_and_nowhere_else():
    condition = compare("user.plan.name", "equals", "pro")
    assert fits(condition, user={"plan": {"name": "pro"}})
    for other in ("pro", {"plan": "pro"}, {"plan": ["pro"]}, {}, None, {"plan.name": "pro"}):
        assert not fits(condition, user=other)
    assert not fits(condition, **{"user.plan.name": "pro"})


def test_and_or_not_and_segments_join_conditions():
    german, staff = compare("country", "equals", "DE"), compare("email", "ends_with", "@example.com")
    matcher = compile_condition(AllOf((InSegment("german"), Not(staff))), {"german": compile_condition(german, {})})
    assert matcher("u", {"country": "DE"})
    assert not matcher("u", {"country": "DE", "email": "a@example.com"})
    assert not matcher("u", {"country": "FR"})
    assert fits(AnyOf((german, staff)), email="a@example.com")
    assert not fits(AnyOf((german, staff)))


def test_an_unknown_segment_is_refused_when_compiled():
    with pytest.raises(Invalid, match="no segment 'beta'"):
        compile_condition(InSegment("beta"), {})


@pytest.mark.parametrize("operator", list(Operator))
def test_nothing_that_a_context_may_hold_breaks_a_condition(operator: Operator):
    operand = {"more_than": 1, "at_least": 1, "less_than": 1, "at_most": 1, "semver": "1.0.0"}.get(operator, "DE")
    for name in ("a", "a.plan", "targetingKey"):
        matcher = compile_condition(Comparison(name, operator, (operand,)), {})
        for value in HOSTILE:
            assert matcher("u", {"a": value}) in (True, False)
        assert matcher(None, {}) is False


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@steady
@given(value=json_values, operand=st.text(min_size=1, max_size=3) | st.integers(-5, 5) | st.booleans())
def test_not_is_the_opposite_whatever_the_value(value: Any, operand: Any):
    condition = compare("a", "in", operand)
    assert fits(condition, a=value) is not fits(Not(condition), a=value)


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        (compare("", "equals", 1), "when.attribute"),
        (compare("a b", "equals", 1), "when.attribute"),
        (compare("a..b", "equals", 1), "when.attribute"),
        (compare("a.0", "equals", 1), "when.attribute"),
        (compare("__proto__", "equals", 1), "when.attribute"),
        (compare("a.length", "equals", 1), "when.attribute"),
        (compare("a" * 201, "equals", 1), "when.attribute"),
        (compare("a", "starts_with", ""), "when.starts_with"),
        (compare("a", "starts_with", 7), "when.starts_with"),
        (compare("a", "more_than", "7"), "when.more_than"),
        (compare("a", "more_than", True), "when.more_than"),
        (compare("a", "more_than", math.nan), "when.more_than"),
        (compare("a", "at_most", 2**53 + 1), "when.at_most"),
        (compare("a", "in"), "when.in"),
        (compare("a", "in", "x", "y" * 1001), "when.in[1]"),
        (compare("a", "semver", "newest"), "when.semver"),
        (AllOf(()), "when.and"),
        (AnyOf((Not(AllOf((compare("a b", "equals", 1),))),)), "when.or[0].not.and[0].attribute"),
    ],
)
def test_a_condition_that_cannot_be_meant_names_its_field(condition: Condition, field: str):
    with pytest.raises(Invalid) as refused:
        check_condition(condition, "when")
    assert refused.value.field == field


def test_depth_and_size_are_bounded():
    leaf = compare("a", "equals", 1)
    deep: Condition = leaf
    for _ in range(8):
        deep = Not(deep)
    with pytest.raises(Invalid, match="nested at most 8"):
        check_condition(deep, "when")
    with pytest.raises(Invalid, match="at most 100 parts"):
        check_condition(AllOf((leaf,) * 100), "when")
