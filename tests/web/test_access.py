"""Every route, method and role in one table; and the ways in."""

import re
from base64 import b64encode

import pytest
from flask import Flask
from sqlalchemy import select

from controller.domain.errors import Unauthenticated, Unavailable
from controller.domain.principals import Need, Role
from controller.storage import tables
from controller.storage.database import Database
from controller.usecases import tokens
from controller.web.access import BLIND_MS, MEMORY_MS, Gate, check_routes
from controller.web.server import StreamRequest
from tests.web.callers import Caller, Door
from tests.web.page_routes import PAGES

READ, OPERATE, REPORT, ADMINISTER = Need.READ, Need.OPERATE, Need.REPORT, Need.ADMINISTER
EVALUATE, EXPORT = Need.EVALUATE, Need.EXPORT
VERBS = "<any(start, pause, resume, advance, approve, promote, rollback, abort):verb>"

NUMBER = "<int(max=9007199254740992):number>"

#: What each route asks for; None: nothing. HEAD goes with GET.
ROUTES: dict[tuple[str, str], Need | None] = {
    **PAGES,
    ("GET", "/openapi.json"): None,
    ("GET", "/docs"): None,
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): READ,
    ("GET", "/api/v1/flags"): READ,
    ("POST", "/api/v1/flags"): OPERATE,
    ("GET", "/api/v1/flags/<key:key>"): READ,
    ("PATCH", "/api/v1/flags/<key:key>"): OPERATE,
    ("GET", "/api/v1/segments"): READ,
    ("POST", "/api/v1/segments"): OPERATE,
    ("GET", "/api/v1/segments/<key:key>"): READ,
    ("PATCH", "/api/v1/segments/<key:key>"): OPERATE,
    ("DELETE", "/api/v1/segments/<key:key>"): OPERATE,
    ("GET", "/api/v1/rollouts"): READ,
    ("POST", "/api/v1/rollouts"): OPERATE,
    ("GET", "/api/v1/rollouts/<key:key>"): READ,
    ("POST", f"/api/v1/rollouts/<key:key>/{VERBS}"): OPERATE,
    ("POST", "/api/v1/rollouts/<key:key>/set-share"): OPERATE,
    ("POST", "/api/v1/rollouts/<key:key>/re-arm"): OPERATE,
    ("POST", "/api/v1/rollouts/<key:key>/label"): OPERATE,
    ("GET", "/api/v1/rollouts/<key:key>/manifest"): READ,
    ("GET", "/api/v1/rollouts/<key:key>/series"): READ,
    ("GET", "/api/v1/rollouts/<key:key>/explain"): READ,
    ("GET", "/api/v1/rollouts/<key:key>/impact"): READ,
    ("GET", "/api/v1/rollouts/<key:key>/decisions"): READ,
    ("GET", "/api/v1/rollouts/<key:key>/analyses"): READ,
    ("GET", "/api/v1/rollouts/<key:key>/ledger"): READ,
    ("GET", "/api/v1/rollouts/<key:key>/rounds"): READ,
    ("GET", "/api/v1/rollouts/<key:key>/alerts"): READ,
    ("GET", "/api/v1/alerts"): READ,
    ("GET", "/api/v1/quarantines"): READ,
    ("GET", "/api/v1/judge"): READ,
    ("GET", "/api/v1/instances"): READ,
    ("GET", "/api/v1/audit"): READ,
    ("POST", "/api/v1/erasures"): ADMINISTER,
    ("GET", "/api/v1/notifications/channels"): READ,
    ("POST", "/api/v1/notifications/channels"): ADMINISTER,
    ("GET", "/api/v1/notifications/channels/<key:name>"): READ,
    ("PATCH", "/api/v1/notifications/channels/<key:name>"): ADMINISTER,
    ("DELETE", "/api/v1/notifications/channels/<key:name>"): ADMINISTER,
    ("POST", "/api/v1/notifications/channels/<key:name>/test"): OPERATE,
    ("GET", "/api/v1/notifications/subscriptions"): READ,
    ("POST", "/api/v1/notifications/subscriptions"): OPERATE,
    ("DELETE", f"/api/v1/notifications/subscriptions/{NUMBER}"): OPERATE,
    ("GET", "/api/v1/notifications/deliveries"): READ,
    ("GET", f"/api/v1/notifications/deliveries/{NUMBER}"): READ,
    ("POST", f"/api/v1/notifications/deliveries/{NUMBER}/retry"): OPERATE,
    ("GET", "/api/v1/retention"): READ,
    ("GET", "/api/v1/retention/*"): READ,
    ("PATCH", "/api/v1/retention/*"): ADMINISTER,
    ("GET", "/api/v1/retention/<key:key>"): READ,
    ("PATCH", "/api/v1/retention/<key:key>"): OPERATE,
    ("GET", "/api/v1/audit/export"): READ,
    ("GET", "/api/v1/audit/check"): READ,
    ("GET", "/api/v1/me"): READ,
    ("GET", "/api/v1/users"): ADMINISTER,
    ("POST", "/api/v1/users"): ADMINISTER,
    ("GET", "/api/v1/users/<person:name>"): ADMINISTER,
    ("PATCH", "/api/v1/users/<person:name>"): ADMINISTER,
    ("POST", "/api/v1/users/<person:name>/invite"): ADMINISTER,
    ("POST", "/api/v1/users/<person:name>/sign-out"): ADMINISTER,
    ("GET", "/api/v1/freezes"): READ,
    ("POST", "/api/v1/freezes"): OPERATE,
    ("GET", "/api/v1/freezes/<key:key>"): READ,
    ("PATCH", "/api/v1/freezes/<key:key>"): OPERATE,
    ("DELETE", "/api/v1/freezes/<key:key>"): OPERATE,
    ("GET", "/api/v1/schedules"): READ,
    ("POST", "/api/v1/schedules"): OPERATE,
    ("GET", f"/api/v1/schedules/{NUMBER}"): READ,
    ("POST", f"/api/v1/schedules/{NUMBER}/cancel"): OPERATE,
    ("GET", "/api/v1/handover"): READ,
    ("GET", "/api/v1/approvals"): READ,
    ("GET", "/api/v1/tokens"): ADMINISTER,
    ("POST", "/api/v1/tokens"): ADMINISTER,
    ("POST", "/api/v1/tokens/<key:prefix>/rotate"): ADMINISTER,
    ("DELETE", "/api/v1/tokens/<key:prefix>"): ADMINISTER,
    ("GET", "/sdk/v1/snapshot"): REPORT,
    ("POST", "/sdk/v1/reports"): REPORT,
    ("POST", "/ofrep/v1/evaluate/flags"): EVALUATE,
    ("OPTIONS", "/ofrep/v1/evaluate/flags"): None,
    ("POST", "/ofrep/v1/evaluate/flags/<path:key>"): EVALUATE,
    ("OPTIONS", "/ofrep/v1/evaluate/flags/<path:key>"): None,
    **{(method, "/ofrep/<path:rest>"): None for method in ("GET", "POST", "PUT", "PATCH", "DELETE")},
    ("GET", "/flagd/flags.json"): EXPORT,
}
#: What people change.
_KEPT = (tables.flags, tables.segments, tables.rollouts, tables.decisions, tables.audit, tables.people)
#: Who has which right.
MAY: dict[Need, set[Role]] = {
    READ: {Role.VIEWER, Role.OPERATOR, Role.ADMIN},
    OPERATE: {Role.OPERATOR, Role.ADMIN},
    EVALUATE: {Role.EVALUATOR, Role.SDK, Role.ADMIN},
    EXPORT: {Role.VIEWER, Role.SDK, Role.OPERATOR, Role.ADMIN},
    REPORT: {Role.SDK, Role.ADMIN},
    ADMINISTER: {Role.ADMIN},
}


