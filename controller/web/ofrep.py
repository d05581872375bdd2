"""OFREP 0.3: any OpenFeature client in any language evaluates flags here, one by one or all at once."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response, request

from controller.domain.errors import Refusal
from controller.domain.instances import Contact
from controller.domain.principals import Need
from controller.web.access import needs, open_to_all, principal, services
from controller.web.cors import cors_headers
from controller.web.evaluations import FLAGS, MOST_BYTES, Reply, every, one
from controller.web.http import crashed, headers_of, raw_body
from controller.web.ofrep_forms import refusal_body
from controller.web.state import Current

blueprint = Blueprint("ofrep", __name__)


@blueprint.post(f"{FLAGS}/<path:key>")
@needs(Need.EVALUATE)
def evaluate_one(key: str) -> Response:
    """One flag for one user."""
    current, age_s = _current()
    return _response(one(current, age_s, key, raw_body(MOST_BYTES)))


@blueprint.post(FLAGS)
@needs(Need.EVALUATE)
def evaluate_all() -> Response:
    """All flags for one user; 304 while the client holds exactly these answers."""
    current, age_s = _current()
    held = request.headers.get("If-None-Match")
    return _response(every(current, age_s, raw_body(MOST_BYTES), services().channels, held))


@blueprint.route(f"{FLAGS}/<path:key>", methods=["OPTIONS"])
@blueprint.route(FLAGS, methods=["OPTIONS"], defaults={"key": ""})
@open_to_all
def allow(key: str) -> Response:  # noqa: ARG001 - the routes name it
    """What a page may send here."""
    headers = cors_headers(request.headers.get("Origin"), services().origins, preflight=True)
    return Response(status=204, headers=headers)


@blueprint.route("/ofrep/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@open_to_all
def nothing(rest: str) -> Response:  # noqa: ARG001 - the route names it
    """What is not part of the protocol, in the form that its clients read."""
    details = "OFREP is answered at POST /ofrep/v1/evaluate/flags and /ofrep/v1/evaluate/flags/KEY"
    return _json(msgspec.json.encode({"errorCode": "GENERAL", "errorDetails": details}), 404)


@blueprint.errorhandler(Refusal)
def refuse(refusal: Refusal) -> Response:
    """Any refusal in the protocol's form."""
    response = _json(refusal_body(refusal, (request.view_args or {}).get("key")), refusal.status)
    response.headers.update(headers_of(refusal))
    return response


@blueprint.errorhandler(Exception)
def refuse_crash(error: Exception) -> Response:
    """Whatever else went wrong."""
    return refuse(crashed(error))


@blueprint.after_request
def tell_pages(response: Response) -> Response:
    """Let pages of allowed origins read the answer."""
    if request.method != "OPTIONS":
        response.headers.update(cors_headers(request.headers.get("Origin"), services().origins))
    return response


def _current() -> tuple[Current, float]:
    """What to answer from; asks the database again where a stream has told the client of something newer."""
    here, who = services(), principal().name
    here.pace.admit(who)
    current, age_s = here.flags.held()
    wanted = request.args.get("flagConfigEtag", "")
    if wanted.isascii() and wanted.isdecimal() and len(wanted) < 17 and int(wanted) > current.revision:
        here.flags.changed()
        current, age_s = here.flags.held()
    here.contacts.note(Contact(f"ofrep/{who}", False, current.revision, here.clock()))
    return current, age_s


def _response(reply: Reply) -> Response:
    response = _json(reply.body, reply.status)
    if reply.etag:
        response.headers["ETag"] = reply.etag
    return response


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, mimetype="application/json")
