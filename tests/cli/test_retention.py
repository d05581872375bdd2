"""`canary retention`."""

import json

from controller.wire.api.common import Page
from controller.wire.api.retention import PolicyView
from tests.cli.conftest import Run
from tests.cli.stub import StubController


def policy(flag: str = "*", version: int = 0, **words: object) -> PolicyView:
    said = {"raw": "7d", "ledger": "90d", "analyses": "90d", "windows": "400d", "detail": "all", "own": [], **words}
    return PolicyView(flag, version=version, updated_ms=0, **said)


def test_the_list_marks_what_a_flag_says_itself(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/retention", Page([policy(), policy("f", 1, raw="12h", own=["raw"])]))
    lines = run("retention", "list").stdout.splitlines()
    assert lines[1].split() == ["*", "7d", "90d", "90d", "400d", "all"]
    assert lines[2].split() == ["f", "12h*", "90d", "90d", "400d", "all"]
    assert json.loads(run("retention", "list", "--json").stdout)[1]["own"] == ["raw"]


def test_a_change_is_made_at_the_version_that_was_read(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/retention/f", policy("f", 4))
    stub.on("PATCH", "/api/v1/retention/f", policy("f", 5, raw="3d", own=["raw"]))
    done = run("retention", "set", "f", "--raw", "3d", "--detail", "default", "--reason", "disk")
    assert done.exit_code == 0, done.output
    [body] = stub.bodies("PATCH")
    assert {name: body[name] for name in ("version", "raw", "detail", "ledger", "reason")} == {
        "version": 4,
        "raw": "3d",
        "detail": "",
        "ledger": None,
        "reason": "disk",
    }


def test_with_no_flag_named_every_flag_is_meant(run: Run, stub: StubController) -> None:
    stub.on("PATCH", "/api/v1/retention/*", policy(version=1))
    assert run("retention", "set", "--raw", "3d", "--if-version", "1").exit_code == 0


def test_nothing_to_set_is_wrong_usage(run: Run) -> None:
    assert run("retention", "set", "f").exit_code == 2
