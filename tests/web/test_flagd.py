"""GET /flagd/flags.json: deterministic, tagged, and for those who may have all definitions."""

import json

from controller.domain.principals import Role
from controller.storage import instances
from tests.web.callers import FLAG, Caller, Door

PATH = "/flagd/flags.json"


def test_the_same_flags_give_the_same_bytes_and_the_same_tag(operator: Caller, sdk: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)
    first = sdk.get(PATH, {"Accept": "application/json, application/yaml"})
    assert (first.status_code, first.mimetype) == (200, "application/json")
    operator.post("/api/v1/segments", {"key": "s", "when": {"attribute": "a", "equals": 1}})  # changes no definition
    second = sdk.get(PATH)
    assert (second.data, second.headers["ETag"]) == (first.data, first.headers["ETag"])
    held = sdk.get(PATH, {"If-None-Match": first.headers["ETag"]})
    assert (held.status_code, held.data) == (304, b"")
    operator.patch("/api/v1/flags/emitter", {"version": 1, "enabled": False})
    assert sdk.get(PATH, {"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_definitions_are_what_flagd_reads(operator: Caller, sdk: Caller) -> None:
    operator.started()
    document = json.loads(sdk.get(PATH).data)
    assert document["$schema"] == "https://flagd.dev/schema/v0/flags.json"
    assert document["metadata"] == {"flagSetId": "default"}
    flag = document["flags"]["emitter"]
    assert (flag["state"], flag["defaultVariant"], flag["variants"]) == ("ENABLED", "legacy", FLAG["variants"])
    assert flag["metadata"] == {"version": 1, "rollout": "unified-emitter", "epoch": 1}


def test_what_flagd_cannot_have_is_left_out_and_said(operator: Caller, sdk: Caller) -> None:
    operator.post("/api/v1/flags", {"key": "listed", "variants": {"a": [1], "b": [2]}, "control": "a"})
    operator.post("/api/v1/flags", FLAG)
    answer = sdk.get(PATH)
    assert set(answer.json["flags"]) == {"emitter"}
    assert answer.json["metadata"]["notExported"] == "listed: a variant is a list, and flagd has objects only"
    assert answer.headers["Canary-Not-Exported"] == "1"


def test_whoever_syncs_is_listed_as_unverifiable(sdk: Caller, door: Door) -> None:
    sdk.get(PATH)
    with door.database.read() as connection:
        (found,) = instances.every(connection)
    assert (found.id.startswith("flagd/sdk"), found.reports) == (True, False)


def test_a_key_may_be_sent_as_flagd_sends_it(nobody: Caller, secrets: dict[Role, str]) -> None:
    assert nobody.get(PATH, {"X-API-Key": secrets[Role.SDK]}).status_code == 200
    assert nobody.get(PATH, {"X-API-Key": secrets[Role.EVALUATOR]}).status_code == 403
