"""The dashboard's pages and the fragments that keep them live."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request, send_from_directory

from controller.domain.errors import Refusal
from controller.domain.principals import Need
from controller.storage import rollouts
from controller.usecases.views.instances import instance_board
from controller.usecases.views.overview import card, overview, standing
from controller.web.access import needs, open_to_all, services
from controller.web.http import refuse
from controller.web.ops.words import FILTERS

_FOLDER = Path(__file__).parent
_STATIC = _FOLDER / "static"
#: Acts on the page of one rollout.
_ACTS = 200

blueprint = Blueprint("ops", __name__, template_folder="templates")


@blueprint.record_once
def _prepare(state: Any) -> None:
    state.app.jinja_env.filters.update(FILTERS)
    state.app.jinja_env.globals["assets_version"] = _assets_version()


@blueprint.get("/")
@needs(Need.READ)
def show_overview() -> str:
    """Every rollout on one page."""
    found = _overview()
    return render_template("overview.html", standing=found["page"].standing, body=_live("_overview.html", **found))


@blueprint.get("/fragments/overview")
@needs(Need.READ)
def fragment_overview() -> Response:
    """The live part of the first page; 204 while it is what the page shows already (`?seen=`)."""
    return _unless_seen("_overview.html", **_overview())


@blueprint.get("/rollouts/<key:key>")
@needs(Need.READ)
def show_rollout(key: str) -> str:
    """One rollout with its whole history."""
    here = services()
    with here.database.read() as connection:
        now = standing(connection, here.clock())
    return render_template("rollout.html", key=key, standing=now, body=_live("_rollout.html", **_rollout(key)))


@blueprint.get("/fragments/rollouts/<key:key>")
@needs(Need.READ)
def fragment_rollout(key: str) -> Response:
    """The live part of a rollout's page."""
    return _unless_seen("_rollout.html", **_rollout(key))


@blueprint.get("/instances")
@needs(Need.READ)
def show_instances() -> str:
    """Every client process: what it has applied, when it was heard last, and what is odd about it."""
    here = services()
    with here.database.read() as connection:
        now = standing(connection, here.clock())
    return render_template("instances.html", standing=now, body=_live("_instances.html", **_instances()))


@blueprint.get("/fragments/instances")
@needs(Need.READ)
def fragment_instances() -> Response:
    """The live part of the instances' page."""
    return _unless_seen("_instances.html", **_instances())


@blueprint.get("/static/<path:name>")
@open_to_all
def static_file(name: str) -> Response:
    """Style sheet, script and icon; they hold no secret, and a page that asks for a password needs them too."""
    return send_from_directory(_STATIC, name, conditional=True)


@blueprint.errorhandler(Refusal)
def show_refusal(refusal: Refusal) -> Response:
    """A refusal as a page, with the status and headers that programs get."""
    response = refuse(refusal)
    page = make_response(render_template("refusal.html", refusal=refusal), response.status_code)
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in response.headers:
            page.headers[name] = response.headers[name]
    return page


def _overview() -> dict[str, Any]:
    here = services()
    with here.database.read() as connection:
        return {"page": overview(connection, here.clock()), "refresh": "/fragments/overview"}


def _rollout(key: str) -> dict[str, Any]:
    here = services()
    with here.database.read() as connection:
        found = card(connection, rollouts.get(connection, key), here.clock(), _ACTS)
    return {"card": found, "refresh": f"/fragments/rollouts/{key}"}


def _instances() -> dict[str, Any]:
    here = services()
    with here.database.read() as connection:
        return {"board": instance_board(connection, here.clock()), "refresh": "/fragments/instances"}


def _live(template: str, **values: Any) -> str:
    """A fragment around which the script finds where to fetch it again, and what it looked like."""
    content = render_template(template, **values)
    return render_template("_live.html", content=content, refresh=values["refresh"], seen=_digest(content))


def _unless_seen(template: str, **values: Any) -> Response:
    content = render_template(template, **values)
    if request.args.get("seen") == _digest(content):
        return Response(status=204)
    page = render_template("_live.html", content=content, refresh=values["refresh"], seen=_digest(content))
    return make_response(page)


def _digest(content: str) -> str:
    return blake2b(content.encode(), digest_size=8).hexdigest()


def _assets_version() -> str:
    stamp = _STATIC / "dist" / "stamp"
    return stamp.read_text(encoding="ascii").strip()[:12] if stamp.is_file() else "none"
