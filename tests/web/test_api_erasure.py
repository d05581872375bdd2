"""Erasing what is stored of a user, and of nobody else."""

from __future__ import annotations

import json

from sqlalchemy import insert, select

from controller.client.privacy import Pseudonyms
from controller.storage import outcomes
from controller.storage.tables import audit, open_units, sampled_users
from tests.storage.builders import an_outcome, stored_outcomes
from tests.web.callers import Caller, Door

MINE, OTHER = Pseudonyms("a-token").of("ann@example.com"), Pseudonyms("a-token").of("bob@example.com")


def stored_of(door: Door, *users: str) -> None:
    with door.database.write() as connection:
        outcomes.append(connection, [an_outcome(user_hash=user, event_id=user) for user in users])
        for user in users:
            connection.execute(insert(sampled_users).values(rollout="r", epoch=1, arm="canary", tag=user[:12]))
            gauge = {"rollout": "r", "instance": "one", "arm": "canary", "stream": f"active/{user[:8]}", "open": 1}
            connection.execute(insert(open_units).values(**gauge))


def test_what_is_stored_of_a_user_goes_and_that_of_others_stays(door: Door, admin: Caller) -> None:
    stored_of(door, MINE, OTHER)
    answer = admin.post("/api/v1/erasures", {"pseudonyms": [MINE, MINE], "reason": "asked"})
    assert answer.json == {"raw": 1, "samples": 1, "gauges": 1}
    assert [row.user_hash for row in stored_outcomes(door.database)] == [OTHER]
    with door.database.read() as connection:
        assert connection.execute(select(sampled_users.c.tag)).scalars().all() == [OTHER[:12]]
    assert admin.post("/api/v1/erasures", {"pseudonyms": [MINE]}).json == {"raw": 0, "samples": 0, "gauges": 0}


def test_the_trail_says_that_somebody_was_erased_and_not_who(door: Door, admin: Caller) -> None:
    stored_of(door, MINE)
    admin.post("/api/v1/erasures", {"pseudonyms": [MINE], "reason": "asked"})
    with door.database.read() as connection:
        found = [dict(row) for row in connection.execute(select(audit)).mappings() if row["action"] == "users.erased"]
    assert [(one["reason"], one["after"]["raw"]) for one in found] == [("asked", 1)]
    assert MINE[:8] not in json.dumps(found, default=str)


def test_what_is_no_pseudonym_is_refused(admin: Caller, operator: Caller) -> None:
    assert admin.post("/api/v1/erasures", {"pseudonyms": ["ann@example.com"]}).status_code == 422
    assert admin.post("/api/v1/erasures", {"pseudonyms": []}).status_code == 422
    assert operator.post("/api/v1/erasures", {"pseudonyms": [MINE]}).status_code == 403
