"""A team upgrades, goes back to the release before, and upgrades again, while applications go on reporting."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.domain.judge.constants import FORM
from controller.storage import schema
from controller.storage.database import Database
from tests.builders import FLAG, ROLLOUT
from tests.flow import releases
from tests.flow.releases import ROOT, canary, revision_after
from tests.flow.site import Site, until
from tests.flow.traffic import EVENTS, Traffic, evidence_of, ledger_of
from tests.postgres import PostgresServer

LONG = [{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}]
UNKNOWN = f"UnknownConstants: constants of form {FORM + 1}; this release judges by form {FORM}"
STREAMS = {"/sdk/v1/stream", "/ofrep/v1/events", "/events"}
PAGES = ("/", "/flags", "/instances", "/audit", "/access", "/notifications", "/segments", "/handover", "/metrics")
A_FAILURE = {"rollout": ROLLOUT, "arm": "canary", "stream": "agent_started", "failed": 10, "total": 1_000}


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The release after this one."""
    return releases.next_release(tmp_path / "next")


@pytest.fixture
def empty_postgresql(postgres: PostgresServer) -> Iterator[str]:
    postgres.execute("CREATE DATABASE upgraded")
    yield postgres.url("upgraded")
    postgres.execute("DROP DATABASE upgraded WITH (FORCE)")


@pytest.fixture
def upgraded(empty_postgresql: str, later: Path, tmp_path: Path) -> Iterator[Site]:
    """A controller of this release on a schema that the release after it has brought while it ran."""
    site = Site(empty_postgresql, tmp_path)
    assert canary(ROOT, "db", "upgrade", "--database-url", site.database_url).returncode == 0
    site.start()
    done = canary(later, "db", "upgrade", "--database-url", site.database_url, "--json")
    head = schema.head_revision()
    assert json.loads(done.stdout) == {"before": head, "revision": revision_after(head)}
    yield site
    site.close()


def replace(site: Site, tree: Path | None) -> None:
    """The process ends in order, and one of another release takes its address and the lease over."""
    assert site.stop() == 0
    site.tree = tree
    site.start()


def fail_once(site: Site, name: str) -> None:
    """A hundredth of a failure of the canary: whoever leads looks at once, and it convicts nobody."""
    evidence = [{**A_FAILURE, "epoch": site.rollout()["epoch"]}]
    body = {"batch": f"{name}-failure", "instance": "other", "seq": 1, "counted_by": "client", "evidence": evidence}
    site.post("/sdk/v1/reports", body)


def newest_decision(site: Site) -> dict[str, Any]:
    return dict(site.http.get(f"/api/v1/rollouts/{ROLLOUT}/decisions").raise_for_status().json()["items"][-1])


def last_slot(site: Site) -> int:
    slots = ledger_of(site).slots
    return slots[-1].seq if slots else 0


