"""What an earlier release has written is still there, and readable, on this release's schema."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

from controller.domain.closing import Arrived
from controller.domain.judge.findings import Evidence, Lack
from controller.domain.rollouts import Phase
from controller.storage import evidence, instances, ledger, rollouts, schema
from controller.storage.database import Database

Opened = Callable[[str], Database]
STAGES = '[{"share": "100%", "bake": "1h"}]'
MANIFEST = f'{{"rollout": "r", "flag": "f", "control": "legacy", "canary": "unified", "stages": {STAGES}}}'
FOUND = '{"agent_started": {"score": 12, "line": 34, "failed": 1000, "total": 2000}}'
#: Rows as the first schema's release wrote them.
ROWS: dict[str, dict[str, Any]] = {
    "rollouts": {
        **dict.fromkeys(("stage", "weight", "epoch", "version", "created_ms"), 1),
        "key": "r",
        "flag_key": "f",
        "manifest": MANIFEST,
        "phase": "progressing",
        "floor_permille": 960,
        "constants": "{}",
    },
    "analyses": {
        **dict.fromkeys(("seq", "closed_ms", "epoch", "stage", "weight"), 1),
        "rollout": "r",
        "open": "{}",
        "circumstances": "{}",
        "verdict": "inconclusive",
        "action": "hold",
        "message": "not enough evidence yet",
        "lacking": '["not yet proven above 95 %: agent_started"]',
        "evidence": FOUND,
        "state_digest": "s",
        "constants_digest": "c",
    },
    "judge_states": {"rollout": "r", "seq": 1, "state": "{}"},
    "evidence_inbox": {
        "rollout": "r",
        "epoch": 1,
        "arm": "canary",
        "stream": "agent_started",
        "failed": 0,
        "total": 1000,
    },
    "instances": {
        **dict.fromkeys(("seq", "revision", "first_seen_ms", "last_contact_ms"), 1),
        **dict.fromkeys(("app_version", "region", "sdk"), ""),
        "id": "one",
        "reports": True,
    },
}


def written_by_the_first_release(database: Database) -> None:
    schema.upgrade(database, "0001")
    with database.write() as connection:
        for table, row in ROWS.items():
            columns = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)


def the_analysis(connection: Connection) -> dict[str, Any]:
    found = ledger.latest_analysis(connection, "r")
    assert found is not None
    return found


def test_what_the_first_release_wrote_is_read_by_this_one(empty_url: str, opened: Opened) -> None:
    database = opened(empty_url)
    written_by_the_first_release(database)
    schema.upgrade(database)
    with database.write() as connection:
        rollout = rollouts.get(connection, "r")
        assert (rollout.phase, rollout.constants, rollout.round, rollout.versions) == (Phase.PROGRESSING, None, 0, ())
        row = the_analysis(connection)
        assert [Lack(**one).text for one in row["lacking"]] == ["not yet proven above 95 %: agent_started"]
        assert [Evidence(**one) for one in row["evidence"]] == [Evidence("", "agent_started", 12, 34, 1000, 2000)]
        assert (row["findings"], row["notes"], row["slot_digest"], row["gauges"]) == ([], [], "", {})
        assert ledger.memories(connection, ["r"])["r"].errors == 0
        assert [(one.id, one.attempted, one.received) for one in instances.every(connection)] == [("one", 0, 0)]
        assert evidence.drain(connection, ["r"]) == {"r": [Arrived(1, "canary", "agent_started", 0, 1000)]}


def test_going_back_gives_the_first_release_what_it_can_read(empty_url: str, opened: Opened) -> None:
    database = opened(empty_url)
    written_by_the_first_release(database)
    schema.upgrade(database)
    schema.downgrade(database, "0001")
    with database.read() as connection:
        [row] = connection.execute(text("SELECT message, lacking, evidence FROM analyses")).all()
    found = [value if isinstance(value, str) else str(value).replace("'", '"') for value in row]
    assert found == [ROWS["analyses"]["message"], ROWS["analyses"]["lacking"], FOUND]
