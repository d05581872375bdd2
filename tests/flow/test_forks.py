"""gunicorn --preload: workers that were forked from a process with a provider follow the controller by themselves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from controller.settings import child_environment
from tests.builders import ROLLOUT
from tests.flow.site import Site, free_port, until

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
WORKERS = 3


@pytest.fixture
def here(sqlite_url, new_site) -> Site:
    site: Site = new_site(sqlite_url)
    site.begin(stages=[{"share": "99%", "bake": "1h"}, {"share": "100%", "bake": "1h"}])
    return site


@pytest.fixture
def application(here: Site) -> Iterator[str]:
    port = free_port()
    options = ["--preload", "--workers", str(WORKERS), "--bind", f"127.0.0.1:{port}", "--log-level", "error"]
    environment = child_environment(
        CANARY_URL=here.url, CANARY_TOKEN=here.sdk_token(), PYTHONPATH=str(Path(__file__).parents[2])
    )
    command = [sys.executable, "-m", "gunicorn", *options, "gunicorn_app:create_app()"]
    process = subprocess.Popen(command, cwd=EXAMPLES, env=environment)
    url = f"http://127.0.0.1:{port}"
    until(lambda: asked(url) is not None, "gunicorn answers")
    yield url
    process.terminate()
    process.wait(20)


def asked(url: str, user: str = "anna") -> dict[str, str] | None:
    try:
        return dict(httpx.get(f"{url}/{user}").raise_for_status().json())
    except httpx.TransportError:
        return None


def workers(url: str) -> dict[str, dict[str, str]]:
    """What each worker answers."""
    found: dict[str, dict[str, str]] = {}

    def ask() -> bool:
        answer = asked(url)
        if answer is not None:
            found[answer["worker"]] = answer
        return len(found) == WORKERS

    until(ask, f"all {WORKERS} workers have answered")
    return found


def test_every_worker_has_a_name_of_its_own_and_hears_of_the_rollback(here: Site, application: str) -> None:
    before = workers(application)
    assert {answer["variant"] for answer in before.values()} == {"unified"}
    names = {answer["instance"] for answer in before.values()}
    assert len(names) == WORKERS

    def known() -> set[str]:
        return {item["id"] for item in here.http.get("/api/v1/instances").json()["items"]}

    until(lambda: names <= known(), "every worker has reported")
    here.post(f"/api/v1/rollouts/{ROLLOUT}/rollback", {"reason": "test"})

    def all_back() -> bool:
        return {answer["variant"] for answer in workers(application).values()} == {"legacy"}

    until(all_back, "every worker serves the control")


EVENTS = """
import os, sys, threading
from openfeature import api
from openfeature.event import ProviderEvent
from controller.client import CanaryProvider

first, second = threading.Event(), threading.Event()
def hear(_):
    (second if first.is_set() else first).set()
api.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, hear)
api.set_provider_and_wait(CanaryProvider(sys.argv[1], sys.argv[2], reporter=None))
assert first.wait(20)
child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("forked", flush=True)
os._exit(0 if second.wait(20) else 3)
"""


def test_the_first_event_after_a_fork_is_delivered_in_the_child(here: Site) -> None:
    """The SDK's event threads are gone in a child, and it does not know."""
    command = [sys.executable, "-W", "ignore", "-c", EVENTS, here.url, here.sdk_token()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "forked\n"
        here.post(f"/api/v1/rollouts/{ROLLOUT}/rollback", {"reason": "test"})  # one event, not two
        assert process.wait(40) == 0
