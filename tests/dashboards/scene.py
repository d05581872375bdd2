"""One installation in which everything is going on that dashboards and rules speak of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import text

from controller.clock import system_clock
from controller.domain.tallies import Counts
from controller.domain.windows import WindowKey
from controller.storage import windows
from controller.storage.database import Database
from tests.builders import an_instance, manifest_document, read, report
from tests.flow.site import Site, until
from tests.notify.receivers import Receiver

LONG = [{"share": "50%", "bake": "1h"}, {"share": "100%", "bake": "1h"}]
EVENT = "agent_started"
#: A revision that no instance can be behind with.
UP_TO_DATE = 10**6


class Scene:
    """Two controllers on one PostgreSQL, and what has happened to them."""

    def __init__(self, database: Database, sites: list[Site], receiver: Receiver) -> None:
        self.database = database
        self.sites = sites
        self.site = sites[0]
        self.receiver = receiver
        self.batches = 0
        self.rings: set[str] = set()  # alerts that rang before anything was wrong
        self.headers = {"Authorization": f"Bearer {self.site.sdk_token()}"}

    def sql(self, statement: str, **values: Any) -> None:
        """What would otherwise take minutes or a fault to come about."""
        with self.database.write() as connection:
            connection.execute(text(statement), values)

    def begin(self, key: str, **changes: Any) -> None:
        """A live rollout of a flag of its own."""
        flag = f"flag-of-{key}"
        variants = {"legacy": False, "unified": True}
        self.site.post("/api/v1/flags", {"key": flag, "variants": variants, "control": "legacy"})
        facts = {"rollout": key, "flag": flag, "stages": LONG, "allow_overlap": True, **changes}
        self.site.post("/api/v1/rollouts", manifest_document(**facts))
        self.site.post(f"/api/v1/rollouts/{key}/start", {"reason": "test"})

    def reports(self, **more: Any) -> None:
        """A report to each controller: nine events delivered, one failed, one abandoned."""
        for site in self.sites:
            self.batches += 1
            row = {"flag": "flag-of-live", "variant": "unified", "event_type": EVENT, "attempts": 11}
            counts = [{**row, "delivered": 9, "failed": 1, "abandoned": 1, "age_ms": 2_000}]
            body = {"batch": f"batch-{self.batches:06d}", "instance": "app-1", "seq": self.batches}
            body |= {"counted_by": "client", "counts": counts, "revision": UP_TO_DATE, **more}
            answer = site.http.post("/sdk/v1/reports", json=body, headers=self.headers)
            assert answer.is_success or more, answer.text

    def traffic(self) -> None:
        """Reports that are taken, and reports that are refused."""
        self.reports()
        self.reports(counts=[{"flag": "unheard-of", "variant": "v", "event_type": "e"}])

    # The acts of the play, in their order.

    def convict_and_verify(self) -> None:
        """A rollback by the judge, verified, and called false by a person."""
        self.begin("convicted")
        report(self.database, read(self.database, "convicted"), failed=50)
        until(lambda: self.site.rollout("convicted")["phase"] == "rolled_back", "the rollback was verified")
        self.site.post("/api/v1/rollouts/convicted/label", {"right": False, "reason": "it was the load balancer"})

    def go_live(self) -> None:
        """A live rollout whose control has been bad, with attempts that nobody heard the outcome of."""
        self.begin("live")
        past = WindowKey("flag-of-live", "legacy", EVENT, system_clock() // 10_000 * 10_000 - 1_200_000)
        with self.database.write() as connection:
            windows.add(connection, {past: Counts(1_000, 900, 50)})

    def come_close(self) -> None:
        """Failures until the canary is close to its conviction, and not over it."""
        self.begin("close", unit="event")
        rollout = read(self.database, "close")

        def ratio() -> float:
            found = self.site.http.get("/api/v1/rollouts/close").json()
            assert found["phase"] == "progressing", "convicted already"
            evidence = (found.get("analysis") or {}).get("evidence") or []
            return max((float(one["percent_of_line"]) for one in evidence), default=0.0)

        for _ in range(40):
            before = ratio()
            report(self.database, rollout, failed=1, delivered=3, streams=(EVENT,))
            until(lambda before=before: ratio() != before, "the judge looked")
            if ratio() > 70:
                return
        raise AssertionError("never close")

    def wait_too_long(self) -> None:
        """A stage that has baked for days and is not proven."""
        self.begin("waits", patience="1h")
        self.sql("UPDATE rollouts SET stage_started_ms = stage_started_ms - 86400000 WHERE key = 'waits'")

    def confuse_the_judge(self) -> None:
        """A rollout whose constants are gone cannot be judged."""
        self.begin("broken")
        self.sql("UPDATE rollouts SET constants = 'gone' WHERE key = 'broken'")

    def roll_back_with_a_straggler(self) -> None:
        """One live instance is behind and one serves the canary still; one vanished in the middle of its work."""
        now_ms = system_clock()
        self.sql("UPDATE snapshots SET at_ms = at_ms - 120000")
        an_instance(self.database, "behind", now_ms, revision=1)
        an_instance(self.database, "exposed", now_ms, revision=UP_TO_DATE)
        an_instance(self.database, "vanished", now_ms - 300_000, attempted=100, delivered=80, pending=15, revision=9)
        arms = "INSERT INTO instance_arms (instance, flag_key, variant, open_runs, exposures, since_applied)"
        self.sql(f"{arms} VALUES ('exposed', 'flag-of-stuck', 'unified', 0, 9, 3)")
        self.site.post("/api/v1/rollouts/stuck/rollback", {"reason": "test"})
        self.sql("UPDATE rollouts SET decided_ms = decided_ms - 90000 WHERE key = 'stuck'")
        alert = "INSERT INTO alerts (rollout, name, message, since_ms) VALUES ('stuck', :name, 'm', 1)"
        for name in ("margin/abandoned", "control_below_floor", "sample_ratio"):
            self.sql(alert, name=name)

    def break_a_channel(self) -> None:
        """A channel that refuses everything: some notices wait, one has waited for long, one was given up."""
        self.receiver.answer = lambda _: (500, {}, b"out of order")
        body = {"name": "ops", "kind": "webhook", "address": self.receiver.url}
        self.site.post("/api/v1/notifications/channels", body)
        for _ in range(3):
            self.site.post("/api/v1/notifications/channels/ops/test", {})
        until(lambda: len(self.receiver.arrived) >= 3, "each was tried")
        ids = "(SELECT {}(id) FROM deliveries)"
        self.sql(f"UPDATE deliveries SET state = 'dead' WHERE id = {ids.format('min')}")
        self.sql(f"UPDATE deliveries SET since_ms = since_ms - 600000 WHERE id = {ids.format('max')}")

    def lose_details(self) -> None:
        """Clients say that they left things out, and that their breakers tripped."""
        self.sql("UPDATE instances SET dropped = 7, trips = 2 WHERE id = 'exposed'")

    def hold_still(self) -> None:
        """Who is live stays so, however long it takes a slow machine to look at everything."""
        self.sql("UPDATE instances SET last_contact_ms = last_contact_ms + 3600000 WHERE id <> 'vanished'")

    def take_the_database_away(self, name: str, admin: Any) -> None:
        """Nobody gets in any more."""
        admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def log(self, folder: Path) -> str:
        """What the controllers have written."""
        return "".join(path.read_text(encoding="utf-8") for path in folder.glob("controller*.log"))
