"""A controller's database with rollouts in it, written through the use cases and the storage that the controller uses.

For benchmarks and pictures of the dashboard: time is the scene's own, and the same seed gives the same scene.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from controller.domain.flags import Flag
from controller.domain.instances import Instance, InstanceArm
from controller.domain.leases import Lease
from controller.domain.orders import Order
from controller.domain.tallies import Counts, EvidenceKey, Proof, Tally
from controller.domain.windows import WindowKey, window_start
from controller.storage import groups, leases, rollouts, schema, snapshots
from controller.storage.batches import Batch
from controller.storage.database import Database
from controller.storage.outcomes import Outcome
from controller.usecases import flags, starting
from controller.usecases import rollouts as commands
from controller.usecases.evaluation import evaluate
from controller.usecases.verification import check_rollback
from controller.wire.manifests import manifest_of

TICK_MS = 10_000
HOLDER = "controller-1"
_REASONS = ("no acknowledgement within 5 s", "socket closed by peer", "HTTP 502 from the gateway")
_STAGES = [
    {"share": share, "bake": bake} for share, bake in (("5%", "10m"), ("25%", "20m"), ("50%", "30m"), ("100%", "30m"))
]


class Scene:
    """One database and the time in it."""

    def __init__(self, url: str, begin_ms: int, environment: str = "production", seed: int = 1) -> None:
        self.database = Database(url)
        schema.ensure(self.database, environment=environment)
        self.now_ms = begin_ms
        self.chance = random.Random(seed)
        self._batches = 0
        with self.database.write() as connection:
            if snapshots.latest(connection) is None:
                snapshots.publish(connection, begin_ms)

    def order(self, actor: str, reason: str) -> Order:
        """What somebody orders now."""
        return Order(actor, self.now_ms, reason)

    def flag(self, key: str, description: str = "", control: str = "legacy", canary: str = "unified") -> None:
        """A flag with two variants."""
        at_ms = self.now_ms
        flag = Flag(
            key, {control: False, canary: True}, control, control, True, description, created_ms=at_ms, updated_ms=at_ms
        )
        flags.create(self.database, flag, actor="ann@example.org", reason="new path")

    def draft(self, key: str, flag: str, **more: Any) -> None:
        """A rollout that has not been started."""
        document = {"rollout": key, "flag": flag, "control": "legacy", "canary": "unified", "stages": _STAGES, **more}
        manifest = manifest_of({"allow_overlap": True, **document})
        commands.apply(self.database, manifest, self.order("ann@example.org", "planned with the team"))

    def start(self, key: str, reason: str = "as planned") -> None:
        """Its first stage."""
        starting.start(self.database, key, self.order("ann@example.org", reason))

    def traffic(
        self, key: str, canary: float, *, control: float = 0.998, per_tick: int = 60, slow: float = 1.0
    ) -> None:
        """Ten seconds of events on both arms, each delivered with its rate; `slow` stretches the canary's times."""
        with self.database.read() as connection:
            rollout = rollouts.get(connection, key)
        share = rollout.weight / 10_000
        counts: dict[WindowKey, Counts] = {}
        proofs: dict[EvidenceKey, Proof] = {}
        raw: list[Outcome] = []
        arms = (("control", rollout.control, control, 1 - share), ("canary", rollout.canary, canary, share))
        for arm, variant, rate, part in arms:
            tried = max(int(per_tick * part), 1) if part else 0
            for event in rollout.plan.events:
                failed = sum(self.chance.random() > rate for _ in range(tried))
                times = [
                    int(self.chance.gauss(38, 9) * (slow if arm == "canary" else 1)) for _ in range(tried - failed)
                ]
                window = WindowKey(rollout.flag_key, variant, event, window_start(self.now_ms - 5_000))
                counts[window] = Counts(tried, tried - failed, failed, 0, 0, sum(times))
                users = tuple(f"{self.chance.getrandbits(32):08x}" for _ in range(min(3, failed)))
                proof = Proof(Tally(1000 * failed, 1000 * tried), users)
                proofs[EvidenceKey(key, rollout.epoch, arm, event)] = proof
                raw += [self._outcome(rollout.flag_key, variant, event, "delivered", ms) for ms in times[:4]]
                raw += [self._outcome(rollout.flag_key, variant, event, "failed", None) for _ in range(failed)]
        sender = Instance("chat-01", self.now_ms, seq=0)
        self._write([Batch("", sender, windows=counts, evidence=proofs, outcomes=tuple(raw))])

    def clients(self, flags_served: list[str], count: int, version: str = "2.4.1", *, behind: int = 0) -> None:
        """Live processes that serve these flags; the last `behind` of them have not applied the newest revision."""
        with self.database.read() as connection:
            newest = snapshots.latest_revision(connection)
        self._write([self._client(at, flags_served, newest, version, late=at >= count - behind) for at in range(count)])

    def judge(self, keys: list[str]) -> None:
        """One look of the judge, and of whoever verifies."""
        lease = self._lease()
        evaluate(self.database, keys, lease, self.now_ms)
        for key in keys:
            check_rollback(self.database, key, lease, self.now_ms)

    def rest(self) -> None:
        """Give the lease up, so that a controller can begin."""
        with self.database.write() as connection:
            leases.release(connection, HOLDER)

    def close(self) -> None:
        """Give the database back."""
        self.database.close()

    def _client(self, at: int, flags_served: list[str], newest: int, version: str, *, late: bool) -> Batch:
        one = Instance(
            id=f"chat-{at + 1:02}",
            last_contact_ms=self.now_ms,
            revision=newest - 1 if late else newest,
            applied_ms=self.now_ms - 400,
            seq=self._batches + at + 1,
            first_seen_ms=self.now_ms - 3_600_000,
            app_version=version,
            region="eu-central",
            sdk="python 0.1.0",
            attempted=12_000 + 37 * at,
            delivered=11_940 + 37 * at,
            failed=60,
        )
        seen_ms = self.now_ms - (900 if late else 4_000)
        arms = [InstanceArm(one.id, flag, "unified", int(late), 40, 0, seen_ms) for flag in flags_served]
        return Batch("", one, tuple(arms))

    def _write(self, batches: list[Batch]) -> None:
        named = []
        for batch in batches:
            self._batches += 1
            named.append(replace(batch, id=f"scene-{self._batches:06}"))
        with self.database.write() as connection:
            groups.write(connection, named)

    def _lease(self) -> Lease:
        with self.database.write() as connection:
            found = leases.acquire(connection, HOLDER, leases.now(connection, self.now_ms))
        if found is None:
            raise RuntimeError("another process evaluates this database")
        return found

    def _outcome(self, flag: str, variant: str, event: str, what: str, latency_ms: int | None) -> Outcome:
        at_ms = self.now_ms - self.chance.randint(0, TICK_MS - 1)
        user, instance = f"{self.chance.getrandbits(64):016x}", f"chat-{self.chance.randint(1, 12):02}"
        one = Outcome(flag, variant, event, what, at_ms, instance, latency_ms=latency_ms, user_hash=user, run_hash=user)
        return one if what == "delivered" else one._replace(reason=self.chance.choice(_REASONS))
