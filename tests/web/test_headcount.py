"""How many clients there are: counted in the database, told with every contact."""

from __future__ import annotations

import json

import pytest

from controller.domain.errors import Unavailable
from controller.storage.database import Database
from controller.web.frames import COMMENT, counted, heartbeat
from controller.web.headcount import Headcount
from tests.clocks import FakeClock
from tests.web.callers import Caller, Door, report


class Seconds:
    """A monotonic clock."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


def test_live_instances_are_counted_now_and_then(sdk: Caller, database: Database, clock: FakeClock) -> None:
    seconds = Seconds()
    count = Headcount(database, clock, seconds)
    count.look()
    assert count.latest == 0
    for name in ("chat-1", "chat-2", "chat-3"):
        assert sdk.post("/sdk/v1/reports", report(f"batch-{name}", instance=name)).status_code == 200
    count.look()
    assert count.latest == 0
    seconds.now += 5.0
    count.look()
    assert count.latest == 3
    sdk.post("/sdk/v1/reports", report("batch-closing", instance="chat-3", seq=2, closing=True))
    seconds.now += 5.0
    count.look()
    assert count.latest == 2
    clock.advance(120_001)
    seconds.now += 5.0
    count.look()
    assert count.latest == 0


def test_the_last_number_stays_while_the_database_is_away(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Headcount(database, clock, Seconds())
    count.latest = 7

    def away() -> None:
        raise Unavailable("away")

    monkeypatch.setattr(database, "read", away)
    count.look()
    assert count.latest == 7


def test_a_poll_says_it(door: Door, sdk: Caller) -> None:
    assert "Canary-Instances" not in sdk.get("/sdk/v1/snapshot").headers
    door.headcount.latest = 12
    first = sdk.get("/sdk/v1/snapshot")
    assert first.headers["Canary-Instances"] == "12"
    unchanged = sdk.get("/sdk/v1/snapshot", {"If-None-Match": first.headers["ETag"]})
    assert (unchanged.status_code, unchanged.headers["Canary-Instances"]) == (304, "12")


def test_a_heartbeat_says_it_where_it_is_known_and_a_comment_says_nothing() -> None:
    plain = heartbeat("41")
    assert counted(plain, 0) == plain
    assert counted(COMMENT, 12) == COMMENT
    event, data, *_ = counted(plain, 12).decode().split("\n")
    assert event == "event: heartbeat"
    assert json.loads(data.removeprefix("data: ")) == {"revision": "41", "instances": 12}
