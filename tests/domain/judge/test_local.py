"""The judge in a client: the same evidence, higher lines, and nothing that a single client cannot know."""

from random import Random

import pytest

from controller.domain.guards import Guard, GuardAction
from controller.domain.judge.constants import Constants, UnknownConstants, from_canonical
from controller.domain.judge.findings import Effect, Rule
from controller.domain.judge.local import judge_own, local_constants, shared_out
from controller.domain.judge.scope import SHARED_MS
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import LedgerRow, Slot
from controller.domain.metrics import Metric
from controller.domain.tallies import UNIT
from tests.domain.builders import STARTED, Judged, constants, frozen, row, slot


def mine(found: Constants, clients: int = 1) -> Constants:
    """A rollout's constants as one of so many clients has them."""
    text = local_constants(found.canonical())
    assert text is not None
    return shared_out(text, clients)


def convicted_at(found: Constants, failed: int, of: int, slots: int = 60) -> int | None:
    """The slot in which so many failures in each convict."""
    state = fresh_state(found, 1)
    for seq in range(1, slots + 1):
        if judge_own(found, state, slot(seq, row(failed, of))):
            return seq
    return None


@pytest.mark.parametrize(("failed", "of"), [(3, 3), (2, 4), (1, 3), (2, 10)])
def test_a_client_alone_convicts_when_the_controller_would(failed: int, of: int) -> None:
    judged = Judged()
    first = next(seq for seq in range(1, 60) if judged.after(row(failed, of)).effect is Effect.ROLLBACK)
    assert convicted_at(mine(constants()), failed, of) == first


def test_the_more_clients_there_are_the_more_evidence_each_of_them_needs() -> None:
    found = [convicted_at(mine(constants(), clients), 1, 2) for clients in (1, 100, 10_000)]
    assert None not in found
    assert found == sorted(set(found), key=lambda at: at or 0)
    lines = [mine(constants(), clients).tests[0].streams[0].lines[0] for clients in (0, 1, 1_000, 10**9, 10**12)]
    assert lines[1] == lines[0] == constants().tests[0].streams[0].lines[0]
    assert lines[2] - lines[1] == 6_907_756  # ln(1,000) in micro-nats, rounded up
    assert lines[4] == lines[3]


def test_a_healthy_canary_is_never_convicted_by_the_plain_rules() -> None:
    found, state = mine(frozen(Guard("delivery"), min_samples=20)), None
    state = fresh_state(found, 1)
    assert [judge_own(found, state, slot(seq, row(0, 500))) for seq in range(1, 40)] == [None] * 39
    assert judge_own(found, state, slot(40, row(30, 400))) is None  # a controller's literal rule over the last 20
    assert Judged(frozen(Guard("delivery"), min_samples=20)).after(row(30, 400)).worst.rule is Rule.RECENT  # type: ignore[union-attr]


def test_only_guards_that_roll_back_for_a_rate_are_judged_by_clients() -> None:
    guards = (
        Guard("delivery", action=GuardAction.PAUSE),
        Guard("no-worse", at_least_ppm=None, margin_ppm=10_000),
        Guard("speed", Metric.WITHIN, 990_000, deadline_ms=100, action=GuardAction.ALERT),
    )
    assert local_constants(frozen(*guards).canonical()) is None
    text = local_constants(frozen(*guards, Guard("really")).canonical())
    assert text is not None
    kept = from_canonical(text)
    assert [test.guard for test in kept.tests] == ["really"]
    assert kept.margins == kept.promotion.streams == ()
    assert len(text) < len(frozen(*guards, Guard("really")).canonical()) / 3


def test_what_the_control_shares_is_held_for_five_minutes() -> None:
    found = mine(constants())
    state = fresh_state(found, 1)
    effects: list[tuple[int, bool]] = []
    for seq in range(1, SHARED_MS // 10_000 + 10):
        both = (row(9, 10), row(9, 10, arm="control"))
        finding = judge_own(found, state, slot(seq, *both))
        if finding is not None:
            effects.append((10_000 * seq, finding.shared))
    assert effects[0][1]
    assert effects[0][0] >= SHARED_MS


def test_outcomes_of_an_earlier_round_count_for_nothing() -> None:
    found = mine(constants())
    state = fresh_state(found, 7)
    assert [judge_own(found, state, slot(seq, row(5, 5, epoch=6))) for seq in range(1, 30)] == [None] * 29


def test_three_failed_units_of_three_users_are_asked_for() -> None:
    found = mine(constants())
    state = fresh_state(found, 1)
    one_user = {"failing": {STARTED: ("anna",)}, "active": 8}
    assert not any(judge_own(found, state, slot(seq, row(2, 2), **one_user)) for seq in range(1, 20))
    state = fresh_state(found, 1)
    users = ({"failing": {STARTED: (f"user-{seq}",)}, "active": 8} for seq in range(1, 20))
    assert any(judge_own(found, state, slot(seq, row(2, 2), **each)) for seq, each in enumerate(users, 1))


def test_constants_of_another_release_are_told_apart() -> None:
    with pytest.raises(UnknownConstants):
        shared_out('{"form":99}', 3)
    with pytest.raises(UnknownConstants):
        local_constants("[]")


def test_all_clients_together_trip_no_more_often_than_alpha_allows() -> None:
    """alpha is 1 % a day: P(more than 3 of 20 | 1 % each) = 0.00004; the canary fails exactly at its floor."""
    clients, slots, days, chance = 5, 400, 20, Random(20_260)
    found, tripped = mine(constants(), clients), 0
    for _ in range(days):
        states = [fresh_state(found, 1) for _ in range(clients)]
        tripped += any(
            judge_own(found, state, Slot(seq, 10_000 * seq, 1, 1_000, (drawn(chance, 3),)))
            for seq in range(1, slots + 1)
            for state in states
        )
    assert tripped <= 3


def drawn(chance: Random, units: int) -> LedgerRow:
    """So many units of a canary that fails 4 % of them."""
    return LedgerRow(1, "canary", STARTED, UNIT * sum(chance.random() < 0.04 for _ in range(units)), UNIT * units)
