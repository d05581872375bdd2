"""What a policy says, what it inherits, and which raw outcomes are stored."""

import pytest

from controller.domain.errors import Invalid
from controller.domain.retention import (
    DAY_MS,
    DEFAULT_MS,
    EVERY_FLAG,
    Detail,
    Kind,
    Policies,
    Policy,
    changed,
    detail_of,
)

NOTHING = Policy("f", {})


def policies(**by_flag: Policy) -> Policies:
    return Policies({EVERY_FLAG if key == "every" else key: policy for key, policy in by_flag.items()})


def test_a_flag_says_it_itself_or_every_flag_does_or_the_default_holds() -> None:
    found = policies(f=Policy("f", {Kind.RAW: DAY_MS}), every=Policy("*", {Kind.RAW: 2 * DAY_MS}, Detail(0)))
    assert found.keep_ms("f", Kind.RAW) == DAY_MS
    assert found.keep_ms("g", Kind.RAW) == 2 * DAY_MS
    assert found.keep_ms("g", Kind.LEDGER) == DEFAULT_MS[Kind.LEDGER]
    assert found.detail("f") == Detail(0)


def test_partitions_go_by_the_longest_policy_and_the_shorter_ones_are_named() -> None:
    kept = {"a": DAY_MS, "b": 30 * DAY_MS, "c": 7 * DAY_MS}
    found = Policies({key: Policy(key, {Kind.RAW: ms}) for key, ms in kept.items()})
    assert found.longest_ms(Kind.RAW) == 30 * DAY_MS
    assert found.shorter(Kind.RAW) == {"a": DAY_MS, "c": 7 * DAY_MS}


def test_words_become_a_policy_and_an_empty_word_takes_one_back() -> None:
    first = changed(NOTHING, {Kind.RAW: "3d", Kind.LEDGER: None}, "sample:100", 5)
    assert (first.keep_ms, first.detail, first.version, first.updated_ms) == ({Kind.RAW: 3 * DAY_MS}, Detail(100), 1, 5)
    second = changed(first, {Kind.RAW: ""}, "", 6)
    assert (second.keep_ms, second.detail, second.version) == ({}, None, 2)
    assert changed(first, {}, None, 7).keep_ms == first.keep_ms


@pytest.mark.parametrize(
    ("kind", "text"),
    [(Kind.RAW, "10m"), (Kind.WINDOWS, "1d"), (Kind.LEDGER, "0d"), (Kind.RAW, "4000d"), (Kind.RAW, "x")],
)
def test_a_time_that_would_break_something_is_refused_by_name(kind: Kind, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        changed(NOTHING, {kind: text}, None, 0)
    assert refused.value.field == kind.value


@pytest.mark.parametrize("text", ["all", "failures", "sample:7"])
def test_a_detail_reads_as_it_is_written(text: str) -> None:
    assert detail_of(text).text == text


@pytest.mark.parametrize("text", ["some", "sample:0", "sample:-1", "sample:2000000", "sample:"])
def test_a_detail_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="none of all, failures, sample:N"):
        detail_of(text)


def test_what_was_not_delivered_is_always_stored() -> None:
    for detail in (Detail(0), Detail(1), Detail(1000)):
        assert all(detail.keeps(outcome, "x") for outcome in ("failed", "abandoned", "interrupted"))
    assert not Detail(0).keeps("delivered", "x")
    assert Detail(1).keeps("delivered", "x")


def test_a_sample_stores_about_one_in_n_and_all_of_a_run_or_nothing() -> None:
    kept = [key for key in (f"run-{n}" for n in range(20_000)) if Detail(10).keeps("delivered", key)]
    assert 1_700 < len(kept) < 2_300
    assert all(Detail(10).keeps("delivered", key) for key in kept)
