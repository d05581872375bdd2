"""What clients talk to: GET /sdk/v1/snapshot and POST /sdk/v1/reports; the stream is served beside Flask."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, request
from sqlalchemy import Connection

from controller.domain.errors import Invalid, Unavailable
from controller.domain.principals import Need
from controller.domain.snapshots import PublishedRollout
from controller.storage import snapshots
from controller.usecases.reports import prepare, seen
from controller.web.access import needs, services
from controller.web.http import answer, body, tagged
from controller.wire.reports import MOST_BYTES, Report
from controller.wire.snapshots import from_wire

_log = logging.getLogger(__name__)
_NEWEST = "controller.newest"
_MOST_NAME = 128

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
    _note_contact(current.revision)
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


def _note_contact(revision: int) -> None:
    """Remember that an instance was here; one that reports (`Canary-Reports: 1`) has confirmed nothing by that.

    What a client is told matters more than what is remembered of it, so a busy database costs the note alone.
    """
    instance, reports = request.headers.get("Canary-Instance", ""), request.headers.get("Canary-Reports")
    if not instance or reports not in {"0", "1"}:
        return
    if len(instance) > _MOST_NAME:
        raise Invalid(f"an instance has a name of at most {_MOST_NAME} characters", field="Canary-Instance")
    here = services()
    try:
        seen(here.database, instance, revision, reports=reports == "1", now_ms=here.clock())
    except Unavailable as error:
        _log.warning("the contact of instance %r was not written: %s", instance, error)
