"""The frame of the dashboard: its blueprint, how pages and their live parts are drawn, and how refusals look."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from flask import Blueprint, Response, current_app, g, make_response, render_template, request, send_from_directory

from controller.domain.errors import Refusal
from controller.domain.principals import Need, Principal
from controller.usecases.views.overview import standing
from controller.web.access import open_to_all, services
from controller.web.http import refuse
from controller.web.ops.sharing import Shared
from controller.web.ops.words import FILTERS

_STATIC = Path(__file__).parent / "static"

blueprint = Blueprint("ops", __name__, template_folder="templates")
_SHARED = "canary.ops.shared"


@blueprint.record_once
def _prepare(state: Any) -> None:
    state.app.jinja_env.filters.update(FILTERS)
    state.app.jinja_env.lstrip_blocks = True
    state.app.jinja_env.globals.update(assets_version=_assets_version(), may=may)
    state.app.extensions[_SHARED] = Shared()


def may(need: str, flag: str = "") -> bool:
    """Whether whoever looks may do this (with this flag); pages leave out what would only be refused."""
    who = _who()
    return who is not None and who.may(Need(need)) and (not flag or who.scope.covers(flag))


@blueprint.get("/static/<path:name>")
@open_to_all
def static_file(name: str) -> Response:
    """Style sheet, script and icon; they hold no secret, and a page that asks for a password needs them too."""
    response = send_from_directory(_STATIC, name, conditional=True)
    if request.args.get("v") == _assets_version():  # another version has another address
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


@blueprint.errorhandler(Refusal)
def show_refusal(refusal: Refusal) -> Response:
    """A refusal as a page (for a dialog: the part inside it), with the status and headers that programs get."""
    response = refuse(refusal)
    template = "_refusal.html" if is_part() else "refusal.html"
    page = make_response(render_template(template, refusal=refusal), response.status_code)
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in response.headers:
            page.headers[name] = response.headers[name]
    return page


def is_part() -> bool:
    """Whether the script asks for a part of a page, to put into the one that is open."""
    return "HX-Request" in request.headers


def page(template: str, **values: Any) -> str:
    """A whole page, with the standing of the controller on top."""
    here = services()
    with here.database.read() as connection:
        now = standing(connection, here.clock())
    return render_template(template, standing=now, now_ms=here.clock(), **values)


def live(template: str, refresh: str, **values: Any) -> str:
    """A part around which the script finds where to fetch it again, and what it looked like."""
    content = render_template(template, now_ms=services().clock(), **values)
    return render_template("_live.html", content=content, refresh=refresh, seen=_digest(content))


def fragment(draw: Callable[[], str]) -> Response:
    """A live part, drawn once for all who look at it after the same change; 204 while it is what the page shows."""
    change, who = request.args.get("change", ""), _who()
    rights = None if who is None else (who.role, who.scope)
    shared: Shared = current_app.extensions[_SHARED]
    drawn = shared.get((request.full_path.partition("seen=")[0], rights), change, draw)
    if f'data-seen="{request.args.get("seen")}"' in drawn[:400]:
        return Response(status=204)
    return make_response(drawn)


def confirm(address: str, *, refusal: Refusal | None, **words: Any) -> Response:
    """The confirmation of an act that is no rollout's: a question, what will happen, and a reason."""
    values = {"address": address, "refusal": refusal, **words}
    drawn = render_template("_confirm.html", **values) if is_part() else page("confirm.html", **values)
    return make_response(drawn, 200 if refusal is None else refusal.status)


def done(where: str) -> Response:
    """The answer to an act that has been done: the page that shows it."""
    if is_part():
        return Response(status=204, headers={"HX-Redirect": where})
    return Response(status=303, headers={"Location": where})


def _who() -> Principal | None:
    """Who is signed in; nobody where reading is open to all."""
    return None if g.get("anonymous", False) else cast("Principal | None", g.get("principal"))


def _digest(content: str) -> str:
    return blake2b(content.encode(), digest_size=8).hexdigest()


def _assets_version() -> str:
    stamp = _STATIC / "dist" / "stamp"
    return stamp.read_text(encoding="ascii").strip()[:12] if stamp.is_file() else "none"
