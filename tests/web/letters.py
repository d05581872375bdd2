"""Deliveries that nobody took, without a day of trying."""

from __future__ import annotations

from sqlalchemy import update

from controller.domain.deliveries import State
from controller.storage import leases
from controller.storage.tables import deliveries
from controller.usecases import posting
from controller.usecases.views.notifications import notifications
from controller.wire.api.notifications import DeliveryView
from tests.web.callers import Door


def all_dead(door: Door, error: str = "HTTP 410: gone") -> list[DeliveryView]:
    """Put what waits in the outbox into its lines, and give all of it up."""
    with door.database.write() as connection:
        lease = leases.acquire(connection, "judge-1", leases.now(connection, door.clock()))
    assert lease is not None
    posting.route(door.database, lease, door.clock())
    given_up = {"state": State.DEAD.value, "attempts": 3, "settled_ms": door.clock(), "error": error}
    with door.database.write() as connection:
        connection.execute(update(deliveries).values(**given_up))
        return notifications(connection, door.clock()).dead
