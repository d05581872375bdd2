"""Alerts: one of each name is open at a time, raised and cleared once each, and kept as history."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from controller.domain.alerts import Alert
from controller.storage import alerts
from controller.storage.database import Database
from controller.storage.tables import outbox


def move(
    database: Database, *cleared: str, at_ms: int = 1_000, rollout: str = "r", raised: dict[str, str] | None = None
) -> None:
    with database.write() as connection:
        alerts.move(connection, rollout, raised or {}, cleared, at_ms)


def opened(database: Database, rollout: str = "r") -> dict[str, Alert]:
    with database.read() as connection:
        return alerts.open_alerts(connection, [rollout]).get(rollout, {})


def notices(database: Database) -> list[tuple[str, str, str, str]]:
    with database.read() as connection:
        rows = connection.execute(select(outbox).order_by(outbox.c.id)).all()
    return [(row.kind, row.subject, row.body["alert"], row.body["message"]) for row in rows]


def test_an_alert_is_open_until_it_is_cleared(database: Database) -> None:
    move(database, raised={"sample_ratio": "skewed", "lost_instance": "one"})
    assert opened(database) == {
        "sample_ratio": Alert("sample_ratio", "skewed", 1_000),
        "lost_instance": Alert("lost_instance", "one", 1_000),
    }
    move(database, "sample_ratio", at_ms=2_000)
    assert list(opened(database)) == ["lost_instance"]


def test_raising_and_clearing_are_a_notice_each(database: Database) -> None:
    move(database, raised={"sample_ratio": "skewed"})
    move(database, "sample_ratio")
    assert notices(database) == [
        ("alert.raised", "rollout/r", "sample_ratio", "skewed"),
        ("alert.cleared", "rollout/r", "sample_ratio", ""),
    ]


def test_the_row_refuses_a_second_open_alert_of_a_name(database: Database) -> None:
    move(database, raised={"sample_ratio": "skewed"})
    move(database, rollout="s", raised={"sample_ratio": "skewed too"})
    with pytest.raises(IntegrityError):
        move(database, raised={"sample_ratio": "again"})
    assert len(notices(database)) == 2


def test_an_alert_that_comes_back_is_a_new_one_and_the_old_one_is_history(database: Database) -> None:
    move(database, raised={"sample_ratio": "skewed"})
    move(database, "sample_ratio", at_ms=2_000)
    move(database, at_ms=3_000, raised={"sample_ratio": "skewed again"})
    with database.read() as connection:
        found = [(row["message"], row["since_ms"], row["until_ms"]) for row in alerts.history(connection, "r", 10)]
        newest = alerts.history(connection, "r", 1)
    assert found == [("skewed again", 3_000, None), ("skewed", 1_000, 2_000)]
    assert [row["message"] for row in newest] == ["skewed again"]


def test_open_alerts_of_all_rollouts_come_newest_first(database: Database) -> None:
    move(database, raised={"first": "a"})
    move(database, at_ms=5_000, rollout="s", raised={"second": "b"})
    move(database, at_ms=3_000, raised={"third": "c"})
    with database.read() as connection:
        found = [(row["rollout"], row["name"]) for row in alerts.every_open(connection)]
    assert found == [("s", "second"), ("r", "third"), ("r", "first")]


def test_nothing_stays_open_of_a_rollout_that_is_over(database: Database) -> None:
    move(database, raised={"first": "a", "second": "b"})
    move(database, rollout="s", raised={"first": "c"})
    with database.write() as connection:
        alerts.clear_all(connection, "r", 9_000)
    assert opened(database) == {}
    assert list(opened(database, "s")) == ["first"]
    with database.read() as connection:
        assert {row["until_ms"] for row in alerts.history(connection, "r", 10)} == {9_000}
