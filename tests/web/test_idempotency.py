"""Idempotency-Key: what is sent again is done once, and answered as it was the first time."""

import threading
from concurrent.futures import ThreadPoolExecutor

from flask import Flask
from sqlalchemy import func, select

from controller.domain.principals import Role
from controller.storage.database import Database
from controller.storage.idempotency import KEPT_MS
from controller.storage.tables import audit, flags, idempotency
from controller.usecases import rollouts
from tests.web.callers import FLAG, MANIFEST, Caller, Door

KEY = {"Idempotency-Key": "3f0c1c5e"}
FLAGS, VERBS = "/api/v1/flags", "/api/v1/rollouts/unified-emitter"


def count(database: Database, what: object) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(what)).scalar_one()  # type: ignore[arg-type]


def test_a_request_that_is_sent_again_is_done_once_and_answered_alike(operator: Caller, door: Door) -> None:
    first = operator.post(FLAGS, FLAG, KEY)
    again = operator.post(FLAGS, FLAG, KEY)
    assert (first.status_code, again.status_code, again.data) == (201, 201, first.data)
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert count(door.database, audit) == count(door.database, flags) + 5  # and five tokens of these tests
    assert len(door.changes) == 1  # streams and pages are woken once, after the commit


def test_without_a_key_it_is_done_again(operator: Caller) -> None:
    assert operator.post(FLAGS, FLAG).status_code == 201
    assert operator.post(FLAGS, FLAG).json["code"] == "already_exists"


def test_a_verb_that_is_sent_again_does_not_advance_twice(operator: Caller) -> None:
    stages = [{"share": f"{share}%", "bake": "1m"} for share in (10, 20, 30, 100)]
    operator.started(stages=stages)
    shares = [operator.post(f"{VERBS}/advance", {}, KEY).json["share_percent"] for _ in range(3)]
    assert shares == [20.0, 20.0, 20.0]


def test_another_request_with_the_same_key_is_refused(operator: Caller) -> None:
    operator.post(FLAGS, FLAG, KEY)
    other = operator.post(FLAGS, {**FLAG, "key": "other"}, KEY)
    assert (other.status_code, other.json["code"], other.json["field"]) == (
        422,
        "idempotency_key_reused",
        "Idempotency-Key",
    )


def test_keys_of_different_callers_have_nothing_to_do_with_each_other(operator: Caller, admin: Caller) -> None:
    assert operator.post(FLAGS, FLAG, KEY).status_code == 201
    assert admin.post(FLAGS, {**FLAG, "key": "other"}, KEY).status_code == 201


def test_what_was_refused_may_be_tried_again_with_the_same_key(operator: Caller) -> None:
    operator.post(FLAGS, FLAG)
    operator.post("/api/v1/rollouts", MANIFEST)
    assert operator.post(f"{VERBS}/advance", {}, KEY).json["code"] == "wrong_phase"
    operator.post(f"{VERBS}/start")
    assert operator.post(f"{VERBS}/advance", {}, KEY).status_code == 200


def test_a_crash_after_the_change_undoes_it_with_its_key(operator: Caller, door: Door) -> None:
    operator.started()
    before = count(door.database, audit)
    genuine, rollouts.record.apply = rollouts.record.apply, _breaking(rollouts.record.apply)
    try:
        assert operator.post(f"{VERBS}/pause", {}, KEY).status_code == 500
    finally:
        rollouts.record.apply = genuine
    assert (count(door.database, audit), count(door.database, idempotency)) == (before, 0)
    assert operator.post(f"{VERBS}/pause", {}, KEY).json["phase"] == "paused"


def _breaking(genuine: object) -> object:
    def broken(*given: object) -> None:
        genuine(*given)  # type: ignore[operator]
        raise RuntimeError("the process dies here")

    return broken


def test_of_many_at_once_one_is_done_and_all_get_its_answer(app: Flask, secrets: dict[Role, str]) -> None:
    together = threading.Barrier(5)

    def post(_: int) -> tuple[int, bytes]:
        caller = Caller(app, secrets[Role.OPERATOR])
        together.wait(20)
        answer = caller.post(FLAGS, FLAG, KEY)
        return answer.status_code, answer.data

    with ThreadPoolExecutor(5) as pool:
        answers = set(pool.map(post, range(5)))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 201


def test_a_secret_is_not_kept_to_be_shown_again(admin: Caller, door: Door) -> None:
    made = admin.post("/api/v1/tokens", {"role": "viewer"}, KEY)
    again = admin.post("/api/v1/tokens", {"role": "viewer"}, KEY)
    assert (again.status_code, again.json["code"]) == (409, "idempotency_key_in_use")
    with door.database.read() as connection:
        kept = connection.execute(select(idempotency.c.body)).scalars().all()
    assert made.json["token"].encode() not in b"".join(body or b"" for body in kept)


def test_keys_are_forgotten_after_a_day(operator: Caller, door: Door) -> None:
    operator.post(FLAGS, FLAG, KEY)
    door.clock.advance(KEPT_MS)
    assert operator.post(FLAGS, {**FLAG, "key": "other"}, KEY).status_code == 201
    assert count(door.database, idempotency) == 1


def test_what_cannot_be_a_key_is_refused(operator: Caller) -> None:
    for key in ("", "two words", "x" * 201):
        answer = operator.post(FLAGS, FLAG, {"Idempotency-Key": key})
        assert (answer.status_code, answer.json["field"]) == (422, "Idempotency-Key")
