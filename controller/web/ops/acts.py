"""Buttons: each act has a confirmation that says what will happen and asks for a reason, and then does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, make_response, render_template

from controller.domain.durations import parts_of
from controller.domain.errors import GuardVeto, NotFound, Refusal
from controller.domain.orders import Order
from controller.domain.principals import Need
from controller.storage import quarantines
from controller.storage import rollouts as rows
from controller.storage.database import Database
from controller.usecases import rollouts
from controller.usecases.views.rollouts import rollout_views
from controller.web.access import needs, services
from controller.web.api.rollouts import VERBS as PLAIN
from controller.web.ops.forms import Form
from controller.web.ops.site import blueprint, done, is_part, page
from controller.web.ops.verbs import VERBS, Verb, consequence, fits

#: Offered as one tap, since thumbs type badly at night.
_REASONS = ("users complain", "errors in our own metrics", "to be safe while we look", "asked to by the owner")


@blueprint.get("/rollouts/<key:key>/act/<verb>")
@needs(Need.READ)
def ask(key: str, verb: str) -> Response:
    """The confirmation."""
    return confirmation(_known(verb), key)


@blueprint.post("/rollouts/<key:key>/act/<verb>")
@needs(Need.OPERATE)
def act(key: str, verb: str) -> Response:
    """Do it; whoever is refused keeps what was written, and is told why."""
    known = _known(verb)
    form = Form()
    try:
        _do(known.name)(services().database, key, form.order(), form)
    except Refusal as refusal:
        return confirmation(known, key, refusal, form)
    services().changed()
    return done(f"/rollouts/{key}?done={known.name}")


@blueprint.post("/rollouts/<key:key>/label")
@needs(Need.OPERATE)
def label(key: str) -> Response:
    """Whether the last rollback was right."""
    form, here = Form(), services()
    rollouts.label(here.database, key, right=form.line("right") == "yes", number=None, order=form.order())
    here.changed()
    return done(f"/rollouts/{key}?done=label")


Doing = Callable[[Database, str, Order, Form], object]


def _do(name: str) -> Doing:
    special: dict[str, Doing] = {"set-share": _set_share, "re-arm": _re_arm}
    return special.get(name) or (lambda database, key, order, _form: PLAIN[name](database, key, order))


def _set_share(database: Database, key: str, order: Order, form: Form) -> None:
    share = form.needed("share", "write a share, such as 25%").replace(" ", "")
    rollouts.set_share(database, key, parts_of(share if share.endswith("%") else f"{share}%", "share"), order)


def _re_arm(database: Database, key: str, order: Order, form: Form) -> None:
    rollouts.re_arm(database, key, form.several("lift"), order)


def _known(name: str) -> Verb:
    verb = VERBS.get(name)
    if verb is None:
        raise NotFound(f"a rollout has no act {name[:40]!r}", field="act")
    return verb


def confirmation(verb: Verb, key: str, refusal: Refusal | None = None, form: Form | None = None) -> Response:
    """The confirmation; after a refusal with what was written and why it was refused."""
    here = services()
    with here.database.read() as connection:
        rollout = rows.get(connection, key)
        [view] = rollout_views(connection, [rollout], here.clock())
        held = quarantines.every(connection, rollout.flag_key) if verb.name == "re-arm" else []
    values: dict[str, Any] = {
        "verb": verb,
        "view": view,
        "fits": fits(view, verb),
        "consequence": consequence(view, verb) if fits(view, verb) else "",
        "reasons": _REASONS if verb.name == "rollback" else (),
        "held": held,
        "refusal": refusal,
        "vetoed": isinstance(refusal, GuardVeto) or _speaks_against(view, verb),
        "given": {name: form.line(name, most=10_000)[:500] for name in ("reason", "share")} if form else {},
    }
    status = 200 if refusal is None else refusal.status
    return make_response(render_template("_act.html", **values) if is_part() else page("act.html", **values), status)


def _speaks_against(view: Any, verb: Verb) -> bool:
    return (
        verb.name in ("advance", "promote", "set-share")
        and view.analysis is not None
        and view.analysis.verdict == "fail"
    )
