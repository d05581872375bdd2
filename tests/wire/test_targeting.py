"""The written form of targeting."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.conditions import AllOf, AnyOf, Comparison, Condition, InSegment, Not, Operator
from controller.domain.errors import Invalid
from controller.domain.targeting import Rule, Targeting
from controller.wire.codec import convert
from controller.wire.targeting import (
    TargetingForm,
    plain_condition,
    plain_targeting,
    read_condition,
    read_targeting,
    targeting_of,
)

DOCUMENT: dict[str, Any] = {
    "deny": ["user-7"],
    "allow": {"unified": ["user-1", "user-2"]},
    "rules": [
        {"name": "staff", "when": {"attribute": "email", "ends_with": "@example.com"}, "serve": "unified"},
        {
            "when": {
                "and": [
                    {"attribute": "app.version", "semver": ">= 2.1.0"},
                    {"not": {"segment": "banks"}},
                    {"or": [{"attribute": "country", "in": ["DE", "FR"]}, {"attribute": "age", "at_least": 18}]},
                ]
            },
            "serve": "unified",
            "share": "20%",
        },
        {"serve": "legacy"},
    ],
}


def read(document: Any) -> Targeting:
    return targeting_of(convert(document, TargetingForm))


def test_what_people_write_is_read_and_written_back():
    targeting = read(DOCUMENT)
    assert targeting.rules[0] == Rule(
        "unified", Comparison("email", Operator.ENDS_WITH, ("@example.com",)), 10_000, "staff"
    )
    assert targeting.rules[1].weight == 2_000
    assert targeting.segments == {"banks"}
    assert plain_targeting(targeting) == DOCUMENT
    assert read_targeting(plain_targeting(targeting)) == targeting


scalars = st.text(max_size=3) | st.integers(-9, 9) | st.floats(-9, 9) | st.booleans()
leaves = st.builds(InSegment, st.text(max_size=3)) | st.builds(
    lambda operator, values: Comparison("a", operator, tuple(values)),
    st.just(Operator.IN),
    st.lists(scalars, min_size=1, max_size=3),
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(lambda parts: AllOf(tuple(parts)), st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda parts: AnyOf(tuple(parts)), st.lists(inner, min_size=1, max_size=3))
    ),
    max_leaves=5,
)


@given(condition=conditions)
def test_a_condition_survives_its_written_form(condition: Condition):
    assert read_condition(plain_condition(condition)) == condition


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"rules": [{"when": {"attribute": "a"}, "serve": "x"}]}, "targeting.rules[0].when"),
        ({"rules": [{"when": {"equals": 1}, "serve": "x"}]}, "targeting.rules[0].when"),
        ({"rules": [{"when": {"attribute": "a", "equals": 1, "in": [2]}, "serve": "x"}]}, "targeting.rules[0].when"),
        ({"rules": [{"when": {"attribute": "a", "segment": "s"}, "serve": "x"}]}, "targeting.rules[0].when"),
        ({"rules": [{"when": {"and": [{"not": {}}]}, "serve": "x"}]}, "targeting.rules[0].when.and[0].not"),
        ({"rules": [{"serve": "x", "share": "half"}]}, "targeting.rules[0].share"),
        ({"rules": [{"serve": "x", "shares": "10%"}]}, "rules[0].shares"),
        ({"rules": [{"serve": "x", "when": {"attribute": "a", "matches": ".*"}}]}, "rules[0].when.matches"),
        ({"rules": [{"serve": "x", "when": {"attribute": "a", "more_than": "7"}}]}, "rules[0].when.more_than"),
        ({"prerequisites": ["other-flag"]}, "targeting.prerequisites"),
    ],
)
def test_what_cannot_be_meant_names_its_field(document: Any, field: str):
    with pytest.raises(Invalid) as refused:
        read(document)
    assert refused.value.field == field


def test_flags_that_depend_on_flags_are_refused_with_the_way_out():
    with pytest.raises(Invalid, match="write the condition as a segment"):
        read({"prerequisites": [{"flag": "other", "variant": "on"}]})


def test_endless_nesting_is_refused():
    document: dict[str, Any] = {"attribute": "a", "equals": 1}
    for _ in range(30):
        document = {"not": document}
    with pytest.raises(Invalid, match="too deep"):
        read({"rules": [{"serve": "x", "when": document}]})
