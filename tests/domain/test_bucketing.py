"""Who sees the canary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.bucketing import WHOLE, bucket, chooser, sees_canary
from tests.domain.builders import steady

SALT = "0123456789abcdef"

#: Read off an evaluator that is not ours: openfeature-flagd-core 2.0.0 on the exported flag, by bisecting the weight.
GOLDEN = [
    ("a1b2c3d4e5f60718", "alice", 5846),
    ("a1b2c3d4e5f60718", "bob", 3668),
    ("a1b2c3d4e5f60718", "user-1", 3425),
    ("a1b2c3d4e5f60718", "user-2", 6141),
    ("feedfacecafebeef", "550e8400-e29b-41d4-a716-446655440000", 9924),
    (SALT, "alice", 7257),
    (SALT, "", 6661),
    (SALT, "x" * 102, 9163),
    (SALT, "x" * 103, 8224),
    (SALT, "x" * 104, 1789),
    (SALT, "y" * 120, 9525),
    (SALT, "z" * 500, 1066),
    (SALT, "zoë", 8934),
    (SALT, "Ωмега", 2987),
    (SALT, "用户-42", 5594),
    (SALT, "🙂", 8884),
    (SALT, "é" * 130, 6326),
    (SALT, "🙂" * 120, 5912),
    (SALT, "用" * 65 + "x" * 55, 4059),  # 250 bytes
    (SALT, "用" * 67 + "é" + "x" * 52, 2258),  # 255
    (SALT, "用" * 68 + "x" * 52, 8923),  # 256: a longer head
    ("", "plain", 5772),
    ("salt/with/slash", "a/b", 4174),
]

keys = st.text(max_size=150)


@pytest.mark.parametrize(("salt", "key", "expected"), GOLDEN)
def test_the_bucket_is_the_one_that_flagd_evaluators_compute(salt: str, key: str, expected: int):
    assert bucket(salt, key) == expected
    assert not sees_canary(salt, key, expected)
    assert sees_canary(salt, key, expected + 1)


@steady
@given(salt=keys, key=st.text(max_size=150, alphabet=st.characters()), weights=st.tuples(*[st.integers(0, WHOLE)] * 2))
def test_whoever_sees_the_canary_keeps_seeing_it_while_the_share_grows(salt: str, key: str, weights: tuple[int, int]):
    smaller, larger = sorted(weights)
    assert not sees_canary(salt, key, smaller) or sees_canary(salt, key, larger)


@steady
@given(salt=keys, key=keys)
def test_nobody_sees_a_share_of_nothing_and_everybody_sees_the_whole(salt: str, key: str):
    assert 0 <= bucket(salt, key) < WHOLE
    assert not sees_canary(salt, key, 0)
    assert sees_canary(salt, key, WHOLE)


@pytest.mark.parametrize("weight", [10, 100, 1_000, 2_500, 5_000, 9_000])
def test_the_share_of_twenty_thousand_users_is_within_four_sigma(weight: int):
    seen = sum(sees_canary(SALT, f"user-{number}", weight) for number in range(20_000))
    share = weight / WHOLE
    assert abs(seen - 20_000 * share) <= 4 * (20_000 * share * (1 - share)) ** 0.5


def test_another_salt_picks_other_users():
    picked = [{n for n in range(20_000) if sees_canary(salt, f"user-{n}", 1_000)} for salt in ("one", "two")]
    expected, sigma = 200, (20_000 * 0.01 * 0.99) ** 0.5
    assert abs(len(picked[0] & picked[1]) - expected) <= 4 * sigma


def test_a_lone_surrogate_in_a_key_is_bucketed_rather_than_refused():
    assert 0 <= bucket(SALT, "\ud800") < WHOLE


@pytest.mark.parametrize("salt", ["s", "0123456789abcdef", "x" * 118, "x" * 119, "x" * 120, "x" * 300])
def test_a_prepared_split_answers_as_the_bucket_does_for_keys_of_any_length(salt: str) -> None:
    choose = chooser(salt, 3_700, True, False)
    for size in (*range(1, 260), *range(1, 260)):  # once unknown, once prepared where it is
        for key in ("k" * (size - 1) + "7", "é" * size, "\ud800" + "k" * size):
            assert choose(key, {}) is sees_canary(salt, key, 3_700)
    assert choose("", {}) is choose(None, {}) is None
