"""The ledger: slots of several rollouts in one go, the judge's memory, and what is not worth a row."""

from dataclasses import replace
from typing import Any

import pytest

from controller.domain.judge.findings import Analysis, Effect, Evidence, Finding, Lack, Rule, Verdict
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import Gauges, LedgerRow, Slot
from controller.storage import ledger
from controller.storage.database import Database
from controller.storage.ledger import Judged, Memory
from tests.domain.builders import constants
from tests.storage.builders import count

AT_MS = 1_700_000_000_000
FINDING = Finding("delivery", Rule.SEQUENTIAL, "a", Effect.ROLLBACK, 5_000, 5_000, 9, 8, 1, other_total=3)
ANALYSIS = Analysis(
    seq=1,
    verdict=Verdict.INCONCLUSIVE,
    findings=(FINDING,),
    lacking=(Lack("low_sample", "not yet proven"),),
    evidence=(Evidence("delivery", "a", 9, 8, 5_000, 5_000),),
    notes=("no-worse: inactive",),
)
ROW = LedgerRow(1, "canary", "a", 5_000, 5_000)


def judged(rollout: str = "r", seq: int = 1, *rows: LedgerRow, **fields: Any) -> Judged:
    """A slot with what was made of it, closed ten seconds after the one before it."""
    slot = Slot(seq, AT_MS + 10_000 * seq, 1, 1_000, rows, Gauges(active=3))
    said: dict[str, Any] = {
        "rollout": rollout,
        "slot": slot,
        "analysis": replace(ANALYSIS, seq=seq),
        "stage": 0,
        "circumstances": {"phase": "progressing"},
        "action": "hold",
        "message": "held",
        "state": f"state {seq}",
        "slot_digest": "s",
        "constants_digest": "c",
    }
    return Judged(**{**said, **fields})


def keep(database: Database, *found: Judged) -> None:
    with database.write() as connection:
        ledger.keep(connection, found)


def memory(database: Database, rollout: str = "r") -> Memory | None:
    with database.read() as connection:
        return ledger.memories(connection, [rollout]).get(rollout)


def latest(database: Database, rollout: str = "r") -> dict[str, Any] | None:
    with database.read() as connection:
        return ledger.latest_analyses(connection, [rollout]).get(rollout)


def is_news(database: Database, one: Judged) -> bool:
    return ledger.is_news(latest(database), one)


def test_slots_of_several_rollouts_are_written_together(database: Database) -> None:
    keep(database, judged("r", 1, ROW), judged("s", 1, ROW, ROW._replace(stream="b")), judged("t", 1))
    keep(database, judged("r", 2, ROW._replace(failed=0)))
    with database.read() as connection:
        assert ledger.rows_between(connection, "r", 1, 2) == {1: (ROW,), 2: (ROW._replace(failed=0),)}
        assert ledger.rows_between(connection, "s", 1, 1) == {1: (ROW, ROW._replace(stream="b"))}
        assert ledger.rows_between(connection, "t", 1, 9) == {}
        newest = ledger.latest_analyses(connection, ["r", "s", "t", "u"])
    assert {key: row["seq"] for key, row in newest.items()} == {"r": 2, "s": 1, "t": 1}
    keep(database)
    assert count(database, "analyses") == 4


def test_an_analysis_comes_back_as_it_was_written(database: Database) -> None:
    keep(database, judged("r", 1, ROW))
    row = latest(database)
    assert row is not None
    assert Finding(**{**row["findings"][0], "rule": Rule.SEQUENTIAL, "effect": Effect.ROLLBACK}) == FINDING
    assert [Lack(**one) for one in row["lacking"]] == list(ANALYSIS.lacking)
    assert [Evidence(**one) for one in row["evidence"]] == list(ANALYSIS.evidence)
    assert (row["notes"], row["gauges"], row["verdict"]) == (["no-worse: inactive"], {"active": 3}, "inconclusive")
    assert (row["closed_ms"], row["weight"], row["constants_digest"]) == (AT_MS + 10_000, 1_000, "c")


