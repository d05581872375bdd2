"""Durations and shares as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.durations import duration_ms, duration_text, parts_of, percent_text
from controller.domain.errors import Invalid
from tests.domain.builders import steady


@pytest.mark.parametrize(
    ("text", "expected"), [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("2h", 7_200_000), (" 1d ", 86_400_000)]
)
def test_a_duration_is_a_whole_number_with_its_unit(text: str, expected: int):
    assert duration_ms(text, "bake") == expected


@pytest.mark.parametrize(
    "text", ["", "10", "10 m", "1.5h", "-1m", "1w", "10M", "ten", "1h30m", "12345678901s", "\u0661m"]
)
def test_anything_else_is_refused_with_the_field_and_an_example(text: str):
    with pytest.raises(Invalid, match="such as 10m") as refused:
        duration_ms(text, "stages[0].bake")
    assert refused.value.field == "stages[0].bake"


@steady
@given(ms=st.integers(0, 10**9))
def test_a_duration_survives_being_written_and_read(ms: int):
    assert duration_ms(duration_text(ms), "bake") == ms


@pytest.mark.parametrize(("ms", "text"), [(600_000, "10m"), (86_400_000, "1d"), (90_000, "90s"), (1, "1ms"), (0, "0s")])
def test_a_duration_is_written_in_its_largest_exact_unit(ms: int, text: str):
    assert duration_text(ms) == text


@steady
@given(parts=st.integers(0, 10_000), whole=st.sampled_from([1_000, 10_000]))
def test_a_percentage_survives_being_written_and_read(parts: int, whole: int):
    parts = min(parts, whole)
    assert parts_of(percent_text(parts, whole), "share", whole) == parts


@pytest.mark.parametrize(
    ("parts", "text"), [(1, "0.01%"), (100, "1%"), (1_000, "10%"), (1_250, "12.5%"), (10_000, "100%"), (0, "0%")]
)
def test_a_percentage_is_written_in_its_shortest_form(parts: int, text: str):
    assert percent_text(parts) == text


@pytest.mark.parametrize("text", ["", "%", "10", "ten%", "-1%", "101%", "NaN%", "inf%", "1e1%", "1_0%", "10%%", ".5%"])
def test_what_is_no_percentage_is_refused_with_its_field(text: str):
    with pytest.raises(Invalid, match="such as 10%") as refused:
        parts_of(text, "stages[2].share")
    assert refused.value.field == "stages[2].share"


@pytest.mark.parametrize("text", ["0.001%", "33.333%", "99.999999%"])
def test_a_share_finer_than_one_part_is_refused_rather_than_rounded(text: str):
    with pytest.raises(Invalid, match=r"finer than 0\.01 %"):
        parts_of(text, "share")
