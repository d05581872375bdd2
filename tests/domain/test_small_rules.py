"""Tallies, windows, errors and principals: rules of a line or two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain import errors
from controller.domain.outcomes import OutcomeClass
from controller.domain.principals import Need, Principal, Role
from controller.domain.tallies import Counts, Tally
from controller.domain.windows import MOST_AGE_MS, event_time_ms, window_start
from tests.domain.builders import NOW, steady

tallies = st.builds(Tally, st.integers(0, 10**9), st.integers(0, 10**9))
counts = st.builds(Counts, *[st.integers(0, 10**6)] * 6)


@steady
@given(a=tallies, b=tallies, c=tallies)
def test_tallies_add_in_any_order(a: Tally, b: Tally, c: Tally):
    assert a.plus(b).plus(c) == c.plus(a.plus(b))
    assert a.plus(Tally()) == a


@steady
@given(a=counts, b=counts)
def test_counts_add_in_any_order(a: Counts, b: Counts):
    both = a.plus(b)
    assert both == b.plus(a)
    assert both.attempts == a.attempts + b.attempts


def test_the_user_who_left_and_the_process_that_stopped_are_outside_the_rate():
    assert [outcome for outcome in OutcomeClass if outcome.in_rate] == [OutcomeClass.DELIVERED, OutcomeClass.FAILED]


@pytest.mark.parametrize(("age", "expected"), [(0, NOW), (5_000, NOW - 5_000), (-9, NOW), (10**12, NOW - MOST_AGE_MS)])
def test_event_time_is_receipt_minus_an_age_that_is_believed_up_to_ten_minutes(age: int, expected: int):
    assert event_time_ms(NOW, age) == expected


def test_windows_are_aligned_to_ten_seconds():
    assert [window_start(at) for at in (0, 9_999, 10_000, 25_000)] == [0, 0, 10_000, 20_000]


def refusals(root: type[errors.Refusal]) -> list[type[errors.Refusal]]:
    return [root, *(found for child in root.__subclasses__() for found in refusals(child))]


def test_every_refusal_has_a_code_of_its_own_a_title_and_a_client_or_server_status():
    tree = refusals(errors.Refusal)
    assert len({each.code for each in tree}) == len(tree)
    for each in tree:
        assert 400 <= each.status < 600
        assert each("why").title


def test_a_refusal_says_its_field_first():
    assert str(errors.Invalid("is wrong", field="stages[1].share")) == "stages[1].share: is wrong"
    assert str(errors.Invalid("is wrong")) == "is wrong"


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, {Need.READ, Need.EXPORT}),
        (Role.EVALUATOR, {Need.EVALUATE}),
        (Role.SDK, {Need.REPORT, Need.EVALUATE, Need.EXPORT}),
        (Role.OPERATOR, {Need.READ, Need.OPERATE, Need.EXPORT}),
        (Role.ADMIN, set(Need)),
    ],
)
def test_a_role_may_do_this_and_nothing_else(role: Role, allowed: set[Need]):
    assert {need for need in Need if Principal("somebody", role).may(need)} == allowed
