"""Flags and their variants."""

from typing import Any

import pytest

from controller.domain.errors import Invalid
from controller.domain.flags import Flag, checked_key, value_type


def flag(**fields: Any) -> Flag:
    given = {"key": "f", "variants": {"legacy": False, "unified": True}, "control": "legacy", "served": "legacy"}
    return Flag(**{**given, **fields})


@pytest.mark.parametrize("key", ["f", "unified-websocket-emitter", "a.b_c-1", "9", "x" * 128])
def test_a_key_is_safe_in_urls_and_labels(key: str):
    assert checked_key(key, "key") == key


@pytest.mark.parametrize("key", ["", "-f", ".f", "a b", "a/b", "é", "x" * 129, "a\n", "{x}"])
def test_any_other_key_is_refused_with_its_field(key: str):
    with pytest.raises(Invalid) as refused:
        checked_key(key, "rollout")
    assert refused.value.field == "rollout"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"key": "a b"}, "key"),
        ({"control": "green"}, "control"),
        ({"served": "green"}, "served"),
        ({"variants": {"legacy": False}}, "variants"),
        ({"variants": {f"v{n}": n for n in range(17)}}, "variants"),
        ({"variants": {"legacy": False, "unified": "yes"}}, "variants"),
        ({"variants": {"legacy": 0, "unified": True}}, "variants"),
        ({"variants": {"legacy": False, "a b": True}}, "variants.a b"),
        ({"variants": {"legacy": None, "unified": None}}, "variants.legacy"),
    ],
)
def test_a_flag_that_does_not_fit_together_names_the_field(fields: dict[str, Any], field: str):
    with pytest.raises(Invalid) as refused:
        flag(**fields)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, "boolean"), ("x", "string"), (1, "number"), (1.5, "number"), ({"a": 1}, "object"), ([1], "object")],
)
def test_a_value_has_the_type_that_openfeature_gives_it(value: Any, kind: str):
    assert value_type(value) == kind


def test_whole_and_broken_numbers_are_one_type():
    assert flag(variants={"legacy": 1, "unified": 1.5}).variants["unified"] == 1.5
