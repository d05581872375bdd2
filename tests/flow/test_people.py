"""People at the wheel, from outside: the command line and a browser's requests against a controller process."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from controller.cli.app import build
from tests.builders import FLAG, ROLLOUT
from tests.flow.site import ADMIN, Site, until

Run = Callable[..., Result]
PASSWORD = "a horse, a battery and a staple"
LONG = [{"share": "10%", "bake": "1h"}, {"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}]
FLAG_FILE = """\
flag: new-search
variants: {"off": false, "on": true}
control: "off"
description: The search of the next release
targeting:
  rules:
    - {name: inside, serve: "on", when: {segment: staff}}
"""
SEGMENT_FILE = """\
segment: staff
when: {attribute: email, ends_with: "@example.com"}
"""
ROLLOUT_FILE = """\
rollout: search
flag: new-search
control: "off"
canary: "on"
events: [searched]
stages:
  - {share: 10%, bake: 10m}
  - {share: 100%, bake: 1h}
"""


@pytest.fixture
def site(sqlite_url: str, new_site: Callable[[str], Site]) -> Site:
    """One controller; what differs between databases is tested nearer to them."""
    return new_site(sqlite_url)


@pytest.fixture
def run(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Call the command: `run("freeze", "list")`; what fails unexpectedly fails the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CANARY_URL", site.url)
    monkeypatch.setenv("CANARY_TOKEN", ADMIN)

    def call(*arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(build(lambda **_: 0), list(arguments), catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done

    return call


def said(done: Result) -> Any:
    return json.loads(done.stdout)


def test_a_freeze_holds_a_start_until_it_is_removed(site: Site, run: Run) -> None:
    site.post("/api/v1/flags", {"key": FLAG, "variants": {"legacy": False, "unified": True}, "control": "legacy"})
    Path("rollout.yaml").write_text(
        ROLLOUT_FILE.replace("new-search", FLAG).replace('"off"', "legacy").replace('"on"', "unified")
    )
    run("rollout", "apply", "-f", "rollout.yaml")
    run("freeze", "add", "deploy", "--until", "+2h", "--reason", "the database is being moved")
    refused = run("rollout", "start", "search", code=1)
    assert "A freeze window holds this" in refused.output
    assert "the database is being moved" in refused.output
    assert "on until" in run("freeze", "list").stdout
    assert "freeze 'deploy'" not in run("handover").stdout  # a draft is not under way
    assert "deploy: on until" in run("handover").stdout
    run("freeze", "change", "deploy", "--until", "+1h")
    assert "deploy: removed" in run("freeze", "remove", "deploy", "--reason", "it is done").stdout
    run("rollout", "start", "search")
    run("freeze", "add", "weekend", "--cron", "0 16 * * FRI", "--lasts", "64h", "--zone", "Europe/Berlin", "-r", "rest")
    [weekend] = said(run("freeze", "list", "--json"))
    assert (weekend["when"], weekend["next_ms"] is not None) == ("64h from each '0 16 * * FRI' (Europe/Berlin)", True)
    assert (
        "no time zone"
        in run("freeze", "add", "x", "--cron", "0 0 * * *", "--lasts", "1h", "--zone", "Mars", "-r", "y", code=1).output
    )


def test_what_is_planned_happens_by_itself_and_once(site: Site, run: Run) -> None:
    site.begin(stages=LONG)
    planned = said(run("schedule", "add", "set_share", ROLLOUT, "25%", "--at", "+2s", "--reason", "step", "--json"))
    assert f"{ROLLOUT} 25%" in run("schedule", "list").stdout
    until(lambda: site.rollout()["share_percent"] == 25.0, "the share was set")
    [done] = said(run("schedule", "list", "--all", "--json"))
    assert (done["id"], done["state"], [one["outcome"] for one in done["runs"]]) == (planned["id"], "done", ["done"])
    cancelled = said(run("schedule", "add", "disable", FLAG, "--cron", "0 3 * * *", "--json"))
    assert "cancelled" in run("schedule", "cancel", str(cancelled["id"])).stdout
    assert "nothing is planned" in run("schedule", "list").stdout


def test_somebody_is_invited_signs_in_acts_and_is_locked_out(site: Site, run: Run) -> None:
    site.begin(stages=LONG)
    link = run("user", "create", "ann@example.com", "--role", "operator", "--flag", "unified*").stdout.strip()
    assert link.startswith(f"{site.url}/setup/")
    with httpx.Client(base_url=site.url, headers={"Origin": site.url}) as browser:
        assert "Choose a password" in browser.get(link).text
        done = browser.post(link, data={"password": PASSWORD, "again": PASSWORD})
        assert (done.status_code, done.headers["location"]) == (303, "/")
        page = browser.get("/login")  # whoever is signed in may still see it
        assert page.status_code == 200
        assert browser.get("/api/v1/me").json()["name"] == "ann@example.com"
        assert browser.post(f"/api/v1/rollouts/{ROLLOUT}/pause", json={}).json()["code"] == "bad_csrf_token"
        token = re.search(r'name="csrf-token" content="([0-9a-f]{64})"', browser.get("/").text)
        headers = {"X-CSRF-Token": token[1]} if token else {}
        if token:  # the dashboard's pages carry it
            answer = browser.post(f"/api/v1/rollouts/{ROLLOUT}/pause", json={"reason": "a look"}, headers=headers)
            assert answer.json()["phase"] == "paused"
        assert "ann@example.com" in run("user", "list").stdout
        run("user", "disable", "ann@example.com", "--reason", "left")
        until(lambda: browser.get("/api/v1/tokens").status_code == 401, "she is out")


def test_a_token_is_rotated_with_an_overlap_and_ends_by_itself(site: Site, run: Run) -> None:
    old = run("token", "create", "--role", "viewer", "--name", "grafana", "--lasts", "1h").stdout.strip()
    new = run("token", "rotate", old[:15], "--overlap", "1s").stdout.strip()

    def works(token: str) -> bool:
        return httpx.get(f"{site.url}/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200

    assert works(new)
    until(lambda: not works(old), "the old one has ended")
    assert works(new)
    listed = {token["prefix"]: token for token in said(run("token", "list", "--json"))}
    assert listed[new[:15]]["last_used_ms"] is not None
    assert "configured admin: admin of all flags; may administer" in run("whoami").stdout


def test_the_audit_trail_is_exported_and_checked_on_this_machine(site: Site, run: Run, sqlite_url: str) -> None:
    site.begin(stages=LONG)
    head = said(run("audit", "verify", "--json"))["head"]
    run("flag", "disable", FLAG, "--reason", "now")
    assert "as they were written" in run("audit", "verify", "--head", head).stdout
    assert "flag.killed" in run("audit", "--action", "flag.killed").stdout
    run("audit", "export", "-o", "trail.jsonl")
    assert "as they were written" in run("audit", "verify", "-f", "trail.jsonl").stdout
    lines = Path("trail.jsonl").read_text(encoding="utf-8").splitlines()
    Path("changed.jsonl").write_text("\n".join([lines[0].replace("server", "nobody"), *lines[1:]]), encoding="utf-8")
    assert "entry 1 was changed" in run("audit", "verify", "-f", "changed.jsonl", code=1).output
    Path("short.jsonl").write_text("\n".join(lines[:1]), encoding="utf-8")
    assert "are missing" in run("audit", "verify", "-f", "short.jsonl", "--head", head, code=1).output
    _tamper(sqlite_url.removeprefix("sqlite:///"))
    assert "entry 2 was changed" in run("audit", "verify", code=1).output


def _tamper(path: str) -> None:
    """What somebody with the file in their hands can do."""
    connection = sqlite3.connect(path, timeout=20)
    connection.execute("DROP TRIGGER audit_no_update")
    connection.execute("UPDATE audit SET actor = 'somebody else' WHERE seq = 2")
    connection.commit()
    connection.close()


def test_files_are_applied_after_a_diff_and_applying_them_again_changes_nothing(site: Site, run: Run) -> None:
    folder = Path("declared/search")
    folder.mkdir(parents=True)
    for name, text in (("flag.yaml", FLAG_FILE), ("segment.yml", SEGMENT_FILE), ("rollout.yaml", ROLLOUT_FILE)):
        (folder / name).write_text(text, encoding="utf-8")
    dry = run("apply", "-f", "declared", "--dry-run", "--check", code=1)
    assert "+flag: new-search" in dry.stdout, dry.output
    assert "3 to create" in dry.stdout
    assert site.http.get("/api/v1/flags/new-search").status_code == 404
    assert "3 created" in run("apply", "-f", "declared", "--reason", "release 3").stdout
    audited = site.http.get("/api/v1/audit").json()["items"][0]["id"]
    assert "3 unchanged" in run("apply", "-f", "declared").stdout
    assert site.http.get("/api/v1/audit").json()["items"][0]["id"] == audited
    run("apply", "-f", "declared", "--dry-run", "--check")

    (folder / "flag.yaml").write_text(FLAG_FILE.replace("the next release", "release 3"), encoding="utf-8")
    changed = run("apply", "-f", "declared", "--dry-run")
    assert "-description: The search of the next release" in changed.stdout
    assert "+description: The search of release 3" in changed.stdout
    run("flag", "disable", "new-search")  # what a file does not name stays as it is
    assert "1 changed" in run("apply", "-f", "declared").stdout
    assert said(run("flag", "show", "new-search", "--json"))["enabled"] is False
    run("flag", "enable", "new-search")
    run("rollout", "start", "search")
    (folder / "rollout.yaml").write_text(ROLLOUT_FILE.replace("10%", "20%"), encoding="utf-8")
    refused = run("apply", "-f", "declared", code=1)
    assert "it is progressing; only a draft can change" in refused.output


def test_nothing_is_applied_where_a_file_does_not_fit(site: Site, run: Run) -> None:
    Path("declared").mkdir()
    Path("declared/a.yaml").write_text(SEGMENT_FILE, encoding="utf-8")
    Path("declared/b.yaml").write_text(ROLLOUT_FILE.replace("10m", "soon"), encoding="utf-8")
    refused = run("apply", "-f", "declared", code=1)
    assert "declared/b.yaml, line 7" in refused.output
    assert site.http.get("/api/v1/segments/staff").status_code == 404
    Path("declared/b.yaml").write_text(FLAG_FILE.replace('"off": ', "off: "), encoding="utf-8")
    assert (
        "line 2: A field is not acceptable: YAML reads a name here as False"
        in run("apply", "-f", "declared", code=1).output
    )
    Path("declared/b.yaml").write_text(SEGMENT_FILE, encoding="utf-8")
    assert "declares what declared/a.yaml declares too" in run("apply", "-f", "declared", code=1).output


@pytest.mark.usefixtures("run")
def test_keys_are_completed_from_the_controller(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.begin(stages=LONG)
    monkeypatch.setenv("_CANARY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "canary rollout pause uni")
    monkeypatch.setenv("COMP_CWORD", "3")
    done = CliRunner().invoke(build(lambda **_: 0), [], prog_name="canary")
    assert ROLLOUT in done.stdout.split()
    monkeypatch.setenv("CANARY_URL", "http://127.0.0.1:9")
    assert CliRunner().invoke(build(lambda **_: 0), [], prog_name="canary").stdout.strip() == ""