def address(template: str) -> str:
    filled = (
        template.replace(VERBS, "pause")
        .replace("<any(revoke, rotate):verb>", "revoke")
        .replace("<path:name>", "icon.svg")
        .replace(NUMBER, "1")
    )
    return re.sub(r"<[^>]*>", "nothing", filled)


def basic(secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'me:{secret}'.encode()).decode()}"}


def test_the_table_names_every_route(app: Flask) -> None:
    rules = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    assert {found for found in rules if found[0] != "HEAD"} == set(ROUTES)


def test_a_route_that_says_nothing_of_its_need_keeps_the_application_from_starting(app: Flask) -> None:
    app.view_functions["forgotten"] = lambda: "hello"
    with pytest.raises(RuntimeError, match="forgotten"):
        check_routes(app)


def test_every_route_lets_in_exactly_the_roles_of_the_table(app: Flask, secrets: dict[Role, str]) -> None:
    wrong = []
    for (method, template), need in ROUTES.items():
        for role, secret in secrets.items():
            status = Caller(app, secret).call(method, address(template), b"{}").status_code
            if (status not in {401, 403}) is not (need is None or role in MAY[need]):
                wrong.append((method, template, role, status))
            if status >= 500:
                wrong.append((method, template, role, status))
    assert not wrong


