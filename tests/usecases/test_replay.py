"""Replay accepts what the judge really wrote, and names whatever was changed afterwards."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import structs

from controller.domain.metrics import UnitKind
from controller.usecases.replay import Replayed, replay
from controller.wire.api.judging import LedgerView, SlotView
from tests.usecases.true_ledgers import other_constants, true_ledger

#: Long enough for an advance, and for a conviction in the second stage.
BAD_FROM = 45
TAMPERED = "its ledger rows or gauges are not those that were judged"


@pytest.fixture(scope="module")
def convicted() -> LedgerView:
    """A canary that fails from its second stage on."""
    return true_ledger(failing_from=BAD_FROM)


def replayed(ledger: LedgerView) -> list[Replayed]:
    """All slots of a ledger, replayed."""
    return list(replay(ledger.rounds, ledger.slots))


def differing(ledger: LedgerView) -> list[Replayed]:
    """The replayed slots that did not come out as recorded."""
    return [found for found in replayed(ledger) if found.differs]


def spoilt(ledger: LedgerView, seq: int, change: Callable[[SlotView], Any]) -> LedgerView:
    """A copy of a ledger with one slot changed."""
    copy = msgspec.json.decode(msgspec.json.encode(ledger), type=LedgerView)
    change(copy.slots[seq - 1])
    return copy


def replaced(ledger: LedgerView, change: Callable[[str], str]) -> LedgerView:
    """A copy of a ledger whose constants were changed."""
    rounds = [structs.replace(one, constants=change(one.constants)) for one in ledger.rounds]
    return structs.replace(ledger, rounds=rounds)


@pytest.mark.parametrize("kind", UnitKind)
def test_a_rollback_replays_bit_for_bit(kind: UnitKind) -> None:
    ledger = true_ledger(failing_from=BAD_FROM, kind=kind)
    assert differing(ledger) == []
    actions = [found.action for found in replayed(ledger) if found.action != "hold"]
    assert {"advance", "rollback"} == set(actions)
    assert BAD_FROM <= ledger.slots[-1].seq < BAD_FROM + 5


def test_a_promotion_replays_bit_for_bit() -> None:
    ledger = true_ledger(slots=200)
    assert differing(ledger) == []
    assert [found.action for found in replayed(ledger) if found.action != "hold"] == [
        "advance",
        "advance",
        "promote",
    ]


def test_a_ledger_survives_the_wire(convicted: LedgerView) -> None:
    copy = msgspec.json.decode(msgspec.json.encode(convicted), type=LedgerView)
    assert differing(copy) == []


def test_the_order_of_rows_within_a_slot_does_not_matter(convicted: LedgerView) -> None:
    assert differing(spoilt(convicted, 5, lambda slot: slot.rows.reverse())) == []


def test_an_empty_ledger_has_nothing_to_replay(convicted: LedgerView) -> None:
    assert list(replay(convicted.rounds, [])) == []


def _one_more_failure(slot: SlotView) -> None:
    at = next(n for n, row in enumerate(slot.rows) if row[1] == "canary" and row[4] > row[3])
    epoch, arm, stream, failed, total = slot.rows[at]
    slot.rows[at] = (epoch, arm, stream, failed + 1, total)


def test_a_changed_row_is_found_in_its_slot_and_in_all_that_follow(convicted: LedgerView) -> None:
    found = differing(spoilt(convicted, 12, _one_more_failure))
    assert found[0].seq == 12
    assert found[0].differs[0] == TAMPERED
    assert any(words.startswith("state: recorded ") for words in found[0].differs)
    assert [one.seq for one in found] == list(range(12, len(convicted.slots) + 1))


def test_a_row_that_was_taken_away_is_found(convicted: LedgerView) -> None:
    assert differing(spoilt(convicted, 12, lambda slot: slot.rows.pop()))[0].seq == 12


def test_a_row_moved_to_another_epoch_is_found(convicted: LedgerView) -> None:
    def move(slot: SlotView) -> None:
        slot.rows[0] = (slot.rows[0][0] + 1, *slot.rows[0][1:])

    assert differing(spoilt(convicted, 12, move))[0].seq == 12


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("state_digest", "00", "state"),
        ("constants_digest", "00", "constants"),
        ("verdict", "pass", "verdict"),
        ("action", "promote", "action"),
        ("message", "all is well", "message"),
        ("findings", [{"guard": "delivery"}], "findings"),
        ("lacking", [], "lacking"),
        ("evidence", [], "evidence"),
        ("notes", ["nothing to see"], "notes"),
    ],
)
def test_a_changed_word_is_found_and_named(convicted: LedgerView, field: str, value: str, what: str) -> None:
    (found,) = differing(spoilt(convicted, 12, lambda slot: setattr(slot, field, value)))
    assert found.seq == 12
    (difference,) = found.differs
    assert difference.startswith(f"{what}: recorded {value}, replayed ")


def test_a_changed_digest_of_a_slot_is_found_where_it_was_changed(convicted: LedgerView) -> None:
    (found,) = differing(spoilt(convicted, 12, lambda slot: setattr(slot, "slot_digest", "00")))
    assert (found.seq, found.differs) == (12, (TAMPERED,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("phase", "paused"),
        ("baked", False),
        ("last_stage", True),
        ("instances_behind", 3),
        ("mode", "observe"),
        ("agreement", "asked"),
        ("killed", True),
    ],
)
def test_other_circumstances_of_a_decision_are_found(convicted: LedgerView, name: str, value: object) -> None:
    advanced = next(slot.seq for slot in convicted.slots if slot.action == "advance")
    found = differing(spoilt(convicted, advanced, lambda slot: slot.circumstances.update({name: value})))
    assert [one.seq for one in found] == [advanced]
    assert found[0].differs[0].startswith("action: recorded advance, replayed ")


def test_patience_that_was_over_is_found(convicted: LedgerView) -> None:
    (found,) = differing(spoilt(convicted, 1, lambda slot: slot.circumstances.update(out_of_patience=True)))
    assert found.differs[0] == "action: recorded hold, replayed pause"


def test_a_rollback_that_would_only_have_been_observed_is_found(convicted: LedgerView) -> None:
    last = convicted.slots[-1].seq
    (found,) = differing(spoilt(convicted, last, lambda slot: slot.circumstances.update(mode="observe")))
    assert found.differs[0] == "action: recorded rollback, replayed hold"
    assert "observing: would rollback now" in found.differs[1]


def test_a_rollback_that_the_guard_would_have_paused_is_found(convicted: LedgerView) -> None:
    milder = replaced(convicted, lambda text: text.replace('"action":"rollback"', '"action":"pause"'))
    found = differing(milder)[-1]
    assert found.seq == convicted.slots[-1].seq
    assert "action: recorded rollback, replayed pause" in found.differs


@pytest.mark.parametrize("gauge", ["open", "active", "users", "failing", "apart", "versions"])
def test_what_a_slot_holds_besides_its_rows_is_part_of_the_evidence(convicted: LedgerView, gauge: str) -> None:
    others: dict[str, Any] = {
        "open": {"agent_started": 10_000},
        "active": 2,
        "users": [1, 2, 0],
        "failing": {"agent_started": ["0000000a"]},
        "apart": {"agent_started": ["one", 1000, 1000, False]},
        "versions": {"1.2.3": [1000, 1000]},
    }
    found = differing(spoilt(convicted, 12, lambda slot: slot.gauges.update({gauge: others[gauge]})))
    assert (found[0].seq, found[0].differs[0]) == (12, TAMPERED)


@pytest.mark.parametrize(("name", "value"), [("closed_ms", 1_772_000_000_001), ("epoch", 9), ("weight", 1)])
def test_when_a_slot_was_closed_and_for_which_share_is_part_of_the_evidence(
    convicted: LedgerView, name: str, value: int
) -> None:
    found = differing(spoilt(convicted, 12, lambda slot: setattr(slot, name, value)))
    assert (found[0].seq, found[0].differs[0]) == (12, TAMPERED)


@pytest.mark.parametrize("seq", [1, 30])
def test_a_missing_slot_ends_the_replay_and_is_named(convicted: LedgerView, seq: int) -> None:
    slots = [slot for slot in convicted.slots if slot.seq != seq]
    found = list(replay(convicted.rounds, slots))
    assert [one.differs for one in found if one.differs] == [(f"slot {seq} is missing",)]
    assert len(found) == seq


def test_slots_out_of_order_are_not_taken(convicted: LedgerView) -> None:
    slots = [convicted.slots[0], convicted.slots[2], convicted.slots[1]]
    assert list(replay(convicted.rounds, slots))[-1].differs == ("slot 2 is missing",)


def test_a_slot_that_comes_twice_is_not_taken(convicted: LedgerView) -> None:
    slots = [convicted.slots[0], convicted.slots[0]]
    assert list(replay(convicted.rounds, slots))[-1].differs == ("slot 2 is missing",)


def test_constants_exchanged_for_milder_ones_are_found_at_once(convicted: LedgerView) -> None:
    found = replayed(replaced(convicted, lambda _: other_constants().canonical()))
    assert found[0].seq == 1
    assert any(difference.startswith("constants: ") for difference in found[0].differs)


def test_a_round_that_begins_elsewhere_than_it_did_is_found(convicted: LedgerView) -> None:
    (began,) = convicted.rounds
    later = list(replay([structs.replace(began, first_seq=2)], convicted.slots))
    assert [found.differs for found in later] == [("no round begins before it",)]
    other_epoch = list(replay([structs.replace(began, first_epoch=2)], convicted.slots))
    assert other_epoch[0].differs


def test_each_round_is_replayed_by_its_own_constants_and_forgets_the_one_before() -> None:
    first = true_ledger(failing_from=5)
    second = true_ledger(failing_from=first.slots[-1].seq + 9, after=first.slots[-1].seq)
    rounds, slots = [*first.rounds, *second.rounds], [*first.slots, *second.slots]
    assert [found.differs for found in replay(rounds, slots) if found.differs] == []
    assert [found.action for found in replay(rounds, slots) if found.action != "hold"] == ["rollback", "rollback"]
    without = [found.seq for found in replay(first.rounds, slots) if found.differs]
    assert without[0] == second.slots[0].seq
