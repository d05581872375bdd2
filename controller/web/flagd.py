"""GET /flagd/flags.json: the definitions that flagd syncs over HTTP, or that an in-process provider reads as a file."""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from flask import Blueprint, Response

from controller.domain.flagd import document
from controller.domain.instances import Contact
from controller.domain.principals import Need
from controller.web.access import needs, principal, services
from controller.web.http import tagged

blueprint = Blueprint("flagd", __name__)


@blueprint.get("/flagd/flags.json")
@needs(Need.EXPORT)
def get_flags() -> Response:
    """All definitions; the same flags give the same bytes. `Canary-Not-Exported` counts what flagd cannot have."""
    here = services()
    current = here.flags.fresh()
    exported, refused = document(current.snapshot)
    body = msgspec.json.format(msgspec.json.encode(exported, order="sorted"), indent=2) + b"\n"
    here.contacts.note(Contact(f"flagd/{principal().name}", False, current.revision, here.clock()))
    response = Response(body, mimetype="application/json")
    response.headers["Canary-Not-Exported"] = str(len(refused))
    return tagged(response, blake2b(body, digest_size=16).hexdigest())
