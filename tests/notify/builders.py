"""Channels and jobs, without what a test does not want to talk about."""

from __future__ import annotations

from typing import Any

from controller.domain.notices import Notice, compose
from controller.storage.channels import Channel
from controller.storage.database import Database
from controller.storage.deliveries import Delivery
from controller.storage.vault import Vault
from controller.usecases import notifications
from controller.usecases.notifications import NewChannel
from controller.usecases.posting import Job
from tests.builders import T0, order

SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGVzZSB0ZXN0cw=="


def a_channel(
    database: Database, vault: Vault, address: str, name: str = "ops", *, kind: str = "webhook", **more: Any
) -> str:
    """A channel that hears of everything that happens to rollouts, and of their alerts."""
    secret = SECRET if kind == "webhook" else ""
    wanted = NewChannel(name, kind, address, secret, **more)
    notifications.create(database, vault, lambda _kind, address: address[:8], wanted, order())
    notifications.subscribe(database, name, "", (), order())
    return name


def a_job(address: str, *, kind: str = "rollout.rollback", **fields: Any) -> Job:
    """One attempt."""
    said = {"message": "agent_started: 12 of 40 failed", "actor": "judge", **fields}
    notice = Notice(7, T0, kind, "rollout/unified-emitter", **said)
    channel = Channel("ops", "webhook", "", "", "")
    delivery = Delivery(1, 7, "ops", kind, notice.topic, "sending", False, 1, T0, T0, T0, T0, None, "")
    return Job(delivery, notice, channel, compose(notice, "prod"), address, SECRET, "msg_0123456789abcdef", "prod")