def share_of(rollout: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(rollout[name] for name in ("share_percent", "stage", "epoch", "round", "revision"))


def schema_check(tree: Path, site: Site) -> tuple[int, str, str]:
    """What `canary db check` of a release says: its exit code, state and words."""
    done = canary(tree, "db", "check", "--database-url", site.database_url, "--json")
    [found] = json.loads(done.stdout)
    return done.returncode, found["state"], found["found"]


def begin_under(later: Path, site: Site) -> None:
    """A rollout that the release after this one has started and judged."""
    replace(site, later)
    site.begin(stages=LONG)
    fail_once(site, "first")
    until(lambda: last_slot(site) > 0, "the newer release judges")


def test_the_release_before_pauses_what_it_cannot_judge_and_a_person_goes_on_after_the_next_upgrade(
    upgraded: Site, later: Path
) -> None:
    begin_under(later, upgraded)
    traffic = Traffic(upgraded, pause_s=0.02)
    traffic.start()
    before, judged = upgraded.rollout(), last_slot(upgraded)

    replace(upgraded, None)
    fail_once(upgraded, "second")
    until(lambda: upgraded.rollout()["phase"] == "paused", "the release before pauses it")
    newest = newest_decision(upgraded)
    assert (newest["action"], newest["actor"]) == ("pause", "judge")
    assert UNKNOWN in newest["message"]
    assert share_of(upgraded.rollout()) == share_of(before)
    alerts = upgraded.http.get("/api/v1/alerts").raise_for_status().json()["items"]
    assert [(one["name"], UNKNOWN in one["message"]) for one in alerts] == [("judge_error", True)]
    users = traffic.users
    until(lambda: traffic.users > users + 50, "users come all the same")
    assert {traffic.serves("unified"), traffic.serves("legacy")} == {True, False}

    upgraded.post(f"/api/v1/rollouts/{ROLLOUT}/resume", {"reason": "somebody insists"})
    fail_once(upgraded, "third")
    until(lambda: upgraded.rollout()["phase"] == "paused", "it pauses again")
    assert last_slot(upgraded) == judged, "nothing was judged meanwhile"

    replace(upgraded, later)
    until(lambda: last_slot(upgraded) > judged, "the newer release judges what has waited")
    assert upgraded.rollout()["phase"] == "paused", "a person resumes"
    assert share_of(upgraded.rollout()) == share_of(before)
    upgraded.post(f"/api/v1/rollouts/{ROLLOUT}/resume", {"reason": "upgraded again"})
    assert traffic.finish(), "everything was acknowledged"
    sent = traffic.users * len(EVENTS)
    until(lambda: evidence_of(ledger_of(upgraded)) == sent + 3, "every outcome was judged, with the three beside them")
    assert (upgraded.rollout()["phase"], newest_decision(upgraded)["action"]) == ("progressing", "resume")


def test_what_the_release_before_cannot_judge_it_shows_and_a_person_can_roll_it_back(
    upgraded: Site, later: Path
) -> None:
    newer = f"schema {revision_after(schema.head_revision())}, of a newer release; newer ones only add"
    assert schema_check(ROOT, upgraded) == (0, "ok", newer)
    assert schema_check(later, upgraded)[:2] == (0, "ok")
    begin_under(later, upgraded)
    replace(upgraded, None)
    for page in ("/", f"/rollouts/{ROLLOUT}", "/metrics", "/api/v1/rollouts", f"/api/v1/rollouts/{ROLLOUT}/rounds"):
        assert upgraded.http.get(page).status_code == 200, page
    told = upgraded.http.get(f"/api/v1/rollouts/{ROLLOUT}/explain")
    assert (told.status_code, f"form {FORM + 1}" in told.text) == (409, True)
    upgraded.post(f"/api/v1/rollouts/{ROLLOUT}/rollback", {"reason": "not on this release"})
    assert (upgraded.rollout()["phase"], upgraded.rollout()["share_percent"]) == ("rolling_back", 0)


def test_this_release_answers_everything_on_the_schema_before_or_says_what_to_run(
    empty_postgresql: str, opened: Callable[[str], Database], new_site: Callable[[str], Site]
) -> None:
    before = revision_after(schema.head_revision(), -1)
    schema.upgrade(opened(empty_postgresql), before)
    site = new_site(empty_postgresql)
    assert schema_check(ROOT, site)[:2] == (0, "warn")
    site.begin(stages=LONG)
    routes = site.http.get("/openapi.json").json()["paths"]
    read = [path for path, verbs in routes.items() if "get" in verbs and path not in STREAMS]
    paths = [*(path.replace("{key}", ROLLOUT if "rollouts" in path else FLAG) for path in read), *PAGES]
    answers = {path: site.http.get(path) for path in paths}
    assert {path: one.text for path, one in answers.items() if one.is_server_error} == {}
    refused = {path for path, one in answers.items() if "canary db upgrade" in one.text and one.is_client_error}
    assert refused == {path for path in paths if "/notifications" in path and "{" not in path}
    assert answers["/metrics"].is_success