def test_without_a_token_only_health_and_static_files_answer(nobody: Caller) -> None:
    for (method, template), need in ROUTES.items():
        answer = nobody.call(method, address(template), b"{}")
        assert (answer.status_code == 401) is (need is not None), (method, template)
        if need is not None:
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_no_get_changes_anything(app: Flask, secrets: dict[Role, str], door: Door) -> None:
    admin = Caller(app, secrets[Role.ADMIN])
    admin.started()
    with door.database.read() as connection:
        before = {table.name: connection.execute(select(table)).all() for table in _KEPT}
    for method, template in ROUTES:
        if method == "GET":
            assert admin.get(address(template)).status_code < 500, template
    with door.database.read() as connection:
        assert {table.name: connection.execute(select(table)).all() for table in _KEPT} == before


def test_open_reading_needs_no_token_and_changing_still_does(open_app: Flask) -> None:
    anybody = Caller(open_app, None)
    for (method, template), need in ROUTES.items():
        status = anybody.call(method, address(template), b"{}").status_code
        assert (status == 401) is (need not in {READ, EXPORT, None}), (method, template, status)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8321", "LOCALHOST:80", "[::1]:8321", "localhost."])
def test_open_reading_answers_under_the_names_of_this_machine(open_app: Flask, host: str) -> None:
    assert Caller(open_app, None).get("/api/v1/flags", {"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", "[::2]:8321", ""])
def test_open_reading_refuses_a_page_that_made_its_own_name_point_here(open_app: Flask, host: str) -> None:
    answer = Caller(open_app, None).get("/api/v1/flags", {"Host": host})
    assert (answer.status_code, answer.json["code"]) == (421, "misdirected")


def test_a_wrong_token_is_refused_even_where_none_is_needed(open_app: Flask) -> None:
    assert Caller(open_app, "cnry_v_wrong").get("/api/v1/flags").status_code == 401


def test_the_token_serves_as_a_password_for_reading_and_browsers_go_to_sign_in(
    nobody: Caller, secrets: dict[Role, str]
) -> None:
    assert nobody.get("/", basic(secrets[Role.VIEWER])).status_code == 200
    challenge = nobody.get("/", {"Accept": "text/html,*/*"})
    assert (challenge.status_code, challenge.headers["Location"]) == (303, "/login")
    assert challenge.mimetype == "text/html"


def test_a_password_changes_nothing_since_browsers_send_it_for_any_page(
    nobody: Caller, secrets: dict[Role, str]
) -> None:
    assert nobody.post("/api/v1/flags", {}, basic(secrets[Role.ADMIN])).status_code == 401


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic /w==", "Digest x", "Bearer " + "x" * 600, "Bearer ä"],
)
def test_an_odd_authorization_is_refused_politely(nobody: Caller, value: str) -> None:
    answer = nobody.get("/api/v1/flags", {"Authorization": value})
    assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")


