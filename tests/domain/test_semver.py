"""Versions in the order that semantic versioning gives them."""

import itertools

import pytest

from controller.domain.errors import Invalid
from controller.domain.semver import comparison, parse, split_range

#: Section 11 of semver.org, and numbers that text would order wrongly.
IN_ORDER = (
    "0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
    "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0", "10.0.0",
)  # fmt: skip


def test_versions_are_ordered_as_the_specification_orders_them():
    for lower, higher in itertools.combinations(IN_ORDER, 2):
        assert parse(lower) < parse(higher), (lower, higher)


@pytest.mark.parametrize(
    ("text", "same"),
    [("v1.2.3", "1.2.3"), ("V1.2.3", "1.2.3"), ("1", "1.0.0"), ("1.2", "1.2.0"), ("1.2.3+b7", "1.2.3")],
)
def test_people_write_versions_shorter_or_longer(text: str, same: str):
    assert parse(text) == parse(same)


NO_VERSIONS = (
    "", "v", "vv1.0.0", " 1.0.0", "1.0.0 ", "1.2.3.4", "01.0.0", "1.02.0", "1.2-beta", "1.0.0-", "1.0.0-01", "a.b.c",
    "1.0.0-a..b", "\u0661.\u0662.\u0663", "1.0.0\n", "9007199254740992.0.0", "1.0.0-" + "x" * 300, "\x00", "\ud800",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_VERSIONS)
def test_what_is_no_version_fits_no_range(text: str):
    assert parse(text) is None
    assert not comparison("!= 1.0.0")(text)


@pytest.mark.parametrize(
    ("wanted", "fitting", "others"),
    [
        ("1.2.3", ["1.2.3", "v1.2.3", "1.2.3+build"], ["1.2.4", "1.2.3-rc.1"]),
        ("= 1.2", ["1.2.0"], ["1.2.1"]),
        ("!=1.2.3", ["1.2.4"], ["1.2.3"]),
        (">= 2.1.0", ["2.1.0", "2.1.1", "3.0.0"], ["2.0.9", "2.1.0-rc.1"]),
        ("> 2.1.0", ["2.1.1"], ["2.1.0"]),
        ("<= 2.1.0", ["2.1.0", "2.1.0-rc.1"], ["2.1.1"]),
        ("< 2.1.0", ["2.1.0-rc.1", "1.9.9"], ["2.1.0"]),
        ("^ 2.1.0", ["2.0.0", "2.9.9"], ["1.9.9", "3.0.0"]),
        ("~ 2.1.0", ["2.1.9"], ["2.2.0", "3.1.0"]),
    ],
)
def test_a_range_takes_what_it_says(wanted: str, fitting: list[str], others: list[str]):
    fits = comparison(wanted)
    assert [v for v in fitting if not fits(v)] == []
    assert [v for v in others if fits(v)] == []


@pytest.mark.parametrize("text", ["", ">=", ">= x", "=> 1.0.0", ">= 1.0.0 2.0.0", ">= 1.2.3.4", "latest"])
def test_a_range_that_cannot_be_read_names_its_field(text: str):
    with pytest.raises(Invalid, match="a comparison with a version") as refused:
        split_range(text, "when.semver")
    assert refused.value.field == "when.semver"
