"""Who was here: clients that fetch a snapshot or hold a stream, by the name they give."""

from __future__ import annotations

import logging

from controller.domain.errors import Invalid, Unavailable
from controller.usecases.reports import seen
from controller.web.services import Services

_log = logging.getLogger(__name__)
_MOST_NAME = 128


def note_contact(services: Services, instance: str | None, reports: str | None, revision: int) -> None:
    """Remember that an instance was here; one that reports has confirmed nothing by that.

    `instance` and `reports` are the headers Canary-Instance and Canary-Reports (0 or 1). What a client is told matters
    more than what is remembered of it, so a busy database costs the note alone.

    Raises:
        Invalid: the name is too long.
    """
    if not instance or reports not in {"0", "1"}:
        return
    if len(instance) > _MOST_NAME:
        raise Invalid(f"an instance has a name of at most {_MOST_NAME} characters", field="Canary-Instance")
    try:
        seen(services.database, instance, revision, reports=reports == "1", now_ms=services.clock())
    except Unavailable as error:
        _log.warning("the contact of instance %r was not written: %s", instance, error)
