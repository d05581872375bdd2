"""Distinct users: counted once by everybody alike, and never without bound."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.samples import ACTIVE_MS, MOST_SAMPLED, ActiveUsers, SampleKey, UserSample, active_users, sampled
from tests.domain.builders import NOW, steady

CANARY, CONTROL = SampleKey("r", 1, "canary"), SampleKey("r", 1, "control")


def tag(user: object) -> str:
    return blake2b(str(user).encode(), digest_size=6).hexdigest()


def test_a_user_is_new_once():
    sample = UserSample()
    for _ in range(3):
        sample.seen(CANARY, tag("alice"))
    assert sample.drain() == {CANARY: [tag("alice")]}
    sample.seen(CANARY, tag("alice"))
    assert sample.drain() == {}


def test_arms_and_epochs_are_counted_apart():
    sample = UserSample()
    for key in (CANARY, CONTROL, SampleKey("r", 2, "canary")):
        sample.seen(key, tag("alice"))
    assert len(sample.drain()) == 3


def test_what_could_not_be_sent_is_sent_the_next_time():
    sample = UserSample()
    sample.seen(CANARY, tag("alice"))
    sample.give_back(sample.drain().items())
    assert sample.drain() == {CANARY: [tag("alice")]}


def test_beyond_its_bound_the_sample_is_halved_and_stays_a_fair_one():
    sample = UserSample()
    for user in range(20_000):
        sample.seen(CANARY, tag(user))
    kept = sample.drain()[CANARY]
    assert len(kept) <= MOST_SAMPLED
    level = next(level for level in range(20) if all(sampled(each, level + 1) is False for each in kept[-1:]))
    assert abs((len(kept) << level) - 20_000) < 2_500


@steady
@given(st.text(), st.integers(0, 20))
def test_who_is_in_a_smaller_sample_is_in_the_larger_one(user: str, level: int):
    assert sampled(tag(user), 0)
    if sampled(tag(user), level + 1):
        assert sampled(tag(user), level)


def test_old_epochs_are_forgotten():
    sample = UserSample()
    for epoch in range(1_000):
        sample.seen(SampleKey("r", epoch, "canary"), tag("alice"))
    assert len(sample.drain()) == 64


# --- active users ---


def active(*seen: tuple[str, int], now: int) -> set[str]:
    users = ActiveUsers()
    for user, at in seen:
        users.seen("r", "canary", user, at)
    gauges = users.gauges(now)
    assert set(gauges.values()) <= {1}
    return {stream.removeprefix("active/") for _, _, stream in gauges}


def test_users_are_active_for_ten_minutes_after_their_last_attempt():
    assert active(("a", NOW), ("b", NOW), ("a", NOW + 1), now=NOW + ACTIVE_MS - 1) == {"a", "b"}
    assert active(("a", NOW), ("b", NOW), ("a", NOW + 1), now=NOW + ACTIVE_MS) == {"a"}
    assert active(("a", NOW), now=NOW + ACTIVE_MS + 1) == set()


def test_four_are_named_and_stay_named_while_they_are_active():
    crowd = [(str(user), NOW) for user in range(100)]
    assert active(*crowd, now=NOW) == {"0", "1", "2", "3"}
    later = NOW + ACTIVE_MS - 1
    assert active(*crowd, ("2", later), ("77", later + 1), now=later + 1) == {"2", "77"}


@pytest.mark.parametrize(
    ("gauges", "found"),
    [
        ({}, None),
        ({("canary", "active/a"): 1, ("canary", "active/b"): 2, ("canary", "active/c"): 0}, 2),
        ({("canary", "active"): 5}, 5),
        ({("canary", "active"): 0}, 0),
        ({("canary", "active"): 5, ("canary", "active/a"): 3}, 6),
        ({("control", "active/a"): 1, ("canary", "agent_started"): 7}, None),
    ],
)
def test_one_who_is_served_by_several_processes_is_active_once(gauges: dict[tuple[str, str], int], found: int | None):
    assert active_users(gauges, "canary") == found