def test_the_memory_is_that_of_the_last_slot(database: Database) -> None:
    assert memory(database) is None
    with database.write() as connection:
        ledger.begin(connection, "r", fresh_state(constants()))
    begun = memory(database)
    assert begun is not None
    assert (begun.errors, begun.evaluated_ms) == (0, None)
    keep(database, judged(seq=1), judged("s"))
    keep(database, judged(seq=2))
    assert memory(database) == Memory("state 2", 0, AT_MS + 20_000)
    assert memory(database, "s") == Memory("state 1", 0, AT_MS + 10_000)


def test_a_round_begins_with_a_fresh_memory(database: Database) -> None:
    keep(database, judged(seq=1))
    with database.write() as connection:
        ledger.begin(connection, "r", fresh_state(constants(), first_epoch=4, last_seq=1))
        found = ledger.state(connection, "r")
    assert (found.seq, found.first_epoch) == (1, 4)


def test_errors_are_counted_in_a_row(database: Database) -> None:
    keep(database, judged(seq=1))

    def note(rollout: str = "r") -> int:
        with database.write() as connection:
            return ledger.note_error(connection, rollout)

    assert [note(), note()] == [1, 2]
    keep(database, judged(seq=2))
    assert note() == 1
    with database.write() as connection:
        ledger.touch(connection, {"r"}, AT_MS + 60_000)
    assert memory(database) == Memory("state 2", 0, AT_MS + 60_000)
    assert note() == 1


def test_the_first_slot_and_each_with_evidence_is_news(database: Database) -> None:
    assert is_news(database, judged(seq=1))
    keep(database, judged("r", 1))
    assert is_news(database, judged("r", 2, ROW))


def test_a_slot_that_says_nothing_new_is_none(database: Database) -> None:
    keep(database, judged("r", 1, ROW))
    assert not is_news(database, judged("r", 2))
    assert not is_news(database, judged("r", 2, message="the words alone, or the numbers in them", state="aged"))


@pytest.mark.parametrize(
    "changed",
    [
        {"circumstances": {"phase": "paused"}},
        {"action": "advance"},
        {"slot": Slot(2, AT_MS, 2, 1_000, (), Gauges(active=3))},
        {"slot": Slot(2, AT_MS, 1, 5_000, (), Gauges(active=3))},
        {"slot": Slot(2, AT_MS, 1, 1_000, (), Gauges(active=2))},
        {"analysis": replace(ANALYSIS, verdict=Verdict.PASS)},
        {"analysis": replace(ANALYSIS, findings=())},
        {"analysis": replace(ANALYSIS, lacking=())},
        {"analysis": replace(ANALYSIS, notes=())},
    ],
    ids=["circumstances", "action", "epoch", "weight", "gauges", "verdict", "findings", "lacking", "notes"],
)
def test_whatever_bears_on_a_decision_is_news(database: Database, changed: dict[str, Any]) -> None:
    keep(database, judged("r", 1, ROW))
    assert is_news(database, judged("r", 2, **changed))


def test_traffic_is_what_came_since_a_time_by_arm_and_stream(database: Database) -> None:
    control = ROW._replace(arm="control", failed=0, total=9_000)
    keep(database, judged("r", 1, ROW), judged("s", 1, ROW))
    keep(database, judged("r", 2, ROW, control, ROW._replace(epoch=2, total=1_000)))
    keep(database, judged("r", 3, ROW))
    with database.read() as connection:
        assert ledger.traffic(connection, "r", AT_MS + 20_000) == {("canary", "a"): 11_000, ("control", "a"): 9_000}
        assert ledger.traffic(connection, "r", AT_MS + 40_000) == {}


def test_evidence_over_time_is_that_of_the_round(database: Database) -> None:
    for seq in (1, 2, 3):
        keep(database, judged("r", seq, ROW))
    with database.read() as connection:
        found = ledger.evidence_between(connection, "r", 2, 3)
    assert [(seq, at_ms - AT_MS, len(stored)) for seq, at_ms, stored in found] == [(2, 20_000, 1), (3, 30_000, 1)]
