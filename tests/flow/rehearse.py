"""An upgrade and the way back, rehearsed with a real release from before: the last commit with the schema before.

    python -m tests.flow.rehearse [--from COMMIT]

needs the project's history, and brings its own PostgreSQL. One controller changes its release again and again, on the
schema before and on the newest one, under a live rollout and an application that reports; the exit code is 1 if a
release could not go on with what the other one had written, or if anything acknowledged was lost.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from controller.storage import schema
from controller.usecases.replay import replay
from tests.builders import ROLLOUT
from tests.flow import releases
from tests.flow.releases import ROOT, canary
from tests.flow.site import Site, until
from tests.flow.traffic import EVENTS, Traffic, evidence_of, ledger_of
from tests.postgres import PostgresServer

_STAGES = [{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}]
_PAGES = ("/api/v1/flags", "/api/v1/rollouts", f"/api/v1/rollouts/{ROLLOUT}/explain", "/api/v1/audit", "/metrics")


def judged(site: Site) -> int:
    """The last slot of the ledger."""
    slots = ledger_of(site).slots
    return slots[-1].seq if slots else 0


def goes_on(site: Site, number: int) -> None:
    """The release that runs now reads what is there, writes, judges and decides nothing that nobody asked for."""
    for page in _PAGES:
        site.http.get(page).raise_for_status()
    site.post("/api/v1/flags", {"key": f"flag-{number}", "variants": {"off": False, "on": True}, "control": "off"})
    for verb in ("pause", "resume"):
        site.post(f"/api/v1/rollouts/{ROLLOUT}/{verb}", {"reason": f"step {number}"})
    before = judged(site)
    until(lambda: judged(site) > before, "it judges")
    assert site.rollout()["phase"] == "progressing", site.rollout()["message"]


def change_over(site: Site, tree: Path, words: str, number: int) -> None:
    """The other release takes over address and lease."""
    assert site.stop() == 0
    site.tree = tree
    site.start()
    goes_on(site, number)
    print(f"ok: {words}", flush=True)


def checked(tree: Path, url: str) -> None:
    """`canary db check` of a release lets it start."""
    done = canary(tree, "db", "check", "--database-url", url)
    print(f"    canary db check: {' '.join(done.stdout.split())}", flush=True)
    assert done.returncode == 0, done.stderr


def rehearse(past: Path, url: str, folder: Path) -> None:
    """The whole way, there and back."""
    assert canary(past, "db", "upgrade", "--database-url", url).returncode == 0
    site = Site(url, folder)
    site.tree = past
    site.start()
    site.begin(stages=_STAGES)
    traffic = Traffic(site, pause_s=0.02)
    traffic.start()
    try:
        until(lambda: judged(site) > 0, "the first evidence is judged")
        goes_on(site, 1)
        checked(ROOT, url)
        change_over(site, ROOT, "this release on the schema before", 2)
        change_over(site, past, "the release before takes over what this one has written", 3)
        done = canary(ROOT, "db", "upgrade", "--database-url", url)
        assert done.returncode == 0, done.stderr
        goes_on(site, 4)
        print(f"ok: upgraded while the release before runs: {done.stdout.strip()}", flush=True)
        checked(past, url)
        change_over(site, past, "the release before starts on the newest schema", 5)
        change_over(site, ROOT, "this release on its own schema", 6)
        change_over(site, past, "back to the release before", 7)
        change_over(site, ROOT, "and upgraded again", 8)
        assert traffic.finish(), "everything was acknowledged"
        sent = traffic.users * len(EVENTS)
        until(lambda: evidence_of(ledger_of(site)) == sent, f"{sent} outcomes are in the ledger")
        print(f"ok: {sent} outcomes sent, as many in the ledger", flush=True)
        replayed(site)
    finally:
        site.close()


def replayed(site: Site) -> None:
    """Every analysis of either release comes out the same in this one."""
    ledger = ledger_of(site)
    found = list(replay(ledger.rounds, ledger.slots))
    assert not [one for one in found if one.differs], found
    print(f"ok: {len(found)} analyses of both releases replay bit for bit", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="commit", help="the release before; else the last commit with the schema before")
    commit = parser.parse_args().commit or releases.before_the_newest_migration()
    with tempfile.TemporaryDirectory() as name, PostgresServer() as server:
        folder = Path(name)
        past = releases.past_release(folder / "past", commit)
        print(f"from {commit} to this release, schema {schema.head_revision()}", flush=True)
        server.execute("CREATE DATABASE rehearsal")
        rehearse(past, server.url("rehearsal"), folder)


if __name__ == "__main__":
    main()
