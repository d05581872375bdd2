"""Slots and rows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.ledger import Gauges, LedgerRow, ledger_rows
from controller.domain.metrics import DELIVERY, POOLED, WATCHED, UnitKind
from controller.domain.outcomes import Arm
from controller.domain.tallies import Tally
from tests.domain.builders import row, slot, steady

EVENTS = ("a", "b")
tallies = st.dictionaries(
    st.tuples(st.integers(1, 3), st.sampled_from(["canary", "control"]), st.sampled_from(["a", "b"])),
    st.integers(0, 9_000)
    .flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
    .map(lambda t: Tally(*t)),
)


@steady
@given(tallies=tallies)
def test_rows_are_sorted_and_hold_nothing_empty(tallies: dict[tuple[int, str, str], Tally]):
    rows = ledger_rows(tallies, UnitKind.USER_10M, (DELIVERY,), EVENTS)
    assert list(rows) == sorted(rows)
    assert {(r.epoch, r.arm, r.stream): (r.failed, r.total) for r in rows} == {
        k: v for k, v in tallies.items() if v.total
    }


@steady
@given(tallies=tallies)
def test_by_event_the_pooled_stream_is_the_sum_of_the_types_of_its_epoch_and_arm(
    tallies: dict[tuple[int, str, str], Tally],
):
    rows = ledger_rows(tallies, UnitKind.EVENT, (DELIVERY, *WATCHED), EVENTS)
    for epoch in (1, 2, 3):
        for arm in Arm:
            types = [tally for (e, a, _), tally in tallies.items() if (e, a) == (epoch, arm)]
            pooled = [(r.failed, r.total) for r in rows if (r.epoch, r.arm, r.stream) == (epoch, arm, POOLED)]
            total = (sum(t.failed for t in types), sum(t.total for t in types))
            assert pooled == ([total] if total[1] else [])


def test_the_one_stream_of_what_is_always_watched_needs_no_pool():
    rows = ledger_rows({(1, "canary", "abandoned"): Tally(0, 9)}, UnitKind.EVENT, (DELIVERY, *WATCHED), EVENTS)
    assert [row.stream for row in rows] == ["abandoned"]


@pytest.mark.parametrize("changed", ["seq", "closed_ms", "epoch", "weight", "rows", "gauges"])
def test_anything_changed_in_a_slot_gives_another_digest(changed: str):
    true = slot(1, row(1, 2), waiting={"a": 1})
    others = {
        "seq": replace(true, seq=2),
        "closed_ms": replace(true, closed_ms=true.closed_ms + 1),
        "epoch": replace(true, epoch=2),
        "weight": replace(true, weight=1),
        "rows": replace(true, rows=(row(1, 3),)),
        "gauges": replace(true, gauges=Gauges(open={"a": 2})),
    }
    assert others[changed].digest("") != true.digest("")


def test_the_digest_of_a_slot_is_chained_to_the_one_before_and_blind_to_the_order_of_rows():
    one, other = row(1, 2), row(3, 4, "agent_thinking")
    assert slot(1, one, other).digest("x") == slot(1, other, one).digest("x") != slot(1, one, other).digest("y")


def test_a_slot_belongs_to_the_ten_seconds_it_was_closed_in():
    assert [slot(1, closed_ms=at).boundary for at in (9_999, 10_000, 19_999, 20_000)] == [0, 1, 1, 2]


def test_rows_sort_by_epoch_arm_and_stream():
    assert LedgerRow(1, "canary", "b", 0, 1) < LedgerRow(1, "control", "a", 0, 1) < LedgerRow(2, "canary", "a", 0, 1)
