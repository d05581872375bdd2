"""Slots and rows."""

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.ledger import LedgerRow, Slot, ledger_rows, streams_of
from controller.domain.outcomes import Arm
from controller.domain.tallies import Tally
from controller.domain.units import LATER, POOLED, UnitKind
from tests.domain.builders import row, slot, steady

tallies = st.dictionaries(
    st.tuples(st.integers(1, 3), st.sampled_from(["canary", "control"]), st.sampled_from(["a", "b"])),
    st.integers(0, 9_000)
    .flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
    .map(lambda t: Tally(*t)),
)


def test_each_event_type_judges_and_besides_them_the_later_outcomes_or_all_types_pooled():
    assert streams_of(UnitKind.USER_10M, ("a", "b")) == ("a", "b", LATER)
    assert streams_of(UnitKind.RUN, ("a", "b")) == ("a", "b", LATER)
    assert streams_of(UnitKind.EVENT, ("a", "b")) == ("a", "b", POOLED)


@steady
@given(tallies=tallies)
def test_rows_are_sorted_and_hold_nothing_empty(tallies: dict[tuple[int, str, str], Tally]):
    rows = ledger_rows(tallies, UnitKind.USER_10M)
    assert list(rows) == sorted(rows)
    assert {(r.epoch, r.arm, r.stream): (r.failed, r.total) for r in rows} == {
        k: v for k, v in tallies.items() if v.total
    }


@steady
@given(tallies=tallies)
def test_by_event_the_pooled_stream_is_the_sum_of_the_types_of_its_epoch_and_arm(
    tallies: dict[tuple[int, str, str], Tally],
):
    rows = ledger_rows(tallies, UnitKind.EVENT)
    for epoch in (1, 2, 3):
        for arm in Arm:
            types = [tally for (e, a, _), tally in tallies.items() if (e, a) == (epoch, arm)]
            pooled = Slot(1, 0, epoch, rows).tally(arm, POOLED, epoch)
            assert pooled == (sum(t.failed for t in types), sum(t.total for t in types))


def test_a_tally_of_a_slot_is_of_all_epochs_or_of_one():
    both = slot(1, row(1, 2, epoch=1), row(2, 5, epoch=2), row(4, 9, arm="control"))
    assert both.tally(Arm.CANARY, "agent_started") == (3_000, 7_000)
    assert both.tally(Arm.CANARY, "agent_started", epoch=2) == (2_000, 5_000)
    assert both.tally(Arm.CANARY, "unheard_of") == (0, 0)


def test_a_slot_belongs_to_the_ten_seconds_it_was_closed_in():
    assert [slot(1, closed_ms=at).boundary for at in (9_999, 10_000, 19_999, 20_000)] == [0, 1, 1, 2]


def test_rows_sort_by_epoch_arm_and_stream():
    assert LedgerRow(1, "canary", "b", 0, 1) < LedgerRow(1, "control", "a", 0, 1) < LedgerRow(2, "canary", "a", 0, 1)


def test_the_pooled_stream_waits_for_the_open_units_of_all_types():
    waiting = slot(1, waiting={"a": 3, "b": 4})
    assert [waiting.open_in(stream) for stream in ("a", "b", "c", POOLED)] == [3, 4, 0, 7]
    assert slot(1).open_in(POOLED) == 0
