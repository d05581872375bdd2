"""What flagd's evaluators follow: the definitions over HTTP, and a file that the command line keeps up to date."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from controller.domain.evaluation import evaluate
from controller.settings import child_environment
from controller.wire.snapshots import from_wire
from tests.builders import FLAG, ROLLOUT
from tests.flow.site import Site, until


@pytest.fixture
def here(sqlite_url, new_site) -> Site:
    site: Site = new_site(sqlite_url)
    site.begin(stages=[{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}])
    return site


@pytest.fixture
def file(here: Site, tmp_path: Path) -> Iterator[Path]:
    """The file of a running `canary export flagd --watch`."""
    path = tmp_path / "flags.json"
    environment = child_environment(CANARY_URL=here.url, CANARY_TOKEN=here.sdk_token())
    command = [sys.executable, "-m", "controller", "export", "flagd", "--watch", str(path), "--interval", "0.1"]
    process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2])
    until(path.exists, "the file was written")
    yield path
    process.terminate()
    process.wait(20)


def served(file: Path, user: str) -> str | None:
    core = FlagdCore()
    core.set_flags(file.read_text(encoding="utf-8"))
    return core.resolve_boolean_value(FLAG, True, EvaluationContext(user)).variant


def test_a_watched_file_serves_the_split_and_then_the_rollback(here: Site, file: Path) -> None:
    flag = from_wire(here.http.get("/sdk/v1/snapshot").content).flags[FLAG]
    users = [f"user-{number}" for number in range(300)]
    assert [served(file, user) for user in users] == [evaluate(flag, user).variant for user in users]
    here.post(f"/api/v1/rollouts/{ROLLOUT}/rollback", {"reason": "test"})
    until(lambda: {served(file, user) for user in users} == {"legacy"}, "the rollback was written")


def test_the_file_outlives_a_restart_of_the_controller(here: Site, file: Path) -> None:
    before = file.read_bytes()
    here.kill()
    here.start()
    assert file.read_bytes() == before
    here.post(f"/api/v1/rollouts/{ROLLOUT}/rollback", {"reason": "test"})
    until(lambda: file.read_bytes() != before, "the file follows again")


def test_http_sync_as_flagd_does_it(here: Site) -> None:
    """It sends the tag of the last answer, compares a hash of the body besides, and keeps the old flags on error."""
    accept = {"Accept": "application/json, application/yaml", "Authorization": f"Bearer {here.sdk_token()}"}
    with httpx.Client(base_url=here.url, headers=accept) as daemon:
        first = daemon.get("/flagd/flags.json")
        assert (first.status_code, first.headers["Content-Type"]) == (200, "application/json")
        again = daemon.get("/flagd/flags.json", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        here.post(f"/api/v1/rollouts/{ROLLOUT}/rollback", {"reason": "test"})
        changed = daemon.get("/flagd/flags.json", headers={"If-None-Match": first.headers["ETag"]})
        assert (changed.status_code, changed.content != first.content) == (200, True)
