"""What clients talk to: GET /sdk/v1/snapshot and POST /sdk/v1/reports; the stream is served beside Flask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, request
from sqlalchemy import Connection

from controller.domain.errors import Unavailable
from controller.domain.principals import Need
from controller.domain.snapshots import PublishedRollout
from controller.storage import snapshots
from controller.usecases.reports import prepare
from controller.web.access import needs, services
from controller.web.contacts import note_contact
from controller.web.http import answer, body, tagged
from controller.wire.reports import MOST_BYTES, Report
from controller.wire.snapshots import from_wire

_NEWEST = "controller.newest"

blueprint = Blueprint("sdk", __name__)


@dataclass(frozen=True, slots=True)
class Current:
    """The newest snapshot, ready to send and ready to check reports against."""

    revision: int
    body: bytes
    etag: str
    variants: dict[str, frozenset[str]]
    rollouts: dict[str, PublishedRollout]


class Newest:
    """Reads the newest snapshot once per revision; whether there is a newer one is asked of the database each time."""

    def __init__(self) -> None:
        self._held: Current | None = None

    def get(self, connection: Connection) -> Current:
        """The newest snapshot.

        Raises:
            Unavailable: nothing has been published yet.
        """
        held = self._held
        if held is None or held.revision != snapshots.latest_revision(connection):
            self._held = held = _read(connection)
        return held


@blueprint.record_once
def _prepare(state: Any) -> None:
    state.app.extensions[_NEWEST] = Newest()


@blueprint.get("/sdk/v1/snapshot")
@needs(Need.REPORT)
def get_snapshot() -> Response:
    """All flags at the newest revision; 304 while the client holds it."""
    current = _current()
    headers = request.headers
    note_contact(services(), headers.get("Canary-Instance"), headers.get("Canary-Reports"), current.revision)
    response = Response(current.body, mimetype="application/json")
    response.headers["Canary-Revision"] = str(current.revision)
    return tagged(response, current.etag)


@blueprint.post("/sdk/v1/reports")
@needs(Need.REPORT)
def take_report() -> Response:
    """A batch of outcomes; answered once it is committed, and counted once however often it is sent."""
    here = services()
    report = body(Report, MOST_BYTES)
    current = _current()
    batch = prepare(report, here.clock(), current.variants, current.rollouts)
    return answer(here.writer.submit(batch))


def _current() -> Current:
    newest: Newest = current_app.extensions[_NEWEST]
    with services().database.read() as connection:
        return newest.get(connection)


def _read(connection: Connection) -> Current:
    found = snapshots.latest(connection)
    if found is None:
        raise Unavailable("no snapshot has been published yet; ask again")
    flags = from_wire(found.body).flags
    return Current(
        revision=found.revision,
        body=found.body,
        etag=found.etag,
        variants={key: frozenset(flag.variants) for key, flag in flags.items()},
        rollouts={key: flag.rollout for key, flag in flags.items() if flag.rollout is not None},
    )
