"""The first page: every rollout, what needs a person first."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, request

from controller.domain.principals import Need
from controller.usecases.views.overview import MOST_ENDED, overview
from controller.web.access import needs, services
from controller.web.http import number
from controller.web.ops.site import blueprint, fragment, live, page

_LONGEST_SEARCH = 200
_MOST = 2_000


@blueprint.get("/")
@needs(Need.READ)
def show_overview() -> str:
    """Every rollout on one page."""
    return page("overview.html", body=_overview(), wanted=_wanted())


@blueprint.get("/fragments/overview")
@needs(Need.READ)
def fragment_overview() -> Response:
    """The live part of the first page."""
    return fragment(_overview)


def _overview() -> str:
    here, wanted, ended = services(), _wanted(), number("ended", MOST_ENDED, 0, _MOST)
    with here.database.read() as connection:
        found = overview(connection, here.clock(), wanted, ended)
    given = {"q": wanted} if wanted else {}
    given |= {"ended": str(ended)} if ended != MOST_ENDED else {}
    refresh = f"/fragments/overview?{urlencode(given)}" if given else "/fragments/overview"
    more = urlencode({**given, "ended": str(min(_MOST, ended + 100))})
    return live("_overview.html", refresh, page=found, wanted=wanted, more=more)


def _wanted() -> str:
    return request.args.get("q", "").strip()[:_LONGEST_SEARCH]
