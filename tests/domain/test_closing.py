"""How evidence that has arrived becomes a slot."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.closing import Arrived, Surroundings, close_slot, failing_versions
from controller.domain.judge.state import JudgeState, Suspect, fresh_state
from controller.domain.ledger import LedgerRow, Slot, Users, gauges_from
from controller.domain.metrics import UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.rollouts import Action, after
from controller.domain.tallies import Tally
from tests.domain.builders import NOW, STARTED, briefly, constants, plan, rollout

LIVE = after(rollout(), Action.START, NOW)


def closed(*arrived: Arrived, state: JudgeState | None = None, kind: UnitKind | None = None, **around: Any) -> Slot:
    """A slot of the first stage, with what has arrived."""
    live = LIVE if kind is None else after(rollout(plan=plan(unit=kind)), Action.START, NOW)
    given = {"open": {}, "users": Users(), "versions": {}, **around}
    return close_slot(live, state or fresh_state(constants(), 1), arrived, Surroundings(**given), NOW)


def canary(failed: int = 0, total: int = 1_000, instance: str = "a", *users: str, stream: str = STARTED) -> Arrived:
    return Arrived(1, "canary", stream, failed, total, instance, users)


def test_what_came_from_several_instances_is_added_up():
    slot = closed(canary(1_000, 2_000, "a"), canary(0, 5_000, "b"), Arrived(1, "control", STARTED, 0, 9_000, "a"))
    assert slot.rows == (LedgerRow(1, "canary", STARTED, 1_000, 7_000), LedgerRow(1, "control", STARTED, 0, 9_000))
    assert (slot.seq, slot.epoch, slot.weight, slot.closed_ms) == (1, 1, 100, NOW)


arrivals = st.lists(
    st.builds(
        lambda arm, stream, total, failed, instance, user: Arrived(
            1, arm, stream, min(failed, total), total, instance, (user,) if min(failed, total) else ()
        ),
        st.sampled_from(["canary", "control"]),
        st.sampled_from(CRITICAL_EVENTS[:2]),
        st.integers(1, 9_000),
        st.integers(0, 9_000),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([f"{n:08x}" for n in range(6)]),
    ),
    max_size=8,
)


@briefly
@given(arrived=arrivals, data=st.data())
def test_the_order_in_which_evidence_arrives_within_a_slot_does_not_matter(arrived: list[Arrived], data: st.DataObject):
    shuffled = data.draw(st.permutations(arrived))
    versions = {"a": "1.0", "b": "1.1"}
    assert closed(*arrived, versions=versions) == closed(*shuffled, versions=versions)


def test_outcomes_of_an_earlier_round_are_left_out():
    late = Arrived(3, "canary", STARTED, 9_000, 9_000, "a", ("0000000a",))
    slot = closed(late, state=fresh_state(constants(), first_epoch=4))
    assert (slot.rows, slot.gauges.failing, slot.gauges.apart) == ((), {}, {})


def test_up_to_three_users_who_failed_are_named_by_stream():
    users = [f"{n:08x}" for n in (9, 2, 5, 7)]
    slot = closed(*(canary(1_000, 1_000, "a", user) for user in users), canary(0, 1_000, stream=CRITICAL_EVENTS[1]))
    assert slot.gauges.failing == {STARTED: ("00000002", "00000005", "00000007")}


def test_beside_named_users_the_failures_of_those_who_name_nobody_count_by_unit() -> None:
    named = Arrived(1, "canary", STARTED, 1_000, 1_000, "a", ("0000000a",))
    unnamed = Arrived(1, "canary", STARTED, 1_500, 9_000, "b")
    slot = closed(named, unnamed)
    assert slot.gauges.failing == {STARTED: ("0000000a", f"{slot.seq}?0", f"{slot.seq}?1")}


def test_the_users_of_the_control_are_not_named():
    assert closed(Arrived(1, "control", STARTED, 1_000, 1_000, "a", ("0000000a",))).gauges.failing == {}


def test_the_instance_that_fails_is_looked_at_apart():
    slot = closed(canary(3_000, 4_000, "a"), canary(0, 40_000, "b"))
    assert slot.gauges.apart == {STARTED: ("a", 3_000, 4_000, False)}


def test_where_several_fail_the_worst_is_looked_at_and_the_others_are_said_to_fail_too():
    slot = closed(canary(1_000, 4_000, "a"), canary(2_000, 3_000, "b"))
    assert slot.gauges.apart == {STARTED: ("b", 2_000, 3_000, True)}


def test_the_suspect_of_before_is_followed_even_where_it_does_not_fail():
    state = fresh_state(constants(), 1)
    state.suspects[STARTED] = Suspect("a", 3_000, 3_000)
    assert closed(canary(0, 2_000, "a"), canary(0, 9_000, "b"), state=state).gauges.apart == {
        STARTED: ("a", 0, 2_000, False)
    }
    assert closed(canary(1_000, 2_000, "b"), state=state).gauges.apart == {STARTED: ("a", 0, 0, True)}


def test_once_several_have_failed_nobody_is_followed_any_more():
    state = fresh_state(constants(), 1)
    state.suspects[STARTED] = Suspect("a", 3_000, 3_000, mixed=True)
    assert closed(canary(1_000, 2_000, "a"), state=state).gauges.apart == {}


def test_versions_are_those_of_the_instances_that_reported():
    slot = closed(canary(1_000, 2_000, "a"), canary(0, 5_000, "b"), versions={"a": "1.1", "b": "1.0"})
    assert slot.gauges.versions == {"1.0": (0, 5_000), "1.1": (1_000, 2_000)}
    assert closed(canary(1_000, 2_000, "a")).gauges.versions == {}


def test_gauges_are_split_by_arm_and_active_users_are_kept_apart():
    opened = {("canary", STARTED): 3, ("control", STARTED): 40, ("canary", "active"): 2, ("canary", "gone"): 0}
    gauges = closed(open=opened).gauges
    assert (gauges.open, gauges.control_open, gauges.active) == ({STARTED: 3}, {STARTED: 40}, 2)
    assert closed().gauges.active is None


def test_by_event_the_types_are_pooled_as_well():
    slot = closed(canary(1_000, 2_000), canary(0, 3_000, stream=CRITICAL_EVENTS[1]), kind=UnitKind.EVENT)
    assert LedgerRow(1, "canary", "pooled", 1_000, 5_000) in slot.rows


def test_versions_that_failed_more_than_allowed_are_quarantined_or_else_all_that_failed():
    state = fresh_state(constants(), 1)
    state.versions = {"1.0": [1_000, 100_000], "1.1": [9_000, 20_000], "1.2": [0, 50_000]}
    assert failing_versions(state, 50_000) == ("1.1",)
    state.versions = {"1.0": [1_000, 100_000], "1.2": [0, 50_000]}
    assert failing_versions(state, 50_000) == ("1.0",)


def test_stored_gauges_are_read_back_exactly():
    slot = closed(
        canary(3_000, 4_000, "a", "0000000a"),
        canary(0, 40_000, "b"),
        open={("canary", STARTED): 3, ("canary", "active"): 2},
        users=Users(3, 40, 1),
        versions={"a": "1.1"},
    )
    assert gauges_from(slot.gauges.plain()) == slot.gauges
    assert slot.gauges.versions["1.1"] == Tally(3_000, 4_000)
