"""`canary doctor` and `canary db check`."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.stub import StubController


def states(text: str) -> dict[str, str]:
    return {one["name"]: one["state"] for one in json.loads(text)}


def test_a_database_and_a_controller_that_are_well(run: Run, stub: StubController, tmp_path: Path) -> None:
    stub.on("GET", "/readyz", {"ready": True, "missing": []})
    url = f"sqlite:///{tmp_path}/c.db"
    assert run("db", "upgrade", "--database-url", url).exit_code == 0
    done = run("doctor", "--database-url", url, "--json")
    assert done.exit_code == 0, done.output
    found = states(done.stdout)
    assert {found[name] for name in ("settings", "database", "schema", "clock", "controller")} == {"ok"}
    assert found["lease"] == "warn"
    assert {"size", "disk"} <= found.keys()


def test_an_empty_database_is_broken_and_the_fix_is_named(run: Run) -> None:
    done = run("doctor")
    assert done.exit_code == 1
    assert "canary db upgrade" in done.stdout
    assert run("db", "check").exit_code == 1
    assert run("db", "upgrade").exit_code == 0
    assert run("db", "check").exit_code == 0


def test_a_controller_that_is_not_ready_is_broken(run: Run, stub: StubController) -> None:
    stub.on("GET", "/readyz", {"ready": False, "missing": ["the ingest writer does not run"]})
    run("db", "upgrade")
    done = run("doctor")
    assert done.exit_code == 1
    assert "the ingest writer does not run" in done.stdout


@pytest.mark.parametrize(("name", "value"), [("CANARY_ROLE", "both"), ("CANARY_POOL_SIZE", "0")])
def test_a_setting_that_cannot_be_used_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    done = run("doctor")
    assert (done.exit_code, name in done.stdout) == (1, True)


def test_what_anybody_may_read_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_HOST", "0.0.0.0")
    monkeypatch.setenv("CANARY_OPEN_READING", "1")
    run("db", "upgrade")
    assert states(run("doctor", "--json").stdout)["reading"] == "warn"
