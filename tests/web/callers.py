"""Callers of the Flask application, and the bodies that they send."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from prometheus_client import CollectorRegistry
from werkzeug.test import TestResponse

from controller.notify.notifier import read_address
from controller.storage import leases
from controller.storage.database import Database
from controller.storage.vault import Vault
from controller.storage.writer import IngestWriter
from controller.usecases import contacts
from controller.usecases.evaluation import Evaluated, evaluate
from controller.usecases.verification import check_rollback
from controller.web.channels import Channels
from controller.web.contacts import ContactBook
from controller.web.headcount import Headcount
from controller.web.pace import Pace
from controller.web.services import Services
from controller.web.state import FlagState
from tests.clocks import FakeClock

FLAG = {"key": "emitter", "variants": {"legacy": False, "unified": True}, "control": "legacy"}
MANIFEST: dict[str, Any] = {
    "rollout": "unified-emitter",
    "flag": "emitter",
    "control": "legacy",
    "canary": "unified",
    "stages": [{"share": "10%", "bake": "1m"}, {"share": "100%", "bake": "1m"}],
}
EVENT = "agent_started"


@dataclass
class Door:
    """The parts of a controller, around one database."""

    database: Database
    clock: FakeClock
    writer: IngestWriter
    changes: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        # Each look at its clock finds a second gone by, so that the database is asked every time.
        self.headcount = Headcount(self.database, self.clock, itertools.count(0, 10).__next__)
        self.flags = FlagState(self.database, itertools.count(0, 10).__next__)

    def services(self, *, open_reading: bool = False, **but: Any) -> Services:
        """What routes work with."""
        return Services(
            **{"pace": Pace(0, time.monotonic), "vault": Vault(), **but},
            read_address=read_address,
            refused=self.refused.append,
            flags=self.flags,
            headcount=self.headcount,
            contacts=ContactBook(lambda found: contacts.note(self.database, found), self.clock),
            channels=Channels(lambda: b"the key of these tests", self.clock),
            database=self.database,
            clock=self.clock,
            writer=self.writer,
            registry=self.registry,
            changed=lambda: self.changes.append(self.clock()),
            leader=lambda: None,
            open_reading=open_reading,
            hosts=frozenset({"localhost", "127.0.0.1", "::1"}),
        )

    def judge(self, key: str = "unified-emitter") -> Evaluated | None:
        """One evaluation, by whoever holds the leader lease."""
        with self.database.write() as connection:
            lease = leases.acquire(connection, "judge-1", leases.now(connection, self.clock()))
        assert lease is not None
        return next(iter(evaluate(self.database, [key], lease, self.clock())), None)

    def verify(self, key: str = "unified-emitter") -> None:
        """One look at how far the rollback has got."""
        with self.database.write() as connection:
            lease = leases.acquire(connection, "judge-1", leases.now(connection, self.clock()))
        assert lease is not None
        check_rollback(self.database, key, lease, self.clock())


class Caller:
    """Somebody who calls with one token, or with none."""

    def __init__(self, app: Flask, token: str | None) -> None:
        self._client = app.test_client()
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        """One request; a body that is not bytes goes as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        everything = {**self._headers, **(headers or {})}
        return self._client.open(path, method=method, data=data, headers=everything, buffered=True)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> TestResponse:
        """Read."""
        return self.call("GET", path, headers=headers)

    def post(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> TestResponse:
        """Do."""
        return self.call("POST", path, {} if body is None else body, headers)

    def patch(self, path: str, body: object) -> TestResponse:
        """Change."""
        return self.call("PATCH", path, body)

    def started(self, **changes: object) -> dict[str, Any]:
        """A flag with a rollout in its first stage; `changes` go into the manifest."""
        assert self.post("/api/v1/flags", FLAG).status_code == 201
        assert self.post("/api/v1/rollouts", {**MANIFEST, **changes}).status_code == 201
        answer = self.post("/api/v1/rollouts/unified-emitter/start")
        assert answer.status_code == 200, answer.text
        started: dict[str, Any] = answer.json
        return started


def packed(body: object) -> bytes:
    """JSON as gzip."""
    return gzip.compress(json.dumps(body).encode())


def report(batch: str = "batch-0001", **more: object) -> dict[str, Any]:
    """A report of a client that counts itself."""
    return {"batch": batch, "instance": "chat-1", "seq": 1, "counted_by": "client", **more}


def serves() -> dict[str, object]:
    """What an instance says that has answered the flag."""
    return {"flag": "emitter", "variant": "legacy", "exposures": 1}


def counts(variant: str, delivered: int, failed: int = 0, event: str = EVENT, **more: object) -> dict[str, Any]:
    """One row of counts."""
    tried = delivered + failed
    row = {"flag": "emitter", "variant": variant, "event_type": event, "attempts": tried}
    return {**row, "delivered": delivered, "failed": failed, **more}


def evidence(arm: str, failed: int, total: int, stream: str = EVENT, epoch: int = 1) -> dict[str, Any]:
    """One row of evidence, in whole units."""
    row = {"rollout": "unified-emitter", "epoch": epoch, "arm": arm, "stream": stream}
    return {**row, "failed": 1000 * failed, "total": 1000 * total}