def test_a_revoked_token_works_no_longer_than_the_memory(
    app: Flask, database: Database, door: Door, secrets: dict[Role, str]
) -> None:
    caller = Caller(app, secrets[Role.VIEWER])
    assert caller.get("/api/v1/flags").status_code == 200
    tokens.revoke(database, secrets[Role.VIEWER][:15], actor="test", now_ms=door.clock())
    door.clock.advance(MEMORY_MS)
    assert caller.get("/api/v1/flags").status_code == 401


def test_a_clock_that_is_set_back_does_not_prolong_a_token(
    app: Flask, database: Database, door: Door, secrets: dict[Role, str]
) -> None:
    caller = Caller(app, secrets[Role.VIEWER])
    assert caller.get("/api/v1/flags").status_code == 200
    tokens.revoke(database, secrets[Role.VIEWER][:15], actor="test", now_ms=door.clock())
    door.clock.advance(-3_600_000)
    assert caller.get("/api/v1/flags").status_code == 401


def test_while_nobody_can_look_a_token_up_one_that_worked_evaluates_on_and_does_nothing_else(
    door: Door, secrets: dict[Role, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, known, ended = Gate(door.services()), f"Bearer {secrets[Role.SDK]}", f"Bearer {secrets[Role.EVALUATOR]}"
    assert gate.admit(EVALUATE, known, None).principal == gate.admit(REPORT, known, None).principal
    gate.admit(EVALUATE, ended, None)
    tokens.revoke(door.database, secrets[Role.EVALUATOR][:15], actor="test", now_ms=door.clock())
    door.clock.advance(MEMORY_MS)
    with pytest.raises(Unauthenticated):
        gate.admit(EVALUATE, ended, None)

    def away() -> None:
        raise Unavailable("away")

    monkeypatch.setattr(door.database, "read", away)
    assert gate.admit(EVALUATE, known, None).principal.role is Role.SDK
    for need, token in ((REPORT, known), (EVALUATE, ended), (EVALUATE, "Bearer of-nobody")):
        with pytest.raises(Unavailable):
            gate.admit(need, token, None)
    door.clock.advance(BLIND_MS)
    with pytest.raises(Unavailable):
        gate.admit(EVALUATE, known, None)


def test_streams_let_in_whom_the_routes_let_in(door: Door, secrets: dict[Role, str]) -> None:
    gate = Gate(door.services())

    def opened(headers: dict[str, str]) -> int:
        problem = gate.check_stream(StreamRequest("/events", headers, {}, "127.0.0.1"), READ)
        return 200 if problem is None else problem.status

    bearer = {role: {"authorization": f"Bearer {secret}"} for role, secret in secrets.items()}
    assert [opened(bearer[Role.VIEWER]), opened(bearer[Role.SDK]), opened({})] == [200, 403, 401]
    assert (
        Gate(door.services(open_reading=True)).check_stream(
            StreamRequest("/events", {"host": "localhost:8321"}, {}, "127.0.0.1"), READ
        )
        is None
    )


def test_the_last_admin_keeps_the_key(admin: Caller, secrets: dict[Role, str]) -> None:
    answer = admin.call("DELETE", f"/api/v1/tokens/{secrets[Role.ADMIN][:15]}")
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")


def test_a_new_token_is_shown_once(admin: Caller) -> None:
    made = admin.post("/api/v1/tokens", {"role": "viewer", "name": "grafana"}).json
    listed = {row["prefix"]: row for row in admin.get("/api/v1/tokens").json["items"]}
    assert made["token"].startswith(made["prefix"])
    assert listed[made["prefix"]]["token"] is None
    assert made["token"] not in admin.get("/api/v1/audit").text
    assert admin.call("DELETE", f"/api/v1/tokens/{made['prefix']}").status_code == 204


def test_an_unknown_role_is_refused_by_field(admin: Caller) -> None:
    answer = admin.post("/api/v1/tokens", {"role": "root"})
    assert (answer.status_code, answer.json["field"]) == (422, "role")
