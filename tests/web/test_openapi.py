"""The interface's own document: valid, complete, and true for whatever anybody sends, in each role."""

from typing import Any, cast

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.strategies import one_of
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from controller.domain.errors import Conflict, Refusal
from controller.domain.principals import Need, Role
from controller.web.access import needs
from controller.web.openapi import ROOT, codes, document_of, routes_of
from controller.web.operation import operation
from controller.wire.api.judging import ErrorsView
from tests.web.callers import FLAG, MANIFEST, Caller, Door

load_all_checks()
#: Requests for each operation and role; which ones is the same on each machine.
EXAMPLES = 6
#: Path parameters that lead to something; the others are `nothing`, which there is one of as well.
KNOWN = {"number": 1}


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    return document_of(app)


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any], nobody: Caller) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"
    assert nobody.get("/openapi.json").json == document


def test_every_route_of_the_interface_is_in_it(app: Flask, document: dict[str, Any]) -> None:
    documented = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert documented == {(route.path, route.method) for route in routes_of(app)}
    assert {path for path, _ in documented} >= {f"{ROOT}rollouts/{{key}}/start", f"{ROOT}rollouts/{{key}}/set-share"}
    identities = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(identities) == len(set(identities))


def test_a_route_that_says_nothing_of_itself_is_refused(app: Flask) -> None:
    app.add_url_rule(f"{ROOT}silent", "silent", lambda: "")
    with pytest.raises(RuntimeError, match=f"{ROOT}silent: say what it takes and gives"):
        document_of(app)


def test_the_codes_of_problems_are_stable() -> None:
    known = {code for by_code in codes().values() for code in by_code}
    assert known >= {"changed_meanwhile", "guard_veto", "frozen", "out_of_scope", "needs_approval", "own_approval"}
    assert Refusal.code in known
    assert all(title for by_code in codes().values() for title in by_code.values())


def test_the_reference_page_shows_every_operation_without_a_script(document: dict[str, Any], nobody: Caller) -> None:
    page = nobody.get("/docs")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "://" not in page.text.replace("http://www.w3.org", "")
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in page.text
    for name in document["components"]["schemas"]:
        assert f'id="form-{name}"' in page.text


def scene(caller: Caller, door: Door) -> None:
    """Something of everything, so that not every key is unknown."""
    caller.started()
    caller.post("/api/v1/flags", {**FLAG, "key": "nothing"})
    caller.post("/api/v1/segments", {"key": "nothing", "when": {"attribute": "country", "in": ["DE"]}})
    caller.post("/api/v1/rollouts", {**MANIFEST, "rollout": "nothing", "flag": "nothing"})
    now_ms = door.clock()
    caller.post("/api/v1/freezes", {"key": "nothing", "reason": "why", "until_ms": now_ms + 3_600_000, "flags": ["x"]})
    plan = {"action": "disable", "subject": "nothing", "at_ms": now_ms + 3_600_000}
    caller.post("/api/v1/schedules", plan)
    caller.post("/api/v1/users", {"name": "nothing"})


@pytest.fixture
def schema(app: Flask, admin: Caller, door: Door) -> Any:
    scene(admin, door)
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


#: Each role once; whoever may do most meets the database that takes least.
WHO = [("postgresql" if role is Role.ADMIN else "sqlite", role) for role in Role]


@pytest.mark.parametrize(("database_url", "role"), WHO, indirect=["database_url"])
def test_whatever_anybody_sends_is_answered_as_the_document_says(
    schema: Any, secrets: dict[Role, str], role: Role
) -> None:
    """No 5xx, no undocumented status or kind of content, and no answer that is off its schema."""
    met, wrong = tried(schema, {"Authorization": f"Bearer {secrets[role]}"})
    assert not wrong, "\n\n".join(wrong[:5])
    assert len(met) == len(routes_of(schema.app))
    if role is Role.ADMIN:  # what is sent fits often enough that the answers proper are checked as well
        done = [label for label, statuses in met.items() if any(status < 300 for status in statuses)]
        assert len(done) >= len(met) / 2, sorted(set(met) - set(done))
    if role is Role.EVALUATOR:
        assert {status for statuses in met.values() for status in statuses} <= {401, 403, 404}


def test_an_answer_that_is_not_as_documented_is_found(app: Flask, secrets: dict[Role, str]) -> None:
    """The check above can fail: one route lies about its answer, one about its status, and one breaks down."""

    def lying() -> ErrorsView:
        return cast("ErrorsView", {"rollbacks": "many"})

    def refusing() -> ErrorsView:
        raise Conflict("never documented")

    def breaking() -> ErrorsView:
        raise RuntimeError("on purpose")

    for number, view in enumerate((lying, refusing, breaking)):
        app.add_url_rule(f"{ROOT}wrong/{number}", f"wrong-{number}", needs(Need.READ)(operation()(view)))
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app).include(path_regex="/wrong/")
    _, wrong = tried(schema, {"Authorization": f"Bearer {secrets[Role.VIEWER]}"})
    assert {complaint[: len("GET /api/v1/wrong/0")] for complaint in wrong} == {
        f"GET /api/v1/wrong/{number}" for number in range(3)
    }


def tried(schema: Any, headers: dict[str, str]) -> tuple[dict[str, set[int]], list[str]]:
    """The statuses that each operation has answered with, and what was not as documented."""
    met: dict[str, set[int]] = {}
    wrong: list[str] = []
    for found in schema.get_all_operations():
        _try(found.ok(), headers, met, wrong)
    return met, wrong


def _try(operation: Any, headers: dict[str, str], met: dict[str, set[int]], wrong: list[str]) -> None:
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    known = {parameter.name: KNOWN.get(parameter.name, "nothing") for parameter in operation.path_parameters}
    sent = one_of(
        operation.as_strategy(headers=headers),
        operation.as_strategy(headers=headers, path_parameters=known),
        operation.as_strategy(GenerationMode.NEGATIVE, headers=headers, path_parameters=known),
    )

    @given(case=sent)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    def attempt(case: Any) -> None:
        response = case.call(headers=headers)
        met.setdefault(operation.label, set()).add(response.status_code)
        if response.status_code >= 500:
            wrong.append(f"{operation.label}: {response.status_code} {case.as_curl_command()}")
            return
        try:
            case.validate_response(response, checks=checks, headers=headers)
        except (AssertionError, FailureGroup) as error:
            reasons = getattr(error, "exceptions", (error,))
            wrong.append("\n".join([f"{operation.label}: {response.status_code}", *map(str, reasons)]))

    attempt()
